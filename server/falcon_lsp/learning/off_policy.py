"""What another show policy would have been worth, from what the one in use has shown and held back.

Pure functions over rows. What is not shown is worth 0, so only what both policies may show decides;
what the logging policy could never have shown, no estimate speaks of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 1000
CONFIDENCE: Final = 0.95
LEAST_EFFECTIVE: Final = 50.0
"""Fewer suggestions than this say nothing that could be relied upon."""

Numbers = NDArray[np.float64]


class TooLittle(Exception):
    """The log cannot say what was asked; the message says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One suggestion that could have been shown.

    ``propensity`` (over 0) is how often the policy in use shows such a one, ``target`` how often
    the other would; ``reward`` is what it was worth, 0 where it was held back; ``predicted`` what
    a model expects it to be worth when shown. Rows of one ``cluster`` hang together.
    """

    propensity: float
    target: float
    shown: bool
    reward: float
    predicted: float
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % bootstrap interval over clusters."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """The worth of the other policy per suggestion that could be shown, estimated in three ways.

    ``share_shown`` is how many of all it would show, ``effective`` how many shown suggestions the
    estimates rest on, in effect; ``logged`` is the mean worth under the policy in use.
    """

    rows: int
    effective: float
    share_shown: Interval
    logged: Interval
    ips: Interval
    snips: Interval
    doubly_robust: Interval


def evaluate(rows: Sequence[Logged], seed: int = 0) -> Estimate:
    """Estimate a policy's worth; raises `TooLittle`."""
    table = _Table.of(rows)
    effective = table.effective()
    if effective < LEAST_EFFECTIVE:
        raise TooLittle(
            f"only {effective:.0f} suggestions speak for that policy and {LEAST_EFFECTIVE:.0f} are "
            "needed: work on for a while, or ask about one that is nearer to the one in use"
        )
    draws = table.resampled(np.random.default_rng(seed))
    return Estimate(
        len(rows), effective,
        *map(_interval, table.totals(), draws.T),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Table:
    """Sums of each cluster: all that the estimates need, one row a cluster.

    Columns: rows, would be shown, worth now, weighted worth, weights, doubly robust worth.
    """

    sums: Numbers
    weights: Numbers

    @classmethod
    def of(cls, rows: Sequence[Logged]) -> _Table:
        shown = np.array([row.shown for row in rows], dtype=np.float64)
        target = np.array([row.target for row in rows])
        reward = np.array([row.reward for row in rows]) * shown
        predicted = np.array([row.predicted for row in rows])
        weights = shown * target / np.array([row.propensity for row in rows])
        robust = target * predicted + weights * (reward - predicted)
        columns = (np.ones(len(rows)), target, reward, weights * reward, weights, robust)
        names = {name: at for at, name in enumerate(dict.fromkeys(row.cluster for row in rows))}
        sums = np.zeros((len(names), len(columns)))
        for at, row in enumerate(rows):
            sums[names[row.cluster]] += [column[at] for column in columns]
        return cls(sums, weights)

    def effective(self) -> float:
        """Return Kish's effective sample size of the weights; 0 for none."""
        squares = float((self.weights**2).sum())
        return float(self.weights.sum() ** 2 / squares) if squares else 0.0

    def totals(self) -> list[float]:
        """Return the estimates of all rows."""
        found: list[float] = _estimates(self.sums.sum(axis=0)[None])[0].tolist()
        return found

    def resampled(self, rng: np.random.Generator) -> Numbers:
        """Return the estimates of ``RESAMPLES`` draws of whole clusters."""
        count = len(self.sums)
        draws = rng.multinomial(count, [1 / count] * count, size=RESAMPLES)
        return _estimates(draws @ self.sums)


def _estimates(sums: Numbers) -> Numbers:
    """Return per row of sums: share shown, worth now, IPS, SNIPS, doubly robust."""
    rows, target, reward, weighted, weights, robust = sums.T
    share = target / rows
    normalised = share * weighted / np.maximum(weights, 1e-12)
    return np.stack([share, reward / rows, weighted / rows, normalised, robust / rows], axis=1)


def _interval(value: float, draws: Numbers) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(round(value, 4), round(float(low), 4), round(float(high), 4))
