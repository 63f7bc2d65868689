"""Facts about percentiles, about what the next key cut off, and about ratios."""

from __future__ import annotations

import numpy as np
import pytest

from keystrokes.estimates import Times, nearest_rank, paired_ratio


def times(*rows: tuple[float, bool]) -> Times:
    return Times.of([(ms, seen, at % 3) for at, (ms, seen) in enumerate(rows)])


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (10, 1), (50, 5), (51, 6), (95, 10), (100, 10)]
)
def test_percentiles_are_values_that_occurred(percent: float, expected: float) -> None:
    assert nearest_rank(np.arange(10, 0, -1.0), percent) == expected


def test_nothing_has_no_percentile() -> None:
    assert Times.of([]).answered(50) is None
    assert Times.of([]).awaited(50) is None


def test_without_withdrawals_both_kinds_agree() -> None:
    all_seen = times(*((float(ms), True) for ms in range(1, 42)))
    for percent in (10, 50, 95):
        assert all_seen.awaited(percent) == all_seen.answered(percent)


def test_what_was_withdrawn_would_have_taken_longer() -> None:
    """The example of any textbook: deaths at 1, 3, 5; lost at 2 and 4.

    Survival: 4/5 after 1, 4/5 * 2/3 after 3, 0 after 5.
    """
    found = times((1, True), (2, False), (3, True), (4, False), (5, True))
    assert [found.awaited(p) for p in (20, 21, 46, 47, 50, 95)] == [1, 3, 3, 5, 5, 5]
    assert found.answered(50) == 3


def test_a_percentile_beyond_everything_seen_is_not_known() -> None:
    found = times((1, True), (2, False), (3, False))
    assert found.awaited(33) == 1
    assert found.awaited(50) is None


def test_answers_at_the_same_time_as_withdrawals_come_first() -> None:
    assert times((2, False), (2, True)).awaited(50) == 2


def test_a_slow_server_that_is_cut_off_looks_slow_only_with_its_withdrawals() -> None:
    rng = np.random.default_rng(0)
    needed, given = rng.exponential(300, 4000), rng.uniform(50, 900, 4000)
    rows = [(min(n, g), bool(n <= g), 0) for n, g in zip(needed, given, strict=True)]
    found = Times.of(rows)
    assert found.answered(50) < 180
    assert found.awaited(50) == pytest.approx(300 * np.log(2), rel=0.1)


def test_a_summary_has_intervals_around_its_values() -> None:
    summary = times(*((float(ms), ms % 5 > 0) for ms in range(1, 60))).summary()
    assert (summary["n"], summary["withdrawn"]) == (48, 11)
    for name in ("p50", "p95", "p50_awaited", "p95_awaited"):
        found = summary[name]
        assert found["low"] <= found["value"] <= found["high"]


def test_a_ratio_of_medians_knows_its_spread() -> None:
    ours = [10.0, 12.0, 11.0, 30.0] * 10
    found = paired_ratio(ours, [2 * ms for ms in ours], [at // 4 for at in range(40)])
    assert found["ratio"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert found["n"] == 40


def test_a_ratio_of_nothing_is_not_known() -> None:
    assert paired_ratio([], [], [])["ratio"] is None
