"""Ratios with 95 % intervals: Wilson's for plain shares, bootstrap where items hang together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4000


@dataclass(frozen=True)
class Ratio:
    """``sum(over) / sum(under)`` over items; a mean where ``under`` is all ones.

    ``clusters`` names what each item belongs to: items of one cluster are not independent.
    """

    over: Sequence[float]
    under: Sequence[float]
    clusters: Sequence[str]

    @property
    def value(self) -> float:
        """The ratio; 0 when nothing was counted."""
        return sum(self.over) / max(sum(self.under), 1e-12)

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval.

        Wilson's where each item is a cluster of its own, and where all outcomes are the same (no
        resampling would say anything else); over clusters else.
        """
        alone = len(set(self.clusters)) == len(self.clusters)
        if alone or sum(self.over) in (0, sum(self.under)):
            return wilson(sum(self.over), sum(self.under))
        return _percentiles(self._resampled(_resamples(self.clusters)))

    def _resampled(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the ratio for each row of ``counts (R, clusters)``."""
        order = {name: at for at, name in enumerate(dict.fromkeys(self.clusters))}
        sums = np.zeros((2, len(order)))
        for cluster, over, under in zip(self.clusters, self.over, self.under, strict=True):
            sums[:, order[cluster]] += over, under
        over, under = sums @ counts.T
        return np.asarray(over / np.maximum(under, 1e-12))


def difference(left: Ratio, right: Ratio) -> tuple[float, float, float]:
    """Return ``right - left`` and its 95 % bootstrap interval; both saw the same items."""
    if list(left.clusters) != list(right.clusters):
        raise ValueError("Only rows that were scored on the same items can be compared.")
    counts = _resamples(left.clusters)
    low, high = _percentiles(right._resampled(counts) - left._resampled(counts))  # noqa: SLF001 - same class
    return right.value - left.value, low, high


def wilson(successes: float, trials: float, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, z * z / trials
    centre = share + square / 2
    spread = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    return (centre - spread) / (1 + square), (centre + spread) / (1 + square)


def _resamples(clusters: Sequence[str]) -> NDArray[np.int64]:
    """Return how often each cluster is drawn in each resample ``(R, clusters)``."""
    count = len(set(clusters))
    generator = np.random.default_rng(count)
    return generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
