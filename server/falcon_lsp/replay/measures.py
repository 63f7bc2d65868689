"""What is counted in a replay, and what follows from it: figures of each arm, gains, intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

ARMS = ("frozen", "learned")
"""Those of `falcon-lsp replay`."""
RESAMPLES = 2000
CONFIDENCE = 0.95
_MAX_COMPARED = 200


@dataclass(slots=True)
class Tally:
    """Counts of one arm over some typed lines; ``latencies_ms`` has one entry per request."""

    shown: int = 0
    accepted: int = 0
    exact_lines: int = 0
    kept_chars: int = 0
    similarity: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count ``other`` in."""
        self.shown += other.shown
        self.accepted += other.accepted
        self.exact_lines += other.exact_lines
        self.kept_chars += other.kept_chars
        self.similarity += other.similarity
        self.latencies_ms += other.latencies_ms

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON that ``Tally(**...)`` reads again."""
        return asdict(self)

    def figures(self) -> dict[str, float]:
        """Return what is reported; shares are 0 where nothing was shown."""
        return {
            "shown": self.shown,
            "accepted": self.accepted,
            "acceptance": _ratio(self.accepted, self.shown) or 0.0,
            "exact_lines": self.exact_lines,
            "kept_chars": self.kept_chars,
            "edit_similarity": _ratio(self.similarity, self.shown) or 0.0,
            "p50_ms": percentile(self.latencies_ms, 0.5),
            "p95_ms": percentile(self.latencies_ms, 0.95),
        }


Pair = Mapping[str, Tally]
"""The tallies of all arms, by name, over the same step."""

_COUNTED = ("shown", "accepted", "kept_chars")


def report(pairs: Sequence[Pair], seed: int, arms: Sequence[str] = ARMS) -> dict[str, Any]:
    """Return the figures of all arms, and what each other one gains against the first."""
    return {
        "arms": {arm: _total(pairs, arm).figures() for arm in arms},
        "against": {other: compared(pairs, (arms[0], other), seed) for other in arms[1:]},
    }


def compared(pairs: Sequence[Pair], two: tuple[str, str], seed: int) -> dict[str, Any]:
    """Return the second of ``two`` arms relative to the first, and 95 % intervals.

    A gain is None where the first has nothing to compare with. Intervals are percentiles of a
    paired bootstrap: whole steps are drawn again, each with both arms.
    """
    rows = [[getattr(pair[arm], name) for arm in two for name in _COUNTED] for pair in pairs]
    draws: list[dict[str, float | None]] = []
    if rows:
        shares = [1 / len(rows)] * len(rows)
        weights = np.random.default_rng(seed).multinomial(len(rows), shares, size=RESAMPLES)
        draws = [_gains(sums) for sums in (weights @ np.array(rows)).tolist()]
    gains = _gains([sum(column) for column in zip(*rows, strict=True)] or [0] * 6)
    return {
        "relative": gains,
        "interval": {name: _interval([draw[name] for draw in draws]) for name in gains},
    }


def similarity(text: str, truth: str) -> float:
    """Return 1 minus the edit distance over the longer length: 1.0 is equal, 0.0 all different."""
    one, other = text[:_MAX_COMPARED], truth[:_MAX_COMPARED]
    if not one or not other:
        return float(one == other)
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return 1.0 - row[-1] / max(len(one), len(other))


def percentile(values: Iterable[float], share: float) -> float:
    """Return the nearest-rank percentile, 0.0 of nothing."""
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 1) if ordered else 0.0


def _gains(sums: Sequence[int]) -> dict[str, float | None]:
    """Return the gains of the sums of `_COUNTED`, frozen first."""
    frozen_shown, frozen_accepted, frozen_kept, shown, accepted, kept = sums
    frozen_share, share = _ratio(frozen_accepted, frozen_shown), _ratio(accepted, shown)
    return {
        "kept_chars": _gain(frozen_kept, kept),
        "acceptance": _gain(frozen_share, share),
        "shown": _gain(frozen_shown, shown),
    }


def _gain(frozen: float | None, learned: float | None) -> float | None:
    return None if not frozen or learned is None else learned / frozen - 1


def _interval(draws: list[float | None]) -> list[float] | None:
    known = sorted(draw for draw in draws if draw is not None)
    if len(known) < 2:
        return None
    tail = (1 - CONFIDENCE) / 2
    return [known[math.floor(tail * len(known))], known[math.ceil((1 - tail) * len(known)) - 1]]


def _total(pairs: Sequence[Pair], arm: str) -> Tally:
    total = Tally()
    for pair in pairs:
        total.add(pair[arm])
    return total


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
