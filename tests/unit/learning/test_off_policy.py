"""Off-policy estimates against the truth, which a simulation knows."""

import dataclasses
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falcon_lsp.learning.off_policy import LEAST_EFFECTIVE, Logged, TooLittle, evaluate

Policy = Callable[[float], float]
COST = 0.25


def careful(chance: float) -> float:
    """Show what is likely, and some of what is nearly likely."""
    return 1.0 if chance >= 0.4 else 0.1 if chance >= 0.2 else 0.0


def always_some(chance: float) -> float:
    return 0.2 + 0.6 * chance


TARGETS: dict[str, Policy] = {
    "the same": careful,
    "quieter": lambda chance: float(chance >= 0.6),
    "a little more eager": lambda chance: float(chance >= 0.3),
    "half of all likely": lambda chance: 0.5 * (chance >= 0.4),
}


def log(
    count: int, behave: Policy, target: Policy, rng: random.Random, *, misled: float = 0.0
) -> list[Logged]:
    """Return what would be in the ledger; suggestions of no propensity are not."""
    rows = []
    while len(rows) < count:
        chance = rng.random()
        propensity = behave(chance)
        shown, taken = rng.random() < propensity, rng.random() < chance
        reward = (1 - COST if taken else -COST) if shown else 0.0
        predicted = chance - COST + misled
        if propensity > 0:
            rows.append(
                Logged(propensity, target(chance), shown, reward, predicted, str(len(rows) % 40))
            )
    return rows


def truth(behave: Policy, target: Policy) -> float:
    """Return the target's worth per suggestion that could be shown, by integration."""
    chances = [(n + 0.5) / 20_000 for n in range(20_000)]
    possible = [chance for chance in chances if behave(chance) > 0]
    return sum(target(chance) * (chance - COST) for chance in possible) / len(possible)


@pytest.mark.parametrize("behave", [careful, always_some], ids=["band", "everywhere"])
@pytest.mark.parametrize("name", TARGETS)
def test_estimates_have_no_bias_and_their_intervals_hold_the_truth(
    behave: Policy, name: str
) -> None:
    target, rng = TARGETS[name], random.Random(f"{name}:{behave.__name__}")
    expected = truth(behave, target)
    found = [evaluate(log(600, behave, target, rng), seed=n) for n in range(120)]
    for way in ("ips", "snips", "doubly_robust"):
        values = np.array([getattr(each, way).value for each in found])
        error = abs(values.mean() - expected) / (values.std() / np.sqrt(len(values)) + 1e-9)
        assert error < 3.5, way
        covered = [getattr(e, way).low <= expected <= getattr(e, way).high for e in found]
        assert sum(covered) >= 106, way  # 114 are expected


@pytest.mark.parametrize("misled", [0.0, 0.05], ids=["a good model", "a model that is off"])
def test_doubly_robust_varies_less_than_ips(misled: float) -> None:
    rng, target = random.Random(4), TARGETS["a little more eager"]
    found = [evaluate(log(400, careful, target, rng, misled=misled), seed=n) for n in range(60)]
    ips = np.array([each.ips.value for each in found])
    robust = np.array([each.doubly_robust.value for each in found])
    assert robust.std() < ips.std()
    assert robust.mean() == pytest.approx(truth(careful, target), abs=0.02)


def test_the_policy_in_use_is_worth_what_it_was() -> None:
    found = evaluate(log(2000, careful, careful, random.Random(2)))
    assert found.ips.value == pytest.approx(found.logged.value)


def test_a_policy_that_shows_nothing_rests_on_nothing() -> None:
    with pytest.raises(TooLittle, match="only 0 suggestions"):
        evaluate(log(500, careful, lambda _: 0.0, random.Random(1)))


def test_few_suggestions_are_refused_in_one_sentence() -> None:
    rows = log(40, careful, careful, random.Random(1))
    with pytest.raises(TooLittle, match=f"{LEAST_EFFECTIVE:.0f} are needed") as refused:
        evaluate(rows)
    assert "\n" not in str(refused.value)


def test_explored_ones_count_by_their_weight() -> None:
    """Where a few heavy rows decide, many rows are few in effect."""
    sure = [Logged(1.0, 0.1, True, 0.75, 0.5, str(n)) for n in range(200)]
    rare = [Logged(0.01, 1.0, True, 0.75, 0.5, f"rare {n}") for n in range(10)]
    with pytest.raises(TooLittle, match=r"only 1\d "):
        evaluate(sure + rare)


def test_a_log_of_nothing_is_refused() -> None:
    with pytest.raises(TooLittle):
        evaluate([])


ROWS = st.builds(
    Logged,
    propensity=st.sampled_from([1.0, 0.05]),
    target=st.sampled_from([0.0, 0.05, 1.0]),
    shown=st.booleans(),
    reward=st.floats(-0.5, 0.75),
    predicted=st.floats(-0.5, 0.75),
    cluster=st.sampled_from("abcdefgh"),
)


@given(rows=st.lists(ROWS, min_size=1, max_size=200), seed=st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_the_order_of_rows_and_what_held_back_ones_claim_do_not_matter(
    rows: list[Logged], seed: int
) -> None:
    rows = rows + [Logged(0.05, 1.0, True, 0.5, 0.5, "a")] * 60
    found = evaluate(rows, seed)
    claimed = [row if row.shown else dataclasses.replace(row, reward=0.7) for row in reversed(rows)]
    again = evaluate(claimed, seed)
    assert again.ips.value == pytest.approx(found.ips.value, abs=2e-4)
    assert again.doubly_robust.value == pytest.approx(found.doubly_robust.value, abs=2e-4)
    assert again.effective == pytest.approx(found.effective)
    assert found.ips.low <= found.ips.high
