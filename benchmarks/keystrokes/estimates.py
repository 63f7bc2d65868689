"""Percentiles with intervals, and what the next key cut off.

A question that was withdrawn would have been answered later than that: leaving it out makes slow
servers look quick. `Times.percentile` therefore comes in two kinds: over what was answered, and
(Kaplan and Meier 1958) over everything, with withdrawn questions known to take longer than they
were given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 400
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of ``n`` questions: ``seen`` ones ended then, the others were given so long.

    ``parts`` says to which file each belongs: times of one file are alike.
    """

    ms: Numbers
    seen: NDArray[np.bool_]
    parts: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[tuple[float, bool, int]]) -> Times:
        """Collect (milliseconds, seen, part) of each question."""
        table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        return cls(table[:, 0], table[:, 1] > 0, table[:, 2].astype(np.int64))

    def answered(self, percent: float) -> float | None:
        """Return a percentile of what was answered (nearest rank); None of nothing."""
        return nearest_rank(self.ms[self.seen], percent)

    def awaited(self, percent: float) -> float | None:
        """Return the percentile had nobody withdrawn anything; None where that was not seen."""
        return kaplan_meier(self.ms, self.seen, percent)

    def summary(self, percents: Sequence[int] = (50, 95)) -> dict[str, Any]:
        """Return counts, percentiles and their 95 % intervals, rounded."""
        found: dict[str, Any] = {"n": int(self.seen.sum()), "withdrawn": int((~self.seen).sum())}
        for percent in percents:
            found[f"p{percent}"] = _spread(self, Times.answered, percent)
            if not self.seen.all():
                found[f"p{percent}_awaited"] = _spread(self, Times.awaited, percent)
        return found

    def resampled(self) -> list[Times]:
        """Return as many draws of whole files, with replacement."""
        rng = np.random.default_rng(len(self.ms))
        members = [np.flatnonzero(self.parts == part) for part in np.unique(self.parts)]
        draws = rng.integers(0, len(members), (RESAMPLES, len(members)))
        indices = (np.concatenate([members[at] for at in draw]) for draw in draws)
        return [Times(self.ms[at], self.seen[at], self.parts[at]) for at in indices]


def nearest_rank(values: Numbers, percent: float) -> float | None:
    """Return the smallest value that ``percent`` of all do not exceed; None of nothing."""
    if not len(values):
        return None
    rank = int(np.ceil(percent / 100 * len(values)))
    return float(np.sort(values)[max(rank, 1) - 1])


def kaplan_meier(ms: Numbers, seen: NDArray[np.bool_], percent: float) -> float | None:
    """Return the time by which ``percent`` would have ended; None when it is beyond all seen."""
    order = np.lexsort((~seen, ms))
    at_risk = len(ms) - np.arange(len(ms))
    surviving = np.cumprod(1 - seen[order] / at_risk)
    reached = np.flatnonzero((surviving <= 1 - percent / 100 + 1e-9) & seen[order])
    return float(ms[order][reached[0]]) if len(reached) else None


def paired_ratio(
    ours: Sequence[float], theirs: Sequence[float], parts: Sequence[int]
) -> dict[str, Any]:
    """Return the ratio of medians over the same questions, with its interval."""
    left = Times.of([(ms, True, part) for ms, part in zip(ours, parts, strict=True)])
    right = Times.of([(ms, True, part) for ms, part in zip(theirs, parts, strict=True)])
    if not len(left.ms):
        return {"n": 0, "ours_p50": None, "theirs_p50": None, "ratio": None}
    draws = [
        np.median(a.ms) / np.median(b.ms)
        for a, b in zip(left.resampled(), right.resampled(), strict=True)
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    ratio = np.median(left.ms) / np.median(right.ms)
    return {
        "n": len(left.ms),
        "ours_p50": round(float(np.median(left.ms)), 1),
        "theirs_p50": round(float(np.median(right.ms)), 1),
        "ratio": {"value": round(float(ratio), 3), "low": round(low, 3), "high": round(high, 3)},
    }


def _spread(
    times: Times, measure: Callable[[Times, float], float | None], percent: float
) -> dict[str, float] | None:
    """Return a percentile with its 95 % interval over files; None when it is not known."""
    value = measure(times, percent)
    if value is None:
        return None
    draws = [ms for each in times.resampled() if (ms := measure(each, percent)) is not None]
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"value": round(value, 1), "low": round(float(low), 1), "high": round(float(high), 1)}
