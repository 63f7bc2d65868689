"""Acceptance and kept characters as they add up while the examination goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from evaluation.gains import COUNTED

_STYLES: dict[str, dict[str, Any]] = {
    "frozen": {"color": "#b0b0b0", "linewidth": 3.0},
    "instant": {"color": "#f9b978", "linewidth": 3.0},
    "slow": {"color": "#2f5f98", "linewidth": 1.2, "linestyle": "--"},
    "both": {"color": "#2e7d32", "linewidth": 1.2, "linestyle": "--"},
}
"""Dashes over a broad line: where no adapter is served the two arms are one, and both are seen."""


def draw(runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw a row of two panels for each project; the format is that of ``path``.

    The runs of a project (its seeds) follow each other, with a line between.
    """
    projects = list(dict.fromkeys(run["project"] for run in runs))
    figure = Figure(figsize=(9.0, 2.6 * len(projects) + 0.5), layout="constrained")
    panels = figure.subplots(len(projects), 2, squeeze=False)
    for project, (acceptance, kept) in zip(projects, panels, strict=True):
        mine = [run for run in runs if run["project"] == project]
        rows = [row for run in mine for row in run["by_commit"]]
        for arm, style in _STYLES.items():
            sums = {name: _sums(rows, arm, name) for name in COUNTED}
            both = zip(sums["accepted"], sums["shown"], strict=True)
            share = [100 * accepted / max(1, shown) for accepted, shown in both]
            acceptance.plot(range(1, len(rows) + 1), share, label=arm, **style)
            kept.plot(range(1, len(rows) + 1), sums["kept_chars"], label=arm, **style)
        acceptance.set_title(f"{project}: accepted so far, % of what was shown", fontsize=9)
        kept.set_title(f"{project}: characters kept so far", fontsize=9)
        for axes in (acceptance, kept):
            _furnish(axes, [len(run["by_commit"]) for run in mine])
    panels[0][1].legend(frameon=False, fontsize=8)
    panels[-1][0].set_xlabel("commits of the examinations, one seed after the other", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def _sums(rows: Sequence[Mapping[str, Any]], arm: str, name: str) -> list[int]:
    at = COUNTED.index(name)
    return list(accumulate(row[arm][at] for row in rows))


def _furnish(axes: Any, lengths: Sequence[int]) -> None:
    for end in list(accumulate(lengths))[:-1]:
        axes.axvline(end + 0.5, color="#cccccc", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.set_ylim(bottom=0)
