"""Which test files of a workspace belong to a file, by their names and by what they import."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

MOST_FILES, MOST_BYTES, LARGEST_FILE = 5_000, 64 * 2**20, 4 * 2**20
"""Bounds on a workspace of which a copy is made."""

_NEVER = frozenset({"node_modules", "__pycache__", "build", "dist", "site-packages"})
_ENVIRONMENT = "pyvenv.cfg"


class WorkspaceTooLargeError(Exception):
    """The workspace has more files, or larger ones, than are copied for a test."""


def workspace_files(root: Path) -> dict[str, Path]:
    """Return the workspace's files by their paths below ``root``, in order.

    Hidden ones, links, environments, what was built or is larger than `LARGEST_FILE` are left out.
    Raises `WorkspaceTooLargeError` beyond `MOST_FILES` or `MOST_BYTES`.
    """
    found: dict[str, Path] = {}
    size = 0
    for path in _walk(root):
        if (length := path.stat().st_size) > LARGEST_FILE:
            continue
        size += length
        found[path.relative_to(root).as_posix()] = path
        if len(found) > MOST_FILES or size > MOST_BYTES:
            raise WorkspaceTooLargeError(
                f"the workspace has more than {MOST_FILES} files or {MOST_BYTES} bytes"
            )
    return dict(sorted(found.items()))


def related_tests(files: Mapping[str, Path], changed: str, most: int = 8) -> list[str]:
    """Return the test files, at most ``most``, that belong to ``changed``, the closest first.

    Closest is the file itself, then one with its name, then those that import it, then those that
    import the package it is in.
    """
    ranked = []
    for name in filter(is_test, files):
        rank = _rank(name, files[name], changed)
        if rank is not None:
            ranked.append((rank, name))
    return [name for _rank, name in sorted(ranked)[:most]]


def is_test(name: str) -> bool:
    """Whether pytest collects a file of this name by default."""
    path = PurePosixPath(name)
    return path.suffix == ".py" and (path.name.startswith("test_") or path.stem.endswith("_test"))


def _rank(name: str, path: Path, changed: str) -> int | None:
    if name == changed:
        return 0
    stem = PurePosixPath(changed).stem
    if PurePosixPath(name).stem in (f"test_{stem}", f"{stem}_test"):
        return 1
    imported = imported_names(path)
    module = PurePosixPath(changed).with_suffix("").parts
    module = module[:-1] if module[-1] == "__init__" else module
    if any(_ends_with(module, each) for each in imported):
        return 2
    return 3 if any(_ends_with(module[:-1], each) for each in imported) else None


def _ends_with(module: tuple[str, ...], name: str) -> bool:
    """Whether a dotted name is the module's, counted from any folder above it."""
    parts = tuple(name.split("."))
    return bool(module) and module[-len(parts) :] == parts


def imported_names(path: Path) -> set[str]:
    """Return the dotted names that a file may import; nothing for one that cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            names |= {*base, *(".".join([*base, alias.name]) for alias in node.names)}
    return names


def _walk(root: Path) -> Iterator[Path]:
    """Yield ordinary files; neither links nor hidden folders are entered."""
    for folder, folders, names in os.walk(root):
        if _ENVIRONMENT in names:
            folders.clear()
            continue
        folders[:] = [each for each in folders if not each.startswith(".") and each not in _NEVER]
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                yield path
