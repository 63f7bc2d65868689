"""Arms compared over many replays: pooled counts, gains, intervals from commits drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from falcon_lsp.replay.measures import CONFIDENCE, RESAMPLES

COUNTED = ("shown", "accepted", "kept_chars", "exact_lines")
Numbers = NDArray[np.float64]
Row = Mapping[str, Sequence[int]]
"""The `COUNTED` of each arm in one commit."""


def compared(
    clusters: Mapping[str, Mapping[str, Sequence[Row]]], one: str, other: str
) -> dict[str, Any]:
    """Return ``other`` relative to ``one`` (0.1 is 10 % more), with 95 % intervals.

    ``clusters`` holds rows by project and commit. Commits are drawn again within each project, all
    rows of a commit together. None stands where there is nothing to compare with.
    """
    rng = np.random.default_rng(0)
    draws, sums = np.zeros((RESAMPLES, 2, len(COUNTED))), np.zeros((1, 2, len(COUNTED)))
    for commits in clusters.values():
        table = np.array(
            [[np.sum([row[arm] for row in rows], axis=0) for arm in (one, other)]
             for rows in commits.values()], dtype=float,
        )  # fmt: skip
        weights = rng.multinomial(len(table), [1 / len(table)] * len(table), size=RESAMPLES)
        draws += np.tensordot(weights.astype(float), table, axes=1)
        sums += table.sum(axis=0)
    found = gains(draws)
    return {
        "relative": {name: _plain(float(value[0])) for name, value in gains(sums).items()},
        "interval": {name: _bounds(values) for name, values in found.items()},
    }


def gains(sums: Numbers) -> dict[str, Numbers]:
    """Return the second arm over the first minus 1, of sums ``(R, 2, len(COUNTED))``."""
    counts = dict(zip(COUNTED, np.moveaxis(sums, 2, 0), strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = {
            "kept_chars": counts["kept_chars"],
            "acceptance": counts["accepted"] / counts["shown"],
            "shown": counts["shown"],
            "exact_lines": counts["exact_lines"],
        }
        return {name: rate[:, 1] / rate[:, 0] - 1 for name, rate in rates.items()}


def totals(rows: Sequence[Row], arm: str) -> dict[str, int]:
    """Return the sums of one arm over all rows."""
    sums = np.sum([row[arm] for row in rows], axis=0).tolist()
    return dict(zip(COUNTED, map(int, sums), strict=True))


def _bounds(values: Numbers) -> list[float] | None:
    known = values[np.isfinite(values)]
    tail = 100 * (1 - CONFIDENCE) / 2
    return np.percentile(known, (tail, 100 - tail)).tolist() if len(known) > 1 else None


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None
