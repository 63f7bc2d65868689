"""Terms meet in one place: what gates what, within which bounds, and which hacks do not pay."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcon_lsp.learning.rewards.combination import (
    FAILED_MOST,
    LEAST,
    MOST,
    PASSED,
    QUALITY_LEAST,
    QUALITY_MOST,
    Evidence,
    combine,
)
from falcon_lsp.learning.rewards.execution import TestOutcome, Verdict, runtime_term, suite_term

KIND = {"style": 0.1, "complexity": 0.1, "instruction": 0.1, "speed": 0.3}
UNKIND = {"style": -0.1, "complexity": -0.1, "instruction": -0.1, "speed": -0.1}

suites = st.lists(st.sampled_from(list(Verdict)), min_size=1, max_size=40)
opinions = st.none() | st.floats(-0.5, 0.75)
gated = st.fixed_dictionaries(
    {
        "style": st.none() | st.floats(-0.1, 0.1),
        "complexity": st.none() | st.floats(-0.1, 0.1),
        "instruction": st.none() | st.floats(-0.1, 0.1),
        "speed": st.none() | st.floats(-0.1, 0.3),
    }
)


def ran(verdicts: list[Verdict], **more: object) -> Evidence:
    outcomes = [TestOutcome(verdict) for verdict in verdicts]
    return Evidence(runtime=runtime_term(outcomes), tests=suite_term(outcomes), **more)


@pytest.mark.parametrize(
    ("evidence", "total", "withheld"),
    [
        (Evidence(), 0.0, ""),
        (Evidence(developer=0.75), 0.75, ""),
        (Evidence(developer=-0.25), -0.25, ""),
        (Evidence(compiler=-1.0, developer=0.75), -1.0, "compiler"),
        (Evidence(compiler=-1.0, developer=-0.5), -1.5, "compiler"),
        (Evidence(compiler=-1.0, runtime=-0.6, tests=0.0), -1.0, "compiler"),
        (Evidence(runtime=0.0, tests=1.0), 1.0, ""),
        (Evidence(runtime=0.0, tests=1.0, developer=0.75), 1.75, ""),
        (Evidence(runtime=-0.6, tests=0.0, developer=0.75), -0.6, "tests"),
        (Evidence(runtime=0.0, tests=0.35, **KIND), 0.35, "tests"),
        (Evidence(runtime=0.0, tests=0.99, **KIND), FAILED_MOST, "tests"),
        (Evidence(runtime=0.0, tests=1.0, **KIND), 1.3, ""),
        (Evidence(runtime=0.0, tests=1.0, **UNKIND), 0.9, ""),
        (Evidence(runtime=0.0, tests=1.0, error_lines=frozenset({0}), **KIND), 1.0, "error_lines"),
        (Evidence(developer=0.5, **KIND), 0.65, ""),
        (Evidence(developer=0.5, error_lines=frozenset({1})), 0.0, "error_lines"),
        (Evidence(similarity=0.5), 0.5, ""),
        (Evidence(similarity=-0.2), -0.2, ""),
        (Evidence(runtime=0.0, tests=-0.3, similarity=0.7), -0.3, "tests"),
        (Evidence(developer=0.0, similarity=0.7), 0.0, ""),
    ],
)
def test_what_gates_what(evidence, total, withheld) -> None:
    found = combine(evidence)
    assert found.total == pytest.approx(total)
    assert found.withheld == withheld


def test_every_known_term_is_logged_as_it_was_measured_also_where_it_did_not_count() -> None:
    evidence = Evidence(runtime=0.0, tests=-0.3, developer=0.75, **KIND)
    assert combine(evidence).terms == {
        "compiler": 0.0,
        "runtime": 0.0,
        "tests": -0.3,
        "error_lines": 0.0,
        "developer": 0.75,
        **KIND,
    }


def test_unknown_terms_are_not_logged() -> None:
    assert combine(Evidence()).terms == {"compiler": 0.0, "error_lines": 0.0}


@given(suites, gated, opinions, st.sampled_from([0.0, -1.0]), st.booleans(), st.floats(0, 1))
def test_rewards_stay_in_their_bounds(verdicts, quality, opinion, compiler, named, share) -> None:
    lines = frozenset({0}) if named else frozenset()
    more = {"compiler": compiler, "developer": opinion, "error_lines": lines, "substance": share}
    for evidence in (ran(verdicts, **more, **quality), Evidence(**more, **quality)):
        assert LEAST <= combine(evidence).total <= MOST
        assert 0.0 <= evidence.earned <= 1.0
        assert QUALITY_LEAST <= evidence.quality <= QUALITY_MOST


@given(suites, gated, gated, opinions, st.sampled_from([0.0, -1.0]))
def test_a_failing_program_with_a_kind_judge_never_outscores_a_passing_one(
    verdicts, kind, unkind, opinion, compiler
) -> None:
    failing = ran([*verdicts, Verdict.FAILED], **kind, compiler=compiler, developer=opinion)
    passing = ran([Verdict.PASSED] * 3, **unkind, developer=opinion)
    assert combine(failing).total < combine(passing).total


def test_the_published_case_five_points_of_a_judge_for_a_program_that_fails() -> None:
    failing = Evidence(runtime=0.0, tests=-0.3, instruction=5.0)
    passing = Evidence(runtime=0.0, tests=PASSED, instruction=-5.0)
    assert (combine(failing).total, combine(passing).total) == (-0.3, 0.9)


@given(gated, st.floats(0, 1))
def test_silence_is_worth_nothing_however_neat(quality, share) -> None:
    silent = (Evidence(substance=share, **quality), Evidence(developer=0.0, **quality))
    assert [combine(evidence).total for evidence in silent] == [0.0, 0.0]
    assert all(combine(evidence).silent for evidence in silent)


@given(gated, st.floats(-0.5, 0.0))
def test_neatness_does_not_make_up_for_being_declined(quality, opinion) -> None:
    assert combine(Evidence(developer=opinion, **quality)).total == opinion


@given(gated, opinions, suites)
def test_what_has_no_substance_and_passes_no_test_does_not_pay(quality, opinion, verdicts) -> None:
    failed = [one for one in verdicts if one is not Verdict.PASSED] or [Verdict.FAILED]
    for evidence in (
        Evidence(developer=opinion, substance=0.0, **quality),
        Evidence(similarity=opinion, substance=0.0, **quality),
        ran(failed, developer=opinion, substance=0.0, **quality),
    ):
        assert combine(evidence).total <= 0.0


@given(st.floats(0.01, 0.75), gated)
def test_quality_changes_the_size_of_a_reward_and_never_its_sign(opinion, quality) -> None:
    found = combine(Evidence(developer=opinion, **quality)).total
    assert 0.9 * opinion <= found + 1e-12
    assert found <= 1.3 * opinion + 1e-12


@given(suites, st.floats(-0.5, 0.75))
def test_more_praise_never_lowers_a_reward(verdicts, opinion) -> None:
    evidence = ran(verdicts, developer=opinion)
    more = dataclasses.replace(evidence, developer=0.75)
    assert combine(evidence).total <= combine(more).total
