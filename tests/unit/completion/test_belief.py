"""What is believed of a developer: it follows the evidence, and nothing runs away with it."""

import dataclasses
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falcon_lsp.completion import features
from falcon_lsp.completion.belief import MOST_SHIFT, Belief, Prior, dot, logistic, shipped_prior

SMALL = Prior((0.2, -0.5), (0.6, 0.4))
VECTORS = st.tuples(st.just(1.0), st.floats(-2, 2))
OUTCOMES = st.lists(st.tuples(VECTORS, st.sampled_from([0.0, 1.0]), st.floats(0, 1)), max_size=60)


def after(outcomes: list[tuple[tuple[float, ...], float, float]]) -> Belief:
    belief = Belief.fresh(SMALL)
    for outcome in outcomes:
        belief = belief.learned(*outcome)
    return belief


def log_odds(belief: Belief, given_: tuple[float, ...]) -> float:
    chance = belief.probability(given_)
    return math.log(chance / (1 - chance))


def test_the_shipped_prior_knows_every_feature() -> None:
    prior = shipped_prior()
    assert len(prior.mean) == len(prior.spread) == len(features.NAMES)
    assert min(prior.spread) >= 0


def test_a_prior_of_other_features_is_refused() -> None:
    body = {"version": features.VERSION, "weights": {"one": {"mean": 0.0, "spread": 1.0}}}
    with pytest.raises(ValueError, match="other features"):
        Prior.read(body)


def test_one_outcome_moves_to_the_maximum_of_its_posterior() -> None:
    given_, taken, worth = (1.0, 0.5), 1.0, 0.7
    before = Belief.fresh(SMALL)
    after_ = before.learned(given_, taken, worth)
    # The step is the exact maximum; what fades afterwards is worth / FADING of the way back.
    gradients = [
        (m - p) / s**2 - worth * (taken - logistic(dot(after_.mean, given_))) * x
        for m, p, s, x in zip(after_.mean, SMALL.mean, SMALL.spread, given_, strict=True)
    ]
    assert gradients == pytest.approx([0.0, 0.0], abs=2e-3)


@given(outcomes=OUTCOMES, given_=VECTORS)
@settings(deadline=None)
def test_log_odds_never_leave_the_bound_and_certainty_never_shrinks_below_the_prior(
    outcomes: list[tuple[tuple[float, ...], float, float]], given_: tuple[float, ...]
) -> None:
    belief = after(outcomes)
    shift = log_odds(belief, given_) - SMALL.score(given_)
    assert abs(shift) <= MOST_SHIFT + 1e-6
    for i, spread in enumerate(SMALL.spread):
        assert 0 < belief.covariance[i][i] <= spread**2 + 1e-12
    assert belief.covariance[0][1] == pytest.approx(belief.covariance[1][0])


@given(given_=VECTORS, worth=st.floats(0.01, 1), outcomes=OUTCOMES)
@settings(deadline=None)
def test_taking_never_makes_less_likely_and_declining_never_more(
    given_: tuple[float, ...],
    worth: float,
    outcomes: list[tuple[tuple[float, ...], float, float]],
) -> None:
    # Without fading, which may pull the other way by a thousandth.
    before = after(outcomes)
    score = dot(before.mean, given_)
    pull = abs(score - SMALL.score(given_)) * worth / 1000 + 1e-9
    assert dot(before.learned(given_, 1.0, worth).mean, given_) >= score - pull
    assert dot(before.learned(given_, 0.0, worth).mean, given_) <= score + pull


def test_what_is_worth_nothing_changes_nothing() -> None:
    before = after([((1.0, 1.0), 1.0, 1.0)])
    assert before.learned((1.0, -1.0), 0.0, 0.0) == before


def test_a_developer_is_learned_within_a_hundred_outcomes() -> None:
    rng = random.Random(3)
    truth = (-0.8, 0.5)
    belief = Belief.fresh(SMALL)
    for _ in range(100):
        given_ = (1.0, rng.uniform(-2, 2))
        belief = belief.learned(given_, float(rng.random() < logistic(dot(truth, given_))), 1.0)

    def error(guess: Belief) -> float:
        places = [(1.0, x / 10) for x in range(-20, 21)]
        return sum((guess.probability(p) - logistic(dot(truth, p))) ** 2 for p in places)

    assert error(belief) < error(Belief.fresh(SMALL)) / 3


def test_the_same_outcomes_give_the_same_weights() -> None:
    outcomes = [((1.0, 0.1 * n), float(n % 3 == 0), 0.5) for n in range(50)]
    assert after(outcomes) == after(outcomes)


def test_without_evidence_everything_returns_to_the_prior() -> None:
    belief = after([((1.0, 1.0), 1.0, 1.0)] * 30)
    distant = belief
    for _ in range(8000):
        distant = distant.faded(1 / 1000)
    assert distant.mean == pytest.approx(SMALL.mean, abs=1e-3)
    assert distant != dataclasses.replace(belief)


@pytest.mark.parametrize("score", [-1e9, -800.0, 0.0, 800.0, 1e9])
def test_no_score_overflows(score: float) -> None:
    assert 0 <= logistic(score) <= 1
