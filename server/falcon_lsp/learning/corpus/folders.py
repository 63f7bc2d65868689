"""Projects in folders: git checkouts, plain folders, npm packages, what is installed here."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sysconfig
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from functools import partial
from pathlib import Path
from typing import Any

from falcon_lsp.learning.corpus.archives import project_of, tar_files
from falcon_lsp.learning.corpus.licences import identify_text, is_licence_file, stated_licence
from falcon_lsp.learning.corpus.project import Files, Project
from falcon_lsp.learning.corpus.quality import SIZES

_NOT_THE_LIBRARY = frozenset(
    {
        "site-packages",
        "dist-packages",
        "ensurepip",
        "lib2to3",
        "test",
        "tests",
        "idlelib",
        "pydoc_data",
        "turtledemo",
        "__pycache__",
    }
)
_NOT_OURS = frozenset({".git", ".venv", "venv", "node_modules", "site-packages", "__pycache__"})


def standard_library() -> Project:
    """Return this Python's standard library without its tests and bundled packages."""
    root = Path(sysconfig.get_path("stdlib"))
    version = sysconfig.get_python_version()
    return Project("stdlib", version, "PSF-2.0", partial(_open_folder, root, _NOT_THE_LIBRARY))


def installed() -> Iterator[Project]:
    """Yield the distributions of this environment, by name."""
    found = {d.name: d for d in importlib.metadata.distributions() if d.name}
    for _, distribution in sorted(found.items()):
        files = {f.as_posix(): Path(str(f.locate())) for f in distribution.files or ()}
        metadata = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        text = _first_text(path for inside, path in files.items() if is_licence_file(inside))
        inside = {path: place for path, place in files.items() if not path.startswith("..")}
        yield Project(*project_of(metadata, text), partial(_open_paths, inside))


def checkout(root: Path) -> Project:
    """Return the project in a git checkout (tracked files, at HEAD) or any other folder."""
    opened: Callable[[], Any] = partial(_open_folder, root, _NOT_OURS)
    aliases = [root.resolve().name.removesuffix(".git")]
    if (root / ".git").exists() and _git(root, "rev-parse", "--verify", "HEAD"):
        opened = partial(_open_commit, root)
        aliases += [
            url.rstrip("/").rpartition("/")[2].removesuffix(".git") for url in _remotes(root)
        ]
    name, version, licence = _describe(root)
    return Project(name or aliases[0], version, licence, opened, tuple(aliases))


def npm_packages(root: Path) -> Iterator[Project]:
    """Yield the packages under a ``node_modules`` folder, nested ones included, by path."""
    for manifest in sorted(root.rglob("package.json")):
        package = manifest.parent
        owner = package.parent.parent if package.parent.name.startswith("@") else package.parent
        if owner.name == "node_modules":
            stated, version, licence = _describe(package)
            name = stated or package.name
            opened = partial(_open_folder, package, _NOT_OURS, f"{name}/")
            yield Project(name, version, licence, opened, (package.name,))


@contextmanager
def _open_folder(root: Path, skipped: frozenset[str], prefix: str = "") -> Iterator[Files]:
    inside: dict[str, Path] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in skipped]
        paths = (Path(folder, name) for name in names)
        inside |= {
            prefix + path.relative_to(root).as_posix(): path
            for path in paths
            if not path.is_symlink()
        }
    with _open_paths(inside) as files:
        yield files


@contextmanager
def _open_paths(paths: Mapping[str, Path]) -> Iterator[Files]:
    yield {
        inside: path.read_bytes
        for inside, path in sorted(paths.items())
        if path.is_file() and path.stat().st_size in SIZES
    }


@contextmanager
def _open_commit(root: Path) -> Iterator[Files]:
    """Give the tracked files of HEAD: what lies uncommitted in a checkout is nobody's release."""
    with tempfile.TemporaryFile() as packed:
        command = ["git", "-C", str(root), "archive", "--format=tar", "--prefix=root/", "HEAD"]
        subprocess.run(command, stdout=packed, check=True)  # noqa: S603 - git on a named folder
        packed.seek(0)
        with tarfile.open(fileobj=packed) as archive, tar_files(archive) as files:
            yield files


def _describe(root: Path) -> tuple[str, str, str]:
    """Return name, version and licence as the files in ``root`` state them; empty where silent."""
    python = _python_metadata(root / "pyproject.toml")
    script = _read_json(root / "package.json")
    text = _first_text(path for path in sorted(root.glob("*")) if is_licence_file(path.name))
    name = python.get("name") or script.get("name") or ""
    version = python.get("version") or script.get("version") or ""
    stated = script.get("license") or script.get("licenses") or ""
    if isinstance(stated, list):
        stated = " OR ".join(str(_named(entry)) for entry in stated)
    licence = _python_licence(python) or str(_named(stated)) or identify_text(text)
    return str(name), str(version), licence


def _python_metadata(path: Path) -> dict[str, Any]:
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return {}
    return project if isinstance(project, dict) else {}


def _python_licence(project: Mapping[str, Any]) -> str:
    headers = Message()
    stated = project.get("license", "")
    headers["License"] = stated if isinstance(stated, str) else str(stated.get("text", ""))
    for classifier in project.get("classifiers", ()):
        headers["Classifier"] = str(classifier)
    return stated_licence(headers, "")


def _named(stated: Any) -> Any:
    """Return the name in npm's older form of a licence, ``{"type": name, "url": ...}``."""
    return stated.get("type", "") if isinstance(stated, dict) else stated


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _first_text(paths: Iterable[Path]) -> str:
    return next((p.read_text(encoding="utf-8", errors="replace") for p in paths if p.is_file()), "")


def _git(root: Path, *arguments: str) -> str:
    """Return what git says about ``root``; empty where it is no checkout or git is missing."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - git on a folder that the user named
            command, capture_output=True, text=True, encoding="utf-8", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _remotes(root: Path) -> list[str]:
    return _git(root, "config", "--get-regexp", r"remote\..*\.url").split()[1::2]
