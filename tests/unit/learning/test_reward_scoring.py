"""Rewards of recorded episodes and of fresh samples: which facts become which terms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episodes_factory import episode
from falcon_lsp.core.types import Diagnostic, Outcome, Prompt
from falcon_lsp.learning.rewards import (
    Appraiser,
    Quality,
    Sample,
    TestOutcome,
    Trial,
    Verdict,
    mean_terms,
    reward,
    reward_all,
    score,
    score_all,
)

COMPILE = Diagnostic(0, 1, "invalid syntax", source="falcon")
TYPE_ERROR = Diagnostic(1, 1, "not assignable", source="checker")
WARNING = Diagnostic(1, 2, "unused", source="checker")
PASSED, FAILED = TestOutcome(Verdict.PASSED), TestOutcome(Verdict.FAILED)
DOUBLE = "def double(x):\n    "


class Counting(Appraiser):
    """Finds everything perfect, and remembers what it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "asked", [])

    def appraise(self, samples, token=None):
        self.asked.extend(sample.text for sample in samples)
        return [Quality(0.1, 0.1, 0.1) for _ in samples]


def test_a_liked_suggestion_that_does_not_compile_is_worth_minus_one() -> None:
    worth = reward(episode(what=Outcome.ACCEPTED, added=[COMPILE]))
    assert worth.total == -1.0
    assert worth.terms == {"compiler": -1.0, "error_lines": 0.0, "developer": 0.75}


def test_dislike_still_counts_below_a_compiler_error() -> None:
    assert reward(episode(what=Outcome.UNDONE, added=[COMPILE])).total == -1.5


@pytest.mark.parametrize(
    ("text", "prefix", "broken"),
    [
        (")", "x = 1", True),
        ("1", "x = ", False),
        (")", "x = ", True),
        ("2", "x = 1", False),
        ("0", "    cut off\n  here(", False),  # parses neither way: nothing follows
        ("if x:", "def f(x):\n    ", False),  # its body is written next
        ("if x y:", "def f(x):\n    ", True),
    ],
)
def test_python_that_stops_parsing_is_a_compiler_error(text, prefix, broken) -> None:
    found = reward(episode(text=text, prompt=Prompt("a.py", prefix, "\n")))
    assert (found.terms["compiler"] == -1.0) is broken


@pytest.mark.parametrize(
    ("line", "findings", "expected"),
    [
        (1, [TYPE_ERROR], {0}),
        (0, [TYPE_ERROR], {1}),
        (2, [TYPE_ERROR], set()),
        (-1, [TYPE_ERROR], set()),
        (1, [WARNING], set()),
    ],
)
def test_error_lines_are_those_of_the_suggestion(line, findings, expected) -> None:
    worth = reward(episode(text="alpha\nbeta", added=findings, line=line))
    assert worth.error_lines == expected
    assert worth.total == (0.0 if expected else 0.75)  # the gate: no praise beside an error
    assert worth.silent is False


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (")", 0.0),
        ("# as above", 0.0),
        ("pass", 0.0),
        ("x", 0.25),
        ("xy", 0.5),
        ("a+b", 0.75),
        ("a + b", 1.0),
    ],
)
def test_short_and_empty_suggestions_pay_little_however_welcome(text, share) -> None:
    worth = reward(episode(text=text, what=Outcome.ACCEPTED, prompt=Prompt("a.py", "v = (", "")))
    assert worth.total == pytest.approx(0.75 * share)
    assert worth.terms["developer"] == 0.75


@given(
    what=st.sampled_from([None, *Outcome]),
    kept=st.integers(-5, 50),
    inferred=st.booleans(),
    stands=st.none() | st.text(max_size=12),
    text=st.text(max_size=12),
    broken=st.booleans(),
)
def test_rewards_of_episodes_stay_in_their_bounds(what, kept, inferred, stands, text, broken):
    told = episode(
        text=text,
        what=what,
        kept=kept,
        inferred=inferred,
        stands=stands,
        added=[COMPILE] if broken else [],
        language="typescript",
    )
    worth = reward(told)
    assert -1.5 <= worth.total <= 0.75
    assert -0.5 <= worth.terms["developer"] <= 0.75
    assert not (broken and worth.total > -1.0)


def test_tests_of_a_workspace_count_beside_the_developer() -> None:
    assert reward(episode(), [PASSED, PASSED]).total == 1.75
    assert reward(episode(), [PASSED, FAILED]).total == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("text", "outcomes", "total", "terms"),
    [
        ("return x * 2", [PASSED] * 3, 1.0, {"tests": 1.0, "runtime": 0.0}),
        ("return x * 3", [FAILED, PASSED], 0.35, {"tests": 0.35, "runtime": 0.0}),
        ("return x *", [], -1.0, {"compiler": -1.0}),
        ("pass", [FAILED, FAILED], -0.3, {"tests": -0.3}),
        ("pass", [], 0.0, {"compiler": 0.0}),
        ("", [], 0.0, {"compiler": 0.0}),
    ],
)
def test_samples_are_scored_by_their_tests(text, outcomes, total, terms) -> None:
    found = score(Sample(text, DOUBLE), outcomes)
    assert found.total == pytest.approx(total)
    assert found.terms.items() >= {name: pytest.approx(x) for name, x in terms.items()}.items()


def test_the_line_that_raised_is_named_where_the_text_is_to_blame() -> None:
    sample = Sample("y = x / 0\n    return y", DOUBLE)
    raised = TestOutcome(Verdict.RAISED, "ZeroDivisionError", line=1)
    assert score(sample, [raised]).error_lines == {0}
    elsewhere = TestOutcome(Verdict.RAISED, "NameError", line=0)
    assert score(sample, [elsewhere]).error_lines == frozenset()


def test_the_line_of_a_syntax_error_is_named() -> None:
    assert score(Sample("y = x\n    return (\n", DOUBLE)).error_lines == {1}


def test_without_tests_likeness_to_the_settled_text_counts_and_with_tests_it_does_not() -> None:
    sample = Sample("return x * 2", DOUBLE)
    assert score(sample, settled="return x * 2").total == 0.75
    assert score(sample, settled="raise OSError").total < 0.1
    assert score(sample, [FAILED], settled="return x * 2").total == -0.3
    assert score(Sample("# return", DOUBLE), settled="# return").total == 0.0


def test_speed_counts_for_programs_that_were_tested_only() -> None:
    sample = Sample("return x * 2", DOUBLE)
    assert score(sample, [PASSED], seconds=(2.0, 1.0)).total == pytest.approx(1.1)
    assert score(sample, [FAILED], seconds=(2.0, 1.0)).total == pytest.approx(-0.3)
    assert "speed" not in score(sample, seconds=(2.0, 1.0)).terms


def test_only_what_earned_something_is_appraised_and_in_one_go() -> None:
    appraiser = Counting()
    trials = [
        Trial(Sample("return x * 2", DOUBLE), [PASSED]),
        Trial(Sample("return x * 3", DOUBLE), [FAILED]),
        Trial(Sample("return x *", DOUBLE)),
        Trial(Sample("return 2 * x", DOUBLE), [PASSED]),
    ]
    totals = [one.total for one in score_all(trials, appraiser)]
    assert totals == pytest.approx([1.3, -0.3, -1.0, 1.3])
    assert appraiser.asked == ["return x * 2", "return 2 * x"]


def test_episodes_are_appraised_in_their_recorded_context() -> None:
    appraiser = Counting()
    told = [episode("c1"), episode("c2", what=Outcome.REJECTED), episode("c3", what=None)]
    totals = [one.total for one in reward_all(told, appraiser)]
    assert totals == pytest.approx([0.75 * 1.3, -0.25, 0.0])
    assert appraiser.asked == ["a + b"]


def test_means_of_terms_are_over_those_that_know_them() -> None:
    rewards = [reward(episode()), reward(episode(), [PASSED]), reward(episode(), [FAILED])]
    means = mean_terms(rewards)
    assert means["tests"] == pytest.approx(0.35)
    assert means["developer"] == pytest.approx(0.75)
    assert mean_terms([]) == {}
