"""Facts about the intervals: known values, clusters, pairs."""

from __future__ import annotations

import random

import pytest

from evaluation.intervals import Ratio, difference, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1.0))],
)
def test_wilson_gives_the_published_values(
    successes: int, trials: int, expected: tuple[float, float]
) -> None:
    assert wilson(successes, trials) == pytest.approx(expected, abs=1e-4)


def test_no_trial_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_items_that_are_clusters_of_their_own_get_wilsons_interval() -> None:
    ratio = Ratio([1, 0, 1, 1], [1] * 4, list("abcd"))
    assert ratio.value == 0.75
    assert ratio.interval() == wilson(3, 4)


def test_equal_items_in_a_cluster_count_as_one_observation() -> None:
    rng = random.Random(1)
    single = [rng.random() < 0.5 for _ in range(60)]
    apart = Ratio(single * 10, [1] * 600, [str(at) for at in range(600)])
    together = Ratio(single * 10, [1] * 600, [str(at) for at in range(60)] * 10)
    low, high = together.interval()
    narrow_low, narrow_high = apart.interval()
    assert high - low > 2.5 * (narrow_high - narrow_low)
    assert low < together.value < high


def test_a_ratio_weighs_items_by_what_stands_below() -> None:
    assert Ratio([10, 1], [100, 1], ["a", "b"]).value == pytest.approx(11 / 101)


def test_pairs_cancel_what_two_rows_have_in_common() -> None:
    rng = random.Random(2)
    left = [rng.random() for _ in range(100)]
    clusters = [str(at % 20) for at in range(100)]
    better = Ratio([value + 0.1 for value in left], [1] * 100, clusters)
    assert difference(Ratio(left, [1] * 100, clusters), better) == pytest.approx((0.1, 0.1, 0.1))


def test_rows_scored_on_other_items_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same items"):
        difference(Ratio([1], [1], ["a"]), Ratio([1], [1], ["b"]))
