"""The workspace folder that the servers see: the files of one moment and nothing of later ones."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from falcon_lsp.core.paths import private_folder
from falcon_lsp.replay.sources import Source

MAX_FILES = 4000
"""Of larger trees the first by path; the servers read open files, not whole trees."""


class Scratch:
    """A folder that is emptied at first and then follows the trees of a source."""

    def __init__(self, root: Path, source: Source) -> None:
        shutil.rmtree(root, ignore_errors=True)
        self.root = private_folder(root)
        self._source = source
        self._written: dict[str, str] = {}

    def show(self, step: int) -> None:
        """Make the folder hold exactly what there was before ``step``."""
        tree = self._source.tree(step)
        wanted = {path: tree[path] for path in sorted(tree)[:MAX_FILES]}
        for path in [path for path, key in self._written.items() if wanted.get(path) != key]:
            self._remove(path)
        for path, key in wanted.items():
            if path not in self._written:
                self._write(path, key)

    def text(self, path: str) -> str | None:
        """Return a file as it is now; None when it is not there or no text."""
        key = self._written.get(path)
        return None if key is None else self._source.text(key)

    def _write(self, path: str, key: str) -> None:
        text = self._source.text(key)
        self._written[path] = key
        if text is not None:
            file = self.root / path
            with contextlib.suppress(OSError):  # a name that this system cannot have
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text.encode())

    def _remove(self, path: str) -> None:
        del self._written[path]
        with contextlib.suppress(OSError):
            (self.root / path).unlink()
