"""The folder of a program: made for it, watched while it runs, gone afterwards."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

log = logging.getLogger(__name__)

Content = str | bytes | Path
"""A file's text, its bytes, or the file that it is a copy of."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much lies in a folder: ``bytes`` on the disk, files and folders."""

    bytes: int
    entries: int


@contextlib.contextmanager
def scratch(files: Mapping[str, Content]) -> Iterator[Path]:
    """Make a folder with ``files`` (by relative path); remove it, whatever became of it.

    Raises `ValueError` for a path that leads out of the folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="falcon-sandbox-")).resolve()
    try:
        for name, content in files.items():
            _put(folder, name, content)
        yield folder
    finally:
        remove(folder)


def _put(folder: Path, name: str, content: Content) -> None:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise ValueError(f"{name!r} is not a path inside the folder")
    path = folder / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def measure(folder: Path, enough: int) -> Extent:
    """Return what lies in ``folder``, no link followed; ends soon after ``enough`` entries.

    What cannot be looked at counts as ``enough``: a program may have hidden it on purpose.
    """
    size = entries = 0
    waiting = [str(folder)]
    while waiting and entries <= enough:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    entries += 1
                    with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                        about = entry.stat(follow_symlinks=False)
                        size += about.st_blocks * 512
                        if stat.S_ISDIR(about.st_mode):
                            waiting.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError:
            entries += enough
    return Extent(size, entries)


def read_back(folder: Path, name: str, most: int) -> bytes:
    """Return the first ``most`` bytes of a file that the program left; b"" if it left none.

    Links are not followed: they may lead to what the program itself could not read.
    """
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, most) if regular else b""
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Delete a folder, also one that is locked by modes or deeper than a path may be long.

    Every grandchild is lifted to the top before its parent is deleted. A folder that stays, because
    it is not ours any more, is logged.
    """
    try:
        while children := _folders(folder):
            for child in children:
                child.chmod(stat.S_IRWXU)
                for grandchild in _folders(child):
                    grandchild.chmod(stat.S_IRWXU)
                    grandchild.rename(folder / uuid.uuid4().hex)
                shutil.rmtree(child)
        shutil.rmtree(folder)
    except OSError as error:
        log.warning("the folder of a program, %s, could not be removed: %s", folder.name, error)


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as found:
        return [Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False)]
