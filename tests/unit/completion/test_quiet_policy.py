"""When to stay quiet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_samples import at
from falcon_lsp.completion import policy
from falcon_lsp.completion.candidates import Candidate
from falcon_lsp.completion.policy import Features, decide, features
from falcon_lsp.config import CompletionOptions

OPTIONS = CompletionOptions()
USUAL = Features(acceptance=0.3, after="space", inside_word=False, invoked=False)


def sampled(logprob: float, text: str = "value + 1") -> Candidate:
    return Candidate(text, "model", token_ids=(1, 2), logprobs=(logprob, logprob))


@pytest.mark.parametrize(
    ("marked", "candidate", "acceptance", "shown"),
    [
        ("x = ‸", sampled(-0.5), 0.3, True),
        ("x = ‸", sampled(-1.5), 0.3, False),
        ("x = ‸", sampled(-1.0), 0.0, False),
        ("x = ‸", sampled(-1.5), 0.9, True),
        ("x = va‸lue", sampled(-0.1), 0.3, False),
        ("x = f()‸", sampled(-0.9), 0.3, False),
        ("x = ‸", Candidate("copied", "copy", matched=40), 0.3, True),
        ("x = ‸", Candidate("copied", "copy", matched=60, scored=(-1.5,)), 0.3, True),
        ("x = ‸", Candidate("copied", "copy", matched=20, scored=(-1.5,)), 0.3, False),
        ("x = ‸", sampled(-0.8, "long " * 60), 0.3, False),
    ],
)
def test_priors_show_what_is_likely_to_be_taken(
    marked: str, candidate: Candidate, acceptance: float, shown: bool
) -> None:
    decision = decide(features(at(marked), acceptance, candidate), OPTIONS)
    assert decision.show is shown
    assert (decision.probability >= OPTIONS.threshold) is shown


def test_what_was_asked_for_is_always_shown() -> None:
    asked = features(at("x = va‸lue", invoked=True), 0.0, sampled(-9.0))
    assert decide(asked, CompletionOptions(threshold=1.0)).show


def test_just_below_the_threshold_a_few_are_shown_and_the_propensity_says_so() -> None:
    chance = policy.probability(USUAL)
    near = CompletionOptions(threshold=chance + policy.EXPLORE_BAND / 2)
    far = CompletionOptions(threshold=chance + policy.EXPLORE_BAND * 2)
    share = policy.EXPLORE_SHARE
    shown = decide(USUAL, near, draw=share / 2)
    assert (shown.show, shown.propensity) == (True, share)
    assert not decide(USUAL, near, draw=share).show
    assert decide(USUAL, far, draw=0.0) == policy.Decision(False, 0.0, chance)


@given(
    doubt=st.floats(0, 10) | st.none(),
    acceptance=st.floats(0, 1),
    after=st.sampled_from(
        [policy.character_class(c) for c in ["a", ".", "(", "+", " ", "\n", ")"]]
    ),
    matched=st.integers(0, 300),
    length=st.integers(1, 2000),
    inside=st.booleans(),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_a_decision_is_always_a_probability(
    doubt: float | None,
    acceptance: float,
    after: str,
    matched: int,
    length: int,
    inside: bool,
    draw: float,
) -> None:
    given_ = Features(acceptance, after, inside, False, doubt, matched, length)
    decision = decide(given_, OPTIONS, draw)
    assert 0 < decision.probability < 1
    assert decision.propensity in (0.0, policy.EXPLORE_SHARE, 1.0)
    assert not (decision.show and decision.propensity == 0)


def test_before_a_candidate_the_best_that_could_come_is_assumed() -> None:
    request = at("x = ‸")
    before = policy.probability(features(request, 0.3))
    assert before >= policy.probability(features(request, 0.3, sampled(-0.0001)))
