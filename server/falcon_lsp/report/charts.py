"""Charts as inline SVG: stacked columns over time, and rows with an optional lower bound.

Colours are classes of `style.css`. A picture says its title and summary to a screen reader; the
numbers stand in the table that `page` puts below each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from falcon_lsp.report.markup import Markup, join, tag

Format = Callable[[float], str]

WIDTH, HEIGHT = 800, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 18, 22
"""Margins: numbers on the left, dates below, a line of labels above."""
MOST_LABELS = 9
ROW, NAME, TAIL = 26, 150, 70
"""Height of a row, and the room for its name on the left and its number on the right."""


@dataclass(frozen=True, slots=True)
class Column:
    """Stacked values by class, upwards where positive; ``mark`` is a dot, ``note`` stands above."""

    label: str
    parts: Sequence[tuple[str, float]]
    mark: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One bar from zero to ``value``; ``bound`` draws a line from there to the value."""

    label: str
    value: float
    text: str
    kind: str = "main"
    bound: float | None = None


def columns_chart(
    name: str, title: str, summary: str, columns: Sequence[Column], number: Format
) -> Markup:
    """Return columns side by side; ``name`` makes the ids, ``number`` writes the axis."""
    marks = [column.mark for column in columns if column.mark is not None]
    low = min([0.0, *marks, *(_sum(column, -1) for column in columns)])
    high = max([0.0, *marks, *(_sum(column, 1) for column in columns)])
    ticks = axis(low, high)
    scale = _Scale(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(columns))
    every = math.ceil(len(columns) / MOST_LABELS)
    drawn = [
        _column(column, LEFT + step * (index + 0.5), min(step * 0.7, 40.0), scale, labelled=shown)
        for index, column in enumerate(columns)
        for shown in [index % every == 0]
    ]
    return _picture(name, title, summary, HEIGHT, [_grid(ticks, scale, number), *drawn])


def rows_chart(name: str, title: str, summary: str, rows: Sequence[Row]) -> Markup:
    """Return bars one below the other."""
    values = [v for row in rows for v in (row.value, row.bound) if v is not None]
    scale = _Scale(min(0.0, *values, 0.0), max(0.0, *values, 0.0), NAME, WIDTH - TAIL)
    height = ROW * len(rows)
    zero = _line(scale(0.0), 0, scale(0.0), height, "axis")
    drawn = [_row(row, index * ROW, scale) for index, row in enumerate(rows)]
    return _picture(name, title, summary, height, [*drawn, zero])


def axis(low: float, high: float) -> list[float]:
    """Return about four round numbers, in order, that reach from ``low`` to ``high``."""
    reach = high - low or 1.0
    size = 10.0 ** math.floor(math.log10(reach / 3))
    step = next(size * n for n in (1, 2, 5, 10) if reach / (size * n) <= 4)
    first, last = math.floor(low / step), math.ceil((high or (low == 0.0)) / step)
    return [n * step for n in range(first, last + 1)]


class _Scale:
    """Maps values from ``low`` to ``high`` to pixels from ``start`` to ``end``."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._start = low, start
        self._factor = (end - start) / (high - low or 1.0)

    def __call__(self, value: float) -> float:
        return self._start + (value - self._low) * self._factor


def _sum(column: Column, sign: int) -> float:
    return sum(value for _, value in column.parts if value * sign > 0)


def _grid(ticks: Sequence[float], scale: _Scale, number: Format) -> Markup:
    lines = []
    for tick in ticks:
        at = scale(tick)
        lines.append(_line(LEFT, at, WIDTH - RIGHT, at, "axis" if tick == 0 else "grid"))
        lines.append(_text(LEFT - 6, at + 4, number(tick), anchor="end"))
    return join(*lines)


def _column(
    column: Column, middle: float, width: float, scale: _Scale, *, labelled: bool
) -> Markup:
    drawn, up, down = [], 0.0, 0.0
    for kind, value in column.parts:
        begin = up if value > 0 else down
        top, bottom = sorted((scale(begin), scale(begin + value)))
        if value:
            drawn.append(_box(middle - width / 2, top, width, bottom - top, kind))
        up, down = (up + value, down) if value > 0 else (up, down + value)
    if column.mark is not None:
        height = _number(scale(column.mark))
        drawn.append(tag("circle", class_="mark", cx=_number(middle), cy=height, r=4))
    if labelled:
        drawn.append(_text(middle, HEIGHT - 6, column.label))
        drawn.append(_text(middle, scale(up) - 5, column.note, kind="note"))
    return tag("g", *drawn)


def _row(row: Row, top: float, scale: _Scale) -> Markup:
    left, right = sorted((scale(0.0), scale(row.value)))
    middle = top + ROW / 2
    drawn = [
        _text(0, middle + 4, row.label, anchor="start", kind="name"),
        _box(left, top + 6, max(1.0, right - left), ROW - 12, row.kind),
        _text(WIDTH, middle + 4, row.text, anchor="end"),
    ]
    if row.bound is not None:
        drawn.append(_line(scale(row.bound), middle, scale(row.value), middle, "bound"))
        drawn.append(_line(scale(row.bound), middle - 5, scale(row.bound), middle + 5, "bound"))
    return tag("g", *drawn)


def _picture(name: str, title: str, summary: str, height: float, drawn: Sequence[Markup]) -> Markup:
    ids = f"{name}-title {name}-summary"
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", summary, id=f"{name}-summary"),
        *drawn,
        role="img",
        aria_labelledby=ids,
        viewBox=f"0 0 {WIDTH} {_number(height)}",
    )


def _box(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    places = {"x": x, "y": y, "width": width, "height": height}
    return tag("rect", class_=kind, rx=1, **{key: _number(each) for key, each in places.items()})


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    places = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return tag("line", class_=kind, **{key: _number(each) for key, each in places.items()})


def _text(
    x: float, y: float, text: str, *, anchor: str = "middle", kind: str | None = None
) -> Markup:
    return tag("text", text, x=_number(x), y=_number(y), text_anchor=anchor, class_=kind)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
