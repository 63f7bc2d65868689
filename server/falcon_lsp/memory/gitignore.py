"""Which files git ignores, by the ``.gitignore`` files of a workspace.

All of git's rules on patterns (pathspec's), nested files, negation, and that nothing below an
ignored folder can be taken back. Of what lies outside the repository only ``.git/info/exclude``
counts, and a file that is tracked although a pattern matches it counts as ignored.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from falcon_lsp.core.paths import folder_of

FRESH_SECONDS = 2.0
"""So long a verdict holds before files are looked at again: no key press waits for the disk."""

MOST_VERDICTS = 4096
MOST_FILES = 1024
LARGEST_BYTES = 1_000_000
MOST_FOLDERS = 64
"""How deep a file may lie; git's rules beyond that are not asked."""


class GitIgnores:
    """Reads ignore files when they are needed, again when they change. Any thread may ask."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._verdicts: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()
        self._rules: OrderedDict[Path, tuple[object, _Rules]] = OrderedDict()

    def ignores(self, workspace: str, path: str) -> bool:
        """Whether git ignores ``path`` of ``workspace`` (a folder URI); False: or it is no file."""
        key = (workspace, path)
        with self._lock:
            known = self._verdicts.get(key)
            if known is None or self._clock() - known[0] > FRESH_SECONDS:
                known = (self._clock(), self._decide(workspace, path))
                _keep(self._verdicts, key, known, MOST_VERDICTS)
        return known[1]

    def _decide(self, workspace: str, path: str) -> bool:
        folder = folder_of(workspace)
        if folder is None:
            return False
        root = next((f for f in (folder, *folder.parents) if (f / ".git").exists()), folder)
        parts = [*folder.relative_to(root).parts, *path.replace("\\", "/").strip("/").split("/")]
        if len(parts) > MOST_FOLDERS or ".." in parts:
            return False
        rules = [(0, self._read(root / ".git" / "info" / "exclude"))]
        for end in range(1, len(parts) + 1):
            rules.append((end - 1, self._read(root.joinpath(*parts[: end - 1], ".gitignore"))))
            if _matches(rules, parts, end):
                return True
        return False

    def _read(self, file: Path) -> _Rules:
        stamp, known = _stamp(file), self._rules.get(file)
        if known is None or known[0] != stamp:
            known = (stamp, _Rules.of(_lines(file) if stamp else []))
            _keep(self._rules, file, known, MOST_FILES)
        return known[1]


@dataclass(frozen=True, slots=True)
class _Rules:
    """One ignore file, as it applies to names of files and to names of folders.

    pathspec ranks a rule for folders alone (``a/``) below others, for it looks at files only. Asked
    about a folder it gets the rules without that mark, and the name as if it were a file's.
    """

    files: GitIgnoreSpec
    folders: GitIgnoreSpec

    @classmethod
    def of(cls, lines: list[str]) -> _Rules:
        unmarked = [line.rstrip().rstrip("/") for line in lines]
        return cls(GitIgnoreSpec.from_lines(lines), GitIgnoreSpec.from_lines(unmarked))


def _matches(rules: list[tuple[int, _Rules]], parts: list[str], end: int) -> bool:
    """Whether the innermost rule about ``parts[:end]``, a folder but for the last, ignores it."""
    for start, found in reversed(rules):
        spec = found.folders if end < len(parts) else found.files
        if (include := spec.check_file("/".join(parts[start:end])).include) is not None:
            return include
    return False


def _stamp(file: Path) -> object:
    """Return what changes when the file does; None where there is none to be read."""
    try:
        about = file.stat()
    except OSError:
        return None
    return (about.st_mtime_ns, about.st_size) if about.st_size <= LARGEST_BYTES else None


def _lines(file: Path) -> list[str]:
    """Return a file's rules; ``a/**`` as its equal ``a/*``, which does not match ``a/`` itself."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [re.sub(r"/\*\*\s*\Z", "/*", line) for line in lines]


def _keep(cache: OrderedDict[Any, Any], key: Hashable, value: object, most: int) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > most:
        cache.popitem(last=False)
