"""What a request gets: suggestions, or the reason for none, and how long each step took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from falcon_lsp.core.types import Suggestion

Hear = Callable[[str], None]
"""Called on the engine's thread with all that the model has said so far, after each token."""


def ignore(_said: str) -> None:
    """Listen to nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Suggestions, best first; when there is none, ``reason`` says why (see `silence`).

    ``timings_ms`` holds the steps' durations in milliseconds, in order. ``origin`` is ``engine``,
    or ``cache``, ``ahead`` or ``joined`` where the engine had been asked before: for an earlier
    request, for none, or for one that it was just answering.
    """

    suggestions: tuple[Suggestion, ...] = ()
    reason: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    origin: str = "engine"
    detail: str = ""
    held: Suggestion | None = None
    """The best text that was held back though it might have been shown to learn about it."""

    @classmethod
    def nothing(
        cls, reason: str, timings_ms: Mapping[str, float] | None = None, detail: str = ""
    ) -> Answer:
        """Return an empty answer with its reason, and figures about it."""
        return cls((), reason, timings_ms or {}, detail=detail)


class Laps:
    """A stopwatch: `lap` notes the milliseconds since the one before."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Note the time since the last lap, or the start, under ``name``."""
        now = time.perf_counter()
        self.ms[name] = (now - self._last) * 1000
        self._last = now

    @property
    def total_s(self) -> float:
        """The seconds of all laps."""
        return sum(self.ms.values()) / 1000
