"""Every decision about a version, with its numbers: what was promoted, refused, rolled back, why.

One JSON object per line, beside the versions, so that it outlives those that are pruned. It holds
numbers, ids and reasons, never text. Standard library only: the command line reads it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falcon_lsp.core.paths import atomic_write, locked

FILE = "verdicts.jsonl"
ROLLED_BACK = "rolled_back"
MOST_LINES = 2000
"""Older decisions go when there are twice as many."""


@dataclass(frozen=True, slots=True)
class VerdictLog:
    """The log in the registry's folder; any process may add to it, whole lines at a time."""

    folder: Path

    def add(self, what: str, adapter_id: str, scope: str, numbers: Mapping[str, Any]) -> None:
        """Note that ``what`` (a verb) befell a version; raises `OSError` or `Busy`."""
        row = {"time": time.time(), "what": what, "adapter": adapter_id, "scope": scope}
        with locked(self.folder / f"{FILE}.lock", 10.0):
            with (self.folder / FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row | dict(numbers), sort_keys=True) + "\n")
            self._shorten()

    def add_rollback(self, left: str, to: str, scope: str) -> None:
        """Note that somebody chose to serve ``to`` instead of ``left``."""
        self.add(ROLLED_BACK, left, scope, {"to": to, "by": "hand"})

    def rows(self) -> list[dict[str, Any]]:
        """Return all decisions, oldest first; lines that a crash cut short are left out."""
        file = self.folder / FILE
        found = []
        for line in file.read_text("utf-8", "replace").splitlines() if file.exists() else ():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                found.append(row)
        return found

    def _shorten(self) -> None:
        lines = (self.folder / FILE).read_bytes().splitlines(keepends=True)
        if len(lines) > 2 * MOST_LINES:
            atomic_write(self.folder / FILE, b"".join(lines[-MOST_LINES:]))
