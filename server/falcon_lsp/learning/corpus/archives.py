"""Projects in package archives: wheels and source distributions."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import Parser
from functools import partial
from pathlib import Path

from falcon_lsp.learning.corpus.licences import is_licence_file, stated_licence
from falcon_lsp.learning.corpus.project import Files, Project
from falcon_lsp.learning.corpus.quality import SIZES


def read_archive(path: Path) -> Project:
    """Return the project in a wheel or a ``.tar.gz`` source distribution.

    Raises:
        ValueError: it is neither, or holds no metadata.
    """
    if path.suffix == ".whl":
        return _read_wheel(path)
    if path.name.endswith(".tar.gz"):
        return _read_sdist(path)
    raise ValueError(f"{path.name} is neither a wheel nor a source distribution.")


@contextmanager
def tar_files(archive: tarfile.TarFile) -> Iterator[Files]:
    """Give the regular files of ``archive``, without its top folder, by sorted path."""
    members = sorted((m for m in archive if m.isfile()), key=lambda member: member.name)
    yield {
        member.name.partition("/")[2]: partial(_extract, archive, member)
        for member in members
        if member.size in SIZES
    }


def project_of(metadata: str, licence_text: str) -> tuple[str, str, str]:
    """Return name, version and licence as a distribution's core metadata states them."""
    headers = Parser().parsestr(metadata, headersonly=True)
    if "Name" not in headers:
        raise ValueError("A distribution without a name in its metadata.")
    licence = stated_licence(headers, licence_text)
    return str(headers["Name"]), str(headers.get("Version", "")), licence


def _read_wheel(path: Path) -> Project:
    with zipfile.ZipFile(path) as archive:
        names = sorted(archive.namelist())
        metadata = [n for n in names if n.endswith(".dist-info/METADATA") and n.count("/") == 1]
        texts = [n for n in names if is_licence_file(n) and ".dist-info/" in n]
        stated = project_of(
            "".join(_decode(archive.read(name)) for name in metadata[:1]),
            "\n".join(_decode(archive.read(name)) for name in texts),
        )
    return Project(*stated, partial(_open_wheel, path))


def _read_sdist(path: Path) -> Project:
    metadata = text = ""
    with _unpacked(path) as archive:
        for member in archive:
            if member.isfile() and member.name.count("/") == 1:
                if member.name.endswith("/PKG-INFO"):
                    metadata = _decode(_extract(archive, member))
                elif is_licence_file(member.name):
                    text += _decode(_extract(archive, member))
    return Project(*project_of(metadata, text), partial(_open_sdist, path))


@contextmanager
def _open_wheel(path: Path) -> Iterator[Files]:
    with zipfile.ZipFile(path) as archive:
        yield {
            _inside_wheel(info.filename): partial(archive.read, info)
            for info in sorted(archive.infolist(), key=lambda info: info.filename)
            if info.file_size in SIZES
        }


def _inside_wheel(path: str) -> str:
    """Return where the file of a wheel is installed to, as importers see it."""
    head, _, rest = path.partition("/")
    return rest.partition("/")[2] if head.endswith(".data") else path


@contextmanager
def _open_sdist(path: Path) -> Iterator[Files]:
    with _unpacked(path) as archive, tar_files(archive) as files:
        yield files


def _unpacked(path: Path) -> tarfile.TarFile:
    """Open a packed archive unpacked in memory: its members are read in random order."""
    return tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes())))


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read() if stream else b""


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
