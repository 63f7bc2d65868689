"""A training report on disk: a page to read, a picture of the steps, the numbers for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from falcon_lsp.core.paths import Store, atomic_write, private_folder
from falcon_lsp.learning.background.report import TrainingReport
from falcon_lsp.learning.walk import StepStats

WIDTH, HEIGHT, MARGIN = 640, 180, 48


def report_folder(store: Store, when: datetime) -> Path:
    """Return where the report of a training that ended at ``when`` goes."""
    return store.data / "reports" / f"training-{when:%Y%m%d-%H%M%S}"


def write_report(report: TrainingReport, folder: Path) -> Path:
    """Write ``report.md``, ``steps.svg`` and ``report.json`` into ``folder``; return the page."""
    private_folder(folder)
    steps = [step for update in report.updates for step in update.steps]
    files = {
        "report.json": json.dumps(report.as_dict(), indent=1, default=str),
        "steps.svg": steps_chart(steps),
        "report.md": _page(report, steps),
    }
    for name, text in files.items():
        atomic_write(folder / name, text.encode())
    return folder / "report.md"


def steps_chart(steps: Sequence[StepStats]) -> str:
    """Return a picture (SVG) of the loss and of the KL to the base, one curve above the other."""
    curves = [
        _curve("loss", [step.loss for step in steps], 0),
        _curve("KL to the base, nats per token", [step.kl for step in steps], HEIGHT),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {2 * HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img">'
        "<title>Loss and KL to the base, step by step</title>"
        f'<rect width="{WIDTH}" height="{2 * HEIGHT}" fill="white"/>{"".join(curves)}</svg>\n'
    )


def _curve(name: str, values: Sequence[float], top: int) -> str:
    """Draw one curve in the band below ``top``, with its smallest and largest value at the side."""
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    span = (high - low) or 1.0
    across = (WIDTH - 2 * MARGIN) / max(1, len(values) - 1)
    down = HEIGHT - 2 * MARGIN
    points = [
        (MARGIN + at * across, top + HEIGHT - MARGIN - (value - low) / span * down)
        for at, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points)
    return (
        f'<text x="{MARGIN}" y="{top + MARGIN - 14}">{name}</text>'
        f'<text x="{MARGIN - 6}" y="{top + MARGIN + 4}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{MARGIN - 6}" y="{top + HEIGHT - MARGIN + 4}" text-anchor="end">{low:.3g}</text>'
        f'<g fill="#1f5fa8"><polyline points="{line}" fill="none" stroke="#1f5fa8"/>{dots}</g>'
    )


def _page(report: TrainingReport, steps: Sequence[StepStats]) -> str:
    rows = [
        f"| {number} | {step.tokens} | {step.loss:+.4f} | {step.kl:.4f} | {step.ratio:.3f} "
        f"| {step.clipped:.1%} |"
        for number, step in enumerate(steps, 1)
    ]
    table = [
        "| step | trained tokens | loss | KL to the base | mean ratio | clipped |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
    ]
    picture = ["![Loss and KL, step by step](steps.svg)", "", *table] if steps else []
    summary = [f"    {line}" for line in report.lines()]
    return "\n".join(["# What was learned", "", *summary, "", *picture]).rstrip() + "\n"
