"""What being quiet spares and what it loses, as curves over the threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from evaluation.tastes import Judged, curve

_COLOURS = {"development": "#8c8c8c", "reported": "#4c78a8"}


def draw(judged: Mapping[str, Sequence[Judged]], threshold: float, path: Path) -> None:
    """Draw the trade-off and the calibration of each part; the format is that of ``path``."""
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    trade, reliability = figure.subplots(1, 2)
    for part, rows in judged.items():
        points = curve(rows)
        trade.plot(
            [100 * x for x, _ in points], [100 * y for _, y in points],
            color=_COLOURS[part], label=f"{part} projects",
        )  # fmt: skip
        hidden = sum(each.chance < threshold for each in rows)
        if hidden:
            x, y = points[hidden - 1]
            trade.plot([100 * x], [100 * y], "o", color=_COLOURS[part])
        _reliability(reliability, rows, _COLOURS[part])
    trade.axhline(5, color="#d62728", linewidth=0.8, linestyle=":")
    trade.axvline(20, color="#d62728", linewidth=0.8, linestyle=":")
    trade.set(
        xlim=(0, 80), ylim=(0, 50), xlabel="suggestions not shown, %",
        ylabel="would-be accepts lost, %",
    )  # fmt: skip
    trade.set_title(f"Trade-off; dots: threshold {threshold:g}", fontsize=9)
    trade.legend(frameon=False, fontsize=8)
    reliability.plot([0, 100], [0, 100], color="#cccccc", linewidth=0.8)
    reliability.set(xlabel="estimated chance, %", ylabel="taken, %", xlim=(0, 100), ylim=(0, 100))
    reliability.set_title("Calibration, ten bins of equal count", fontsize=9)
    for axes in (trade, reliability):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def _reliability(axes: object, rows: Sequence[Judged], colour: str) -> None:
    chance = np.array([each.chance for each in rows])
    took = np.array([float(each.row.took) for each in rows])
    parts = np.array_split(np.argsort(chance, kind="stable"), 10)
    means = [(100 * chance[p].mean(), 100 * took[p].mean()) for p in parts if len(p)]
    axes.plot(*zip(*means, strict=True), "o-", color=colour, markersize=3)  # type: ignore[attr-defined]
