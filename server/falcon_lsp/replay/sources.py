"""What can be replayed: the commits of a history, or the files of a folder, as steps in order."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from falcon_lsp.replay.errors import ReplayError
from falcon_lsp.replay.git import Delta, Git

LANGUAGES = {
    ".py": "python", ".pyi": "python",
    ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript", ".jsx": "javascriptreact",
    ".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "typescriptreact",
}  # fmt: skip
"""Language ids by the file names' endings."""

MAX_BYTES = 200_000
"""Larger files are not written by hand; they are left out."""
MAX_STEPS = 20_000
"""Older commits are left out."""
_NOT_OURS = frozenset({"node_modules", "site-packages", "venv", "__pycache__", "build", "dist"})


@dataclass(frozen=True, slots=True)
class Change:
    """One file before and after a step; ``before`` is '' for a new one."""

    path: str
    language: str
    before: str
    after: str


class Source(Protocol):
    """Steps in time order, each of them one ``unit``.

    ``identity`` names what is replayed exactly; the paths of files are relative to ``root``.
    """

    identity: str
    root: Path
    unit: str
    steps: Sequence[str]

    def tree(self, step: int) -> Mapping[str, str]:
        """Return the files there were before a step: path to a key for `text`."""

    def changes(self, step: int) -> Sequence[Change]:
        """Return the files of known languages that a step adds to or changes, by path."""

    def text(self, key: str) -> str | None:
        """Return a file's text; None when it is too large or no UTF-8 text."""


class History:
    """The commits of a repository's main line (first parents), oldest first.

    Raises `ReplayError` when there is nothing to type.
    """

    unit = "commit"

    def __init__(self, git: Git) -> None:
        self._git = git
        head = git.head()
        self.root = git.root()
        self.identity = f"{self.root} {head}"
        patterns = tuple(f"*{ending}" for ending in LANGUAGES)
        commits = git.commits(head, patterns, MAX_STEPS)
        shallow = git.is_shallow()
        # The oldest commit of a shallow clone is no work: everything is in it.
        self._commits = [each for each in commits if each.parent or not shallow]
        if not self._commits:
            raise ReplayError(_nothing_to_type(git.folder, shallow=shallow))
        self.steps = [commit.sha for commit in self._commits]
        self.text = functools.lru_cache(256)(self._text)
        self.changes = functools.lru_cache(64)(self._changes)

    def tree(self, step: int) -> Mapping[str, str]:
        """Return the files of known languages in the first parent."""
        parent = self._commits[step].parent
        files = self._git.tree(parent) if parent else {}
        return {path: blob for path, blob in files.items() if language_of(path)}

    def _changes(self, step: int) -> Sequence[Change]:
        found = map(self._change, self._git.deltas(self._commits[step]))
        return [change for change in found if change is not None]

    def _change(self, delta: Delta) -> Change | None:
        language = language_of(delta.path)
        if not delta.blob or not language:
            return None
        after = self.text(delta.blob)
        before = self.text(delta.old_blob) if delta.old_blob else ""
        if after is None or before is None or after == before:
            return None
        return Change(delta.path, language, before, after)

    def _text(self, key: str) -> str | None:
        return decoded(self._git.blob(key, MAX_BYTES))


class Folder:
    """The files of a folder (or one file), each written from nothing, in the order of their paths.

    Hidden folders, links, and folders of installed or built things are left out.
    """

    unit = "file"

    def __init__(self, root: Path) -> None:
        if not root.exists():
            raise ReplayError(f"there is no folder {root}")
        self.root = (root if root.is_dir() else root.parent).resolve()
        found = _files(root) if root.is_dir() else [root]
        paths = (file.resolve().relative_to(self.root).as_posix() for file in found)
        self.steps = sorted(path for path in paths if language_of(path))[:MAX_STEPS]
        if not self.steps:
            raise ReplayError(f"{root} holds no Python, JavaScript or TypeScript files")
        self.identity = f"{root.resolve()} files"

    def tree(self, step: int) -> Mapping[str, str]:
        """Return the files that come before in the order."""
        return {path: path for path in self.steps[:step]}

    def changes(self, step: int) -> Sequence[Change]:
        """Return the one file of this step."""
        path = self.steps[step]
        text = self.text(path)
        return [Change(path, language_of(path), "", text)] if text else []

    def text(self, key: str) -> str | None:
        """Return a file's text; None when it is too large, unreadable or no UTF-8 text."""
        file = self.root / key
        with contextlib.suppress(OSError):
            return decoded(file.read_bytes()) if file.stat().st_size <= MAX_BYTES else None
        return None


def language_of(path: str) -> str:
    """Return the language id of a file, '' for none that is known."""
    return LANGUAGES.get(PurePosixPath(path).suffix.lower(), "")


def decoded(content: bytes | None) -> str | None:
    """Return text; None for binary content and other encodings than UTF-8."""
    if content is None or b"\0" in content:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _files(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if n not in _NOT_OURS and not n.startswith("."))
        for name in files:
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink():
                yield file


def _nothing_to_type(folder: Path, *, shallow: bool) -> str:
    if shallow:
        return f"{folder} is a shallow clone without a commit to type; run `git fetch --unshallow`"
    return f"no commit of {folder} touches Python, JavaScript or TypeScript"
