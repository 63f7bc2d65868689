"""Facts about the data of the ablation: nothing is learned from what is reported on."""

from __future__ import annotations

import ast
import dataclasses

import pytest

from evaluation import problems
from proof import holes, twins
from proof.memories import EXAMPLES, Lately, SolvedTasks, prompt_of


def _number(task: str) -> int:
    return int(task.removeprefix("MBPP/"))


def _words(text: str) -> str:
    return "".join(text.split()).lower()


@pytest.fixture(scope="module")
def forbidden() -> list[problems.Problem]:
    """Return every task that is reported on, or that choices are made on."""
    return [*problems.humaneval(), *problems.mbpp(range(1, 601))]


def test_by_number_each_part_keeps_to_its_own() -> None:
    assert {_number(hole.task) for hole in holes.training()} <= set(range(601, 975))
    assert {_number(hole.task) for hole in holes.tuning()} <= set(range(511, 601))
    tested = {hole.task for hole in holes.testing()}
    mbpp = {task for task in tested if task.startswith("MBPP/")}
    assert {_number(task) for task in mbpp} <= set(range(11, 511))
    assert len(tested - mbpp) == 164


def test_by_text_too_nothing_that_is_reported_on_is_learned(
    forbidden: list[problems.Problem],
) -> None:
    solutions = {_words(problem.solution) for problem in forbidden}
    asked = {_words(problem.prefix.split("\n")[1]) for problem in forbidden if problem.prefix}
    learned = holes.training_tasks()
    assert not {_words(task.solution) for task in learned} & solutions
    assert not {_words(task.prefix.split("\n")[1]) for task in learned} & asked


def test_no_training_task_solves_a_tested_one_under_another_name(
    forbidden: list[problems.Problem],
) -> None:
    """Half of all runs of five tokens in common, or four fifths of the shorter: nowhere."""
    learned = [(task.name, twins.features(task.solution)) for task in holes.training_tasks()]
    for problem in forbidden:
        theirs = twins.features(problem.solution)
        for name, mine in learned:
            both = len(mine & theirs)
            assert both < 0.5 * len(mine | theirs), (name, problem.name)
            assert both < 0.8 * min(len(mine), len(theirs)), (name, problem.name)


def test_without_that_rule_much_would_be_learned_twice() -> None:
    """The sum of fourth powers is a training task, that of fifth powers a test task."""
    kept = {task.name for task in holes.training_tasks()}
    dropped = {task.name for task in problems.mbpp(holes.TRAIN)} - kept
    assert {"MBPP/634", "MBPP/716", "MBPP/928"} <= dropped
    assert 300 <= len(kept) < 374


def test_twins_are_told_by_words_too() -> None:
    one, other, unlike = problems.mbpp(range(11, 14))
    renamed = dataclasses.replace(other, name="MBPP/700", solution="def other():\n    return 1\n")
    assert twins.with_twins([renamed, unlike], [one, other]) == {"MBPP/700"}


def test_holes_are_lines_that_make_their_program_whole() -> None:
    for hole in (*holes.training()[::25], *holes.tuning(), *holes.testing()[::25]):
        assert hole.settled.strip()
        assert "\n" not in hole.settled
        assert hole.prefix.endswith("\n")
        ast.parse(hole.prefix + hole.settled + hole.suffix)


def test_definitions_imports_and_docstrings_are_not_asked_for() -> None:
    lines = [hole.settled.strip() for hole in (*holes.training(), *holes.tuning())]
    assert not [line for line in lines if line.startswith(("def ", "class ", "import ", '"""'))]
    assert len(lines) > 1_200


def test_all_tests_count_and_none_is_shown() -> None:
    for hole in holes.training():
        asserts = [step.source for step in hole.steps if step.counts]
        assert len(asserts) >= 3
        assert all(map(str.strip, asserts))  # an empty one would always pass
        assert not [one for one in asserts if one in hole.prefix + hole.suffix]


def test_a_helped_hole_has_the_rest_left_to_say() -> None:
    for hole in holes.training()[::40]:
        helped = hole.helped(0.5)
        assert helped.prefix + helped.settled == hole.prefix + hole.settled
        assert len(helped.settled) < len(hole.settled)
        assert hole.helped(0.0) is hole


def test_some_are_drawn_evenly_over_tasks_and_always_the_same() -> None:
    chosen = holes.some(holes.testing(), 100)
    assert chosen == holes.some(holes.testing(), 100)
    assert len({hole.name for hole in chosen}) == 100
    assert len({hole.task for hole in chosen}) == 100
    assert holes.some(holes.testing(), 0) == list(holes.testing())


@pytest.mark.parametrize("part", [holes.training, holes.tuning, holes.testing])
def test_memory_holds_training_tasks_alone_and_never_the_one_that_asks(part) -> None:
    memory = SolvedTasks()
    assert {_number(task.name) for task in memory.tasks} <= set(range(601, 975))
    for hole in part()[::60]:
        found = memory.like(hole, EXAMPLES)
        assert len(found) == EXAMPLES
        assert hole.task not in {task.name for task in found}


def test_memory_finds_the_like() -> None:
    memory = SolvedTasks()
    hole = next(hole for hole in holes.testing() if "prime numbers" in hole.about)
    assert any("prime" in task.prefix for task in memory.like(hole, 3))


def test_the_prompt_holds_the_question_whole_and_memory_is_not_empty() -> None:
    memory, lately = SolvedTasks(), Lately()
    for hole in (*holes.training()[::60], *holes.testing()[::30]):
        lately.failed[hole.name] = ("    return nothing", "NameError")
        prompt = prompt_of(hole, memory, lately)
        assert hole.prefix.endswith(prompt.prefix)
        assert len(prompt.prefix) >= min(len(hole.prefix), 600)
        assert len(prompt.snippets) == EXAMPLES + 1
        assert all(snippet.text.strip() for snippet in prompt.snippets)
        assert prompt.snippets[-1].text == "# NameError:\n    return nothing"
    assert prompt_of(hole, None, None).snippets == ()
