"""The figures of the last seven days, which go with the status of every second."""

from __future__ import annotations

import time
from typing import Any

from falcon_lsp.memory.service import MemoryService
from falcon_lsp.report.gather import this_week

FRESH_SECONDS = 60.0
"""For so long they are not read again."""


class Week:
    """Reads them on the caller's thread, where they have become old."""

    def __init__(self) -> None:
        self._read_at = 0.0
        self._known: dict[str, Any] = {}

    def figures(self, memory: MemoryService) -> dict[str, Any]:
        """Return suggestions ``shown`` and ``taken``, their share, and the characters kept."""
        now = time.monotonic()
        if not self._known or now - self._read_at > FRESH_SECONDS:
            self._read_at = now
            if (week := memory.read(this_week, None)) is not None:
                self._known = {
                    "shown": week.shown,
                    "taken": week.taken,
                    "acceptance": week.acceptance,
                    "keptChars": week.kept_chars,
                }
        return self._known
