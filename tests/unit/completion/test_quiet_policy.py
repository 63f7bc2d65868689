"""When to stay quiet: features, thresholds, exploration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_samples import at
from falcon_lsp.completion import features, policy
from falcon_lsp.completion.belief import usual
from falcon_lsp.completion.candidates import Candidate
from falcon_lsp.completion.policy import decide
from falcon_lsp.config import CompletionOptions
from falcon_lsp.core.types import Lately

OPTIONS = CompletionOptions()
PRIOR = usual()
UNKNOWN = Lately()


def sampled(logprob: float, text: str = "value + 1") -> Candidate:
    return Candidate(text, "model", token_ids=(1, 2, 3, 4), logprobs=(logprob,) * 4)


def seen(marked: str, candidate: Candidate | None = None, **lately: float) -> features.Vector:
    return features.vector(at(marked), Lately(**lately), candidate)


def number(given_: features.Vector, name: str) -> float:
    return given_[features.NAMES.index(name)]


@pytest.mark.parametrize(
    ("marked", "names"),
    [
        ("x = f‸", {"after word"}),
        ("x.‸", {"after dot"}),
        ("f(‸", {"after opener"}),
        ("x =‸", {"after operator"}),
        ("f()‸", {"after closer"}),
        ("if x:\n    ‸", {"after start"}),
        ("‸", {"after start"}),
        ("x = ‸", set()),
        ("x = va‸lue", {"after word", "inside word", "code behind"}),
        ("f(‸)", {"after opener"}),
        ("f(‸, y)", {"after opener", "code behind"}),
        ("x = ‸\ny = 1", set()),
    ],
)
def test_the_place_is_described_by_its_line(marked: str, names: set[str]) -> None:
    place = dict(zip(features.NAMES, seen(marked), strict=True))
    on = {name for name in features.NAMES[1:9] if place[name]}
    assert on == names


@pytest.mark.parametrize(
    ("candidate", "name", "value"),
    [
        (sampled(-0.5), "doubt", 0.5),
        (sampled(-9.0), "doubt", 3.0),
        (Candidate("a", "model", logprobs=(-0.5, -2.0)), "first doubt", 0.25),
        (Candidate("a", "model", logprobs=(-0.5, -2.0)), "worst doubt", 0.5),
        (Candidate("copied", "copy", matched=48), "unseen", 1.0),
        (Candidate("copied", "copy", matched=48, scored=(-1.0,)), "unseen", 0.0),
        (Candidate("copied", "copy", matched=48), "matched", 0.5),
        (Candidate("copied", "copy", matched=480), "matched", 1.0),
        (sampled(-0.1, "one\ntwo"), "lines", 1.0),
        (sampled(-0.1, "\none"), "new line", 1.0),
        (sampled(-0.1, "\none"), "lines", 0.0),
        (Candidate("a", "model", finish="deadline"), "cut", 1.0),
    ],
)
def test_a_candidate_is_described_without_its_text(
    candidate: Candidate, name: str, value: float
) -> None:
    assert number(seen("x = ‸", candidate), name) == pytest.approx(value)


def test_what_happened_lately_is_described() -> None:
    moment = seen("x = ‸", acceptance=0.5, here=-0.5, around=0.25, pace=40.0, errors=9)
    names = ("acceptance", "here", "around", "pace", "errors")
    assert [number(moment, name) for name in names] == [0.2, -0.5, 0.25, 2.0, 1.0]


def test_a_vector_has_a_number_for_each_name() -> None:
    assert len(seen("x = ‸")) == len(features.NAMES) == len(set(features.NAMES))


@pytest.mark.parametrize(
    ("marked", "candidate", "shown"),
    [
        ("x = ‸", sampled(-0.02), True),
        ("x = ‸", sampled(-2.5), False),
        ("x = ‸", Candidate("copied", "copy", matched=80, scored=(-0.02,)), True),
        ("x = va‸lue", sampled(-2.0), False),
    ],
)
def test_the_prior_shows_what_is_likely_to_be_taken(
    marked: str, candidate: Candidate, shown: bool
) -> None:
    decision = decide(seen(marked, candidate), PRIOR, OPTIONS)
    assert decision.show is shown
    assert (decision.probability >= OPTIONS.threshold) is shown


def test_more_is_shown_to_those_who_take_more() -> None:
    rare, often = (
        PRIOR.probability(seen("x = ‸", sampled(-0.5), acceptance=a)) for a in (0.1, 0.6)
    )
    assert rare < often


def test_what_was_asked_for_is_always_shown() -> None:
    asked = features.vector(at("x = va‸lue", invoked=True), UNKNOWN, sampled(-9.0))
    assert decide(asked, PRIOR, CompletionOptions(threshold=1.0)).show


@pytest.mark.parametrize(
    ("how", "base", "threshold"),
    [
        ("balanced", 0.25, 0.25),
        ("eager", 0.25, 0.125),
        ("quiet", 0.25, 0.5),
        ("quiet", 1.0, 1.0),
        ("quiet", 0.0, 0.0),
    ],
)
def test_aggressiveness_scales_the_threshold(how: str, base: float, threshold: float) -> None:
    options = CompletionOptions(threshold=base, aggressiveness=how)
    assert policy.threshold(options) == pytest.approx(threshold)


def test_just_below_the_threshold_a_few_are_shown_and_the_propensity_says_so() -> None:
    usual = seen("x = ‸")
    chance = PRIOR.probability(usual)
    near = CompletionOptions(threshold=chance + policy.EXPLORE_BAND / 2)
    far = CompletionOptions(threshold=chance + policy.EXPLORE_BAND * 2)
    share = policy.EXPLORE_SHARE
    shown = decide(usual, PRIOR, near, draw=share / 2)
    assert (shown.show, shown.propensity) == (True, share)
    assert not decide(usual, PRIOR, near, draw=share).show
    assert decide(usual, PRIOR, far, draw=0.0) == policy.Decision(
        show=False, propensity=0.0, probability=chance, least=far.threshold
    )


@pytest.mark.parametrize(
    ("dismissed", "factor"), [(0.0, 1.0), (0.1, 1.0), (0.2, 1.4), (0.25, 1.6), (1.0, 1.6)]
)
def test_who_dismisses_more_sees_less(dismissed: float, factor: float) -> None:
    options = CompletionOptions(threshold=0.1)
    least = policy.threshold(options, Lately(dismissed=dismissed))
    assert least == pytest.approx(0.1 * factor)


VECTORS = st.lists(
    st.floats(-3, 3), min_size=len(features.NAMES), max_size=len(features.NAMES)
).map(tuple)


@given(given_=VECTORS, least=st.floats(0, 1), draw=st.floats(0, 1, exclude_max=True))
def test_the_propensity_is_the_share_of_draws_that_show(
    given_: features.Vector, least: float, draw: float
) -> None:
    decision = decide(given_, PRIOR, CompletionOptions(threshold=least), draw)
    assert 0 < decision.probability < 1
    assert decision.propensity in (0.0, policy.EXPLORE_SHARE, 1.0)
    assert decision.show is (draw < decision.propensity)


def test_before_a_candidate_the_best_that_could_come_is_assumed() -> None:
    before = PRIOR.probability(seen("x = ‸"))
    assert before >= PRIOR.probability(seen("x = ‸", sampled(-0.5)))
