"""The distributions: for each kind of keystroke, the share answered within each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keystrokes.kinds import FAST_MS, Key, Kind, times
from keystrokes.replay import Sample

TITLES = {
    Kind.COLD: "First request in a file",
    Kind.WARM: "Keystroke, new offer",
    Kind.AHEAD: "Keystroke that an offer foresaw",
}
COLOURS = ("#f58518", "#4c78a8", "#8c8c8c", "#54a24b")


def draw(samples: Mapping[str, Sequence[Sample]], kinds: Mapping[Key, Kind], path: Path) -> None:
    """Draw one panel per kind; solid: answers with text; dotted: had nothing been withdrawn."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 3, sharey=True), Kind, strict=True):
        for (system, rows), colour in zip(samples.items(), COLOURS, strict=False):
            _curves(axes, rows, kinds, kind, system, colour)
        axes.set_title(TITLES[kind], fontsize=9)
        axes.set_xscale("log")
        axes.set_xlim(1, 3000)
        axes.set_ylim(0, 1)
        axes.set_xlabel("ms from the keystroke to the answer", fontsize=8)
        axes.axvline(FAST_MS, color="#cccccc", linewidth=1, zorder=0)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("share answered by then", fontsize=8)
    lines = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        lines.values(), lines.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def _curves(
    axes: Any,
    samples: Sequence[Sample],
    kinds: Mapping[Key, Kind],
    kind: Kind,
    system: str,
    colour: str,
) -> None:
    found = times(samples, kinds, {kind})
    percents = np.arange(1, 100)
    for measure, style, label in ((found.answered, "-", system), (found.awaited, ":", None)):
        points = [(ms, p / 100) for p in percents if (ms := measure(float(p))) is not None]
        if points:
            x, y = zip(*points, strict=True)
            axes.step(x, y, style, where="post", color=colour, label=label, linewidth=1.5)
