"""Which files of the workspace a document's imports mean."""

from __future__ import annotations

import posixpath
import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Final

from falcon_lsp.completion.sources import OpenDocument
from falcon_lsp.core.paths import folder_of
from falcon_lsp.core.text import import_lines
from falcon_lsp.core.types import CompletionRequest

MOST_FILES: Final = 8
MOST_PATHS: Final = 64
LARGEST_BYTES: Final = 200_000
"""Files read for one document, paths tried for it, and the largest file that is read."""

KEPT_FILES: Final = 64

_FROM: Final = re.compile(r"\s*from\s+(\.*)([\w.]*)\s+import\s+(.*)")
_IMPORT: Final = re.compile(r"\s*import\s+([\w., ]+)")
_QUOTED: Final = re.compile(r"""["'](\.[^"']+)["']""")
_SCRIPT_ENDS: Final = (".ts", ".tsx", ".js", ".jsx", "/index.ts", "/index.js")
_ROOTS: Final = ("", "src")


class WorkspaceFiles:
    """Reads files of workspaces that documents import, and keeps what it read while it is true."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, str], tuple[tuple[int, int], str]] = OrderedDict()

    def imported(self, request: CompletionRequest) -> list[OpenDocument]:
        """Return what ``request``'s document imports, at most `MOST_FILES`; nothing ever fails.

        Only files below the workspace are read, whatever links say.
        """
        root = folder_of(request.workspace)
        found: list[OpenDocument] = []
        for path in imported(request)[:MOST_PATHS] if root else ():
            text = self._read(root, path) if root else None
            if text is not None:
                found.append(OpenDocument(path, request.language, text, 0.0))
            if len(found) == MOST_FILES:
                break
        return found

    def _read(self, root: Path, path: str) -> str | None:
        file = root / path
        try:
            about = file.stat()
            stamp = (about.st_mtime_ns, about.st_size)
            known = self._kept.pop((root, path), None)
            if known is None or known[0] != stamp:
                inside = file.resolve().is_relative_to(root.resolve())
                if not inside or not file.is_file() or about.st_size > LARGEST_BYTES:
                    return None
                known = (stamp, file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        self._kept[root, path] = known
        while len(self._kept) > KEPT_FILES:
            self._kept.popitem(last=False)
        return known[1]


def imported(request: CompletionRequest) -> list[str]:
    """Return paths below the workspace that the imports may mean; whether they exist is open.

    Those imported last, which are more often the project's own, come first.
    """
    lines = import_lines(request.text)
    folder = posixpath.dirname(request.path)
    find = _python if request.language == "python" else _script
    paths = [path for line in reversed(lines) for path in find(line, folder)]
    return [path for path in dict.fromkeys(paths) if path != request.path and _is_below(path)]


def _is_below(path: str) -> bool:
    r"""Whether ``path`` stays in its folder on every system.

    To Windows ``\\host\share`` is another machine, which even a look at the file would call up.
    """
    windows = PureWindowsPath(path)
    return not windows.anchor and ".." not in windows.parts


def _python(line: str, folder: str) -> Iterator[str]:
    if match := _FROM.match(line):
        dots, module, names = match.groups()
        wanted = [name.split(" as ")[0].strip(" ()") for name in names.split("#")[0].split(",")]
        for base in _bases(len(dots), module, folder):
            for name in filter(str.isidentifier, wanted):
                yield posixpath.join(base, f"{name}.py")
            yield from _files(base)
    elif match := _IMPORT.match(line):
        for name in match[1].split(","):
            module = name.split(" as ")[0].strip()
            for base in _bases(0, module, folder):
                yield from _files(base)


def _bases(dots: int, module: str, folder: str) -> Iterator[str]:
    """Yield where ``module`` may lie, seen from ``folder``: without its ending."""
    below = module.replace(".", "/")
    if dots:
        base = posixpath.normpath(posixpath.join(folder, "../" * (dots - 1), below))
        if not base.startswith(".."):
            yield base
        return
    parts = folder.split("/")
    first = module.partition(".")[0]
    roots = ["/".join(parts[:at]) for at, part in enumerate(parts) if part == first]
    for root in dict.fromkeys((*roots, *_ROOTS)):
        yield posixpath.join(root, below)


def _files(base: str) -> Iterator[str]:
    if base not in ("", "."):
        yield from (f"{base}.py", f"{base}/__init__.py")


def _script(line: str, folder: str) -> Iterator[str]:
    for path in _QUOTED.findall(line):
        base = posixpath.normpath(posixpath.join(folder, path))
        if not base.startswith(".."):
            yield from (base, *(base + end for end in _SCRIPT_ENDS))
