"""Bars with intervals: one panel per measure, one bar per row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

PANELS = (
    ("infilling", "pass@1", "HumanEval, single-line infilling\npass@1, %"),
    ("humaneval", "pass@1", "HumanEval\npass@1, %"),
    ("mbpp", "pass@1", "MBPP, test\npass@1, %"),
    ("lines", "exact, model alone", "Rest of the line, unseen projects\nexact, model alone, %"),
    ("lines", "exact, model and copy", "Rest of the line, unseen projects\nexact, with copies, %"),
    ("bytes", "bits per byte", "Code of unseen projects\nbits per byte, less is better"),
)
_COLOURS = ("#8c8c8c", "#4c78a8", "#f58518", "#54a24b", "#b279a2")


def draw(rows: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw every panel that has a result, two rows of three; the format is that of ``path``."""
    figure = Figure(figsize=(9.5, 5.6), layout="constrained")
    for axes, (task, measure, title) in zip(figure.subplots(2, 3).flat, PANELS, strict=True):
        axes.set_title(title, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        scale = 1 if measure == "bits per byte" else 100
        for at, (row, cells) in enumerate(rows.items()):
            if task in cells:
                _bar(axes, at, row, cells[task]["measures"][measure], scale)
        axes.set_xticks([])
        axes.tick_params(labelsize=8)
        axes.margins(y=0.15)
        axes.set_ylim(bottom=0)
    handles, labels = _legend(figure)
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def _bar(axes: Any, at: int, row: str, result: Mapping[str, Any], scale: float) -> None:
    value, low, high = (result[name] * scale for name in ("value", "low", "high"))
    spread = [[max(0.0, value - low)], [max(0.0, high - value)]]
    colour = _COLOURS[at % len(_COLOURS)]
    axes.bar(at, value, yerr=spread, label=row, color=colour, width=0.75, capsize=3)
    text = f"{value:.1f}" if scale == 100 else f"{value:.3f}"
    axes.annotate(text, (at, high), ha="center", va="bottom", fontsize=8)


def _legend(figure: Figure) -> tuple[list[Any], list[str]]:
    """Return one handle per row, whichever panel it stands in."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)
