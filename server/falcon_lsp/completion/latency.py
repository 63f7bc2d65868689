"""How long answers took, where they came from and why none did, kept for ``falcon/status``."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

_COUNTED: Final = {"cancelled": "cancelled", "superseded": "cancelled", "timed out": "deadline"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an answer was empty; ``time`` in seconds since the epoch."""

    time: float
    reason: str


class LatencyLog:
    """The latest answers only, so that it stays small and tells how things are now.

    ``counts`` is of all requests: ``asked``; of those with text, where it came from (``engine``,
    ``joined``, ``cache``, ``ahead``); of those without, ``cancelled`` by the client or by a newer
    request, ``deadline`` where nothing usable had been said by then, ``silent`` for all others.
    """

    def __init__(self, timings: int = 512, reasons: int = 20) -> None:
        self._timings: deque[float] = deque(maxlen=timings)
        self._reasons: deque[Reason] = deque(maxlen=reasons)
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def add(self, milliseconds: float, reason: str = "", origin: str = "engine") -> None:
        """Note one answer; ``reason`` says why it was empty (an empty one: it was not).

        Only answers with text count as timings: silence is not speed.
        """
        with self._lock:
            self.counts["asked"] += 1
            if reason:
                self._reasons.append(Reason(time.time(), reason))
                self.counts[_COUNTED.get(reason, "silent")] += 1
            else:
                self._timings.append(milliseconds)
                self.counts[origin] += 1

    def percentile(self, percent: float) -> float | None:
        """Return a percentile (nearest rank) in milliseconds; None before the first answer."""
        with self._lock:
            ordered = sorted(self._timings)
        if not ordered:
            return None
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]

    def reasons(self) -> list[Reason]:
        """Return the latest reasons, oldest first."""
        with self._lock:
            return list(self._reasons)
