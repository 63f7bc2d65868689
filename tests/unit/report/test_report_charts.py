"""Charts put values where their axis says, and axes have round numbers."""

from __future__ import annotations

import re

import pytest

from falcon_lsp.report import words
from falcon_lsp.report.charts import HEIGHT, WIDTH, Column, Row, axis, columns_chart, rows_chart


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 0, [0, 0.5, 1]),
        (0, 7, [0, 2, 4, 6, 8]),
        (0, 63, [0, 20, 40, 60, 80]),
        (-0.1, 0.3, [-0.1, 0, 0.1, 0.2, 0.3]),
        (-1.5, 0, [-1.5, -1, -0.5, 0]),
        (0, 25_000, [0, 10_000, 20_000, 30_000]),
    ],
)
def test_axes_have_few_round_numbers_that_hold_all_values(
    low: float, high: float, expected: list[float]
) -> None:
    assert axis(low, high) == pytest.approx(expected)


def rectangles(svg: str) -> list[tuple[str, float, float, float, float]]:
    found = re.findall(
        r'<rect class="(\w+)" rx="1" x="([^"]+)" y="([^"]+)" width="([^"]+)" height="([^"]+)"', svg
    )
    return [(kind, *map(float, numbers)) for kind, *numbers in found]  # type: ignore[misc]


def test_parts_are_stacked_from_zero_up_and_down() -> None:
    column = Column("1 Jan", [("main", 2), ("bad", -1), ("warn", -1), ("rest", 0)], mark=0)
    svg = columns_chart("c", "title", "summary", [column], words.short)
    (main, _, top, _, up), (bad, _, zero, _, one), (warn, _, below, _, other) = rectangles(svg)
    assert (main, bad, warn) == ("main", "bad", "warn")
    assert zero == pytest.approx(top + up, abs=0.2)
    assert below == pytest.approx(zero + one, abs=0.2)
    assert up == pytest.approx(2 * one, abs=0.2)
    assert one == pytest.approx(other, abs=0.2)
    dot = re.search(r'<circle class="mark" cx="[^"]+" cy="([^"]+)"', svg)
    assert dot is not None
    assert float(dot[1]) == pytest.approx(zero, abs=0.2)


@pytest.mark.parametrize("count", [1, 5, 26])
def test_columns_stay_in_the_picture_and_their_labels_apart(count: int) -> None:
    columns = [Column(f"day {n}", [("main", n + 1.0)], note="50 %") for n in range(count)]
    svg = columns_chart("c", "title", "summary", columns, words.short)
    boxes = rectangles(svg)
    assert len(boxes) == count
    assert all(x >= 0 and x + wide <= WIDTH and 0 <= y <= HEIGHT for _, x, y, wide, _ in boxes)
    assert 1 <= svg.count(">day ") <= 9


def test_a_row_reaches_from_zero_to_its_value_and_its_bound_is_drawn() -> None:
    rows = [Row("a", 2.0, "+2", bound=-1.0), Row("b", -1.0, "−1", "rest")]
    svg = rows_chart("r", "title", "summary", rows)
    (_, left, _, width, _), (kind, other, _, narrow, _) = rectangles(svg)
    assert kind == "rest"
    assert width == pytest.approx(2 * narrow, abs=0.3)
    assert left == pytest.approx(other + narrow, abs=0.3)
    assert svg.count('class="bound"') == 2


def test_all_zeros_make_a_picture_too() -> None:
    assert "<svg" in rows_chart("r", "t", "s", [Row("a", 0, "0")])
    assert "<svg" in columns_chart("c", "t", "s", [Column("a", [("main", 0)])], words.short)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "2 kB"), (98_000_000, "98.0 MB")]
)
def test_sizes_are_written_in_the_unit_that_fits(size: int, text: str) -> None:
    assert words.size(size) == text


@pytest.mark.parametrize("when", [1e17, float("inf"), float("nan")])
def test_a_time_that_no_calendar_has_is_written_as_nothing(when: float) -> None:
    assert words.date(when) == ""
