"""What the replays of several projects say together."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation.gains import COUNTED
from instant import together

Row = dict[str, list[int]]


def run(project: str, *rows: Row) -> dict[str, Any]:
    waits = {"frozen": [100, 300], "learned": [50, 70]}
    return {
        "project": project, "by_commit": list(rows), "lines": 10, "commits": len(rows),
        "latencies_ms": waits,
    }  # fmt: skip


def row(frozen: tuple[int, ...], learned: tuple[int, ...]) -> Row:
    return {"frozen": list(frozen), "learned": list(learned)}


def test_gains_are_those_of_the_sums_and_alike_commits_leave_no_doubt() -> None:
    alike = row((10, 4, 100, 2), (8, 4, 120, 3))
    found = together([run("one", alike, alike), run("two", alike)])
    assert found["counts"] == {
        "frozen": dict(zip(COUNTED, (30, 12, 300, 6), strict=True)),
        "learned": dict(zip(COUNTED, (24, 12, 360, 9), strict=True)),
    }
    expected = {"kept_chars": 0.2, "acceptance": 0.25, "shown": -0.2, "exact_lines": 0.5}
    assert found["relative"] == pytest.approx(expected)
    for name, value in expected.items():
        assert found["interval"][name] == pytest.approx([value, value])
    assert (found["lines"], found["commits"]) == (20, 3)
    assert found["p50_ms"] == {"frozen": 200.0, "learned": 60.0}


def test_commits_that_differ_leave_doubt_around_the_gain() -> None:
    rows = [row((10, 5, 100, 2), (10, 5, 100 + 40 * (n % 2), 2)) for n in range(8)]
    found = together([run("one", *rows)])
    low, high = found["interval"]["kept_chars"]
    assert found["relative"]["kept_chars"] == pytest.approx(0.2)
    assert low < found["relative"]["kept_chars"] < high
    assert found["interval"]["shown"] == pytest.approx([0.0, 0.0])
