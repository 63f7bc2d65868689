"""Facts about the published problems: how many, what is asked, that the solutions pass."""

from __future__ import annotations

import pytest

from evaluation import problems
from evaluation.execution import Verdict, can_execute, execute_all


def test_the_sets_have_their_published_sizes() -> None:
    assert len(problems.humaneval()) == 164
    assert len(problems.infilling()) == 1033
    assert len(problems.mbpp(problems.MBPP_TEST)) == 500
    assert len(problems.mbpp(problems.MBPP_VALIDATION)) == 90


def test_choices_and_reports_share_no_task() -> None:
    names = {problem.name for problem in problems.mbpp(problems.MBPP_TEST)}
    assert names.isdisjoint(p.name for p in problems.mbpp(problems.MBPP_VALIDATION))


def test_holes_are_single_lines_of_164_functions() -> None:
    holes = problems.infilling()
    assert len({hole.group for hole in holes}) == 164
    assert not any("\n" in hole.solution for hole in holes)
    assert all(hole.prefix.endswith("\n") and hole.suffix.startswith("\n") for hole in holes)


@pytest.mark.skipif(not can_execute(), reason="there is no sandbox here")
@pytest.mark.parametrize("name", ["humaneval", "infilling", "mbpp"])
def test_solutions_pass_their_tests_and_nothing_does_not(name: str) -> None:
    everything = {
        "humaneval": problems.humaneval,
        "infilling": problems.infilling,
        "mbpp": lambda: problems.mbpp(problems.MBPP_TEST),
    }[name]()
    some = everything[:: len(everything) // 12]
    solved = execute_all([problem.program(problem.solution) for problem in some])
    assert solved == [Verdict.PASSED] * len(some)
    wrong = execute_all([problem.program("    return ...") for problem in some])
    assert Verdict.PASSED not in wrong


def test_mbpp_asks_with_the_text_and_the_asserts_in_a_docstring() -> None:
    task = problems.mbpp(range(11, 12))[0]
    assert task.prefix.startswith('"""\nWrite a python function')
    assert task.prefix.count("\nassert ") == 3
    assert task.prefix.endswith('\n"""\n')
