"""How long answers took, where they came from and why none did, kept for ``falcon/status``."""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from falcon_lsp.completion import silence

_COUNTED: Final = {"cancelled": "cancelled", "superseded": "cancelled", "timed out": "deadline"}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why answers were empty: ``times`` in a row for one document, the last at ``time`` (seconds).

    ``detail`` has figures, ``file`` a mark that tells documents of one session apart and says
    nothing else about them, ``advice`` what to do.
    """

    time: float
    reason: str
    detail: str = ""
    language: str = ""
    file: str = ""
    times: int = 1
    advice: str = ""


class LatencyLog:
    """The latest answers only, so that it stays small and tells how things are now.

    ``counts`` is of all requests: ``asked``; of those with text, where it came from (``engine``,
    ``joined``, ``cache``, ``ahead``); of those without, ``cancelled`` by the client or by a newer
    request, ``deadline`` where nothing usable had been said by then, ``silent`` for all others.
    ``silences`` counts these by `silence.kind`.
    """

    def __init__(self, timings: int = 512, reasons: int = 50) -> None:
        self._timings: deque[float] = deque(maxlen=timings)
        self._reasons: deque[Reason] = deque(maxlen=reasons)
        self._salt = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.silences: Counter[str] = Counter()

    def add(
        self,
        milliseconds: float,
        reason: str = "",
        origin: str = "engine",
        *,
        detail: str = "",
        language: str = "",
        uri: str = "",
    ) -> None:
        """Note one answer; ``reason`` says why it was empty (an empty one: it was not).

        Only answers with text count as timings: silence is not speed.
        """
        with self._lock:
            self.counts["asked"] += 1
            if reason:
                self.counts[_COUNTED.get(reason, "silent")] += 1
                self.silences[silence.kind(reason)] += 1
                self._append(reason, detail, language, self._mark(uri))
            else:
                self._timings.append(milliseconds)
                self.counts[origin] += 1

    def _append(self, reason: str, detail: str, language: str, file: str) -> None:
        last = self._reasons[-1] if self._reasons else None
        again = last is not None and (last.reason, last.file) == (reason, file)
        times = self._reasons.pop().times + 1 if again else 1
        advice = silence.advice(reason)
        self._reasons.append(Reason(time.time(), reason, detail, language, file, times, advice))

    def _mark(self, uri: str) -> str:
        mark = hashlib.blake2b(uri.encode(), digest_size=4, key=self._salt)
        return mark.hexdigest() if uri else ""

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
