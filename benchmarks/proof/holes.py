"""Single lines cut out of published solutions: what is asked, and the tests that judge an answer.

Training sees MBPP 601-974 alone, and of those only tasks without a twin elsewhere in the data
(`proof.twins`): no arm sees by text what it may not see by number.
"""

from __future__ import annotations

import ast
import functools
import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from evaluation import problems
from evaluation.problems import Problem
from falcon_lsp.learning.practice.curriculum import hint
from falcon_lsp.learning.rewards.asserts import Step, assert_steps, check_steps
from proof.twins import with_twins, words_of

TRAIN = range(601, 975)
TUNING = problems.MBPP_VALIDATION
TEST = problems.MBPP_TEST
EXAMPLES = range(1, 11)

_HIDDEN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
"""Statements whose lines are never asked for: what they say cannot be guessed."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A line missing between ``prefix`` and ``suffix``; ``settled`` stood there.

    ``task`` is the function that it is in: holes of one task are not independent. ``about`` says
    what the task is, by which memory finds its like; ``steps`` are its tests, never shown.
    """

    name: str
    task: str
    prefix: str
    suffix: str
    settled: str
    about: str
    steps: tuple[Step, ...]

    def helped(self, share: float) -> Hole:
        """Return what is left to say when the first ``share`` of the line is given."""
        given = hint(self.settled, share)
        rest = self.settled[len(given) :]
        return replace(self, prefix=self.prefix + given, settled=rest) if given else self


@functools.cache
def training() -> tuple[Hole, ...]:
    """Return every hole of the training tasks."""
    return tuple(hole for task in training_tasks() for hole in cut(task))


@functools.cache
def tuning() -> tuple[Hole, ...]:
    """Return one hole of each tuning task, the same ones always."""
    return tuple(_one_each(problems.mbpp(TUNING)))


@functools.cache
def testing() -> tuple[Hole, ...]:
    """Return what is reported on: HumanEval's infilling, one hole of each MBPP test task."""
    return (*_humaneval(), *_one_each(problems.mbpp(TEST)))


@functools.cache
def training_tasks() -> tuple[Problem, ...]:
    """Return the tasks that may be learned and remembered: those that have no twin elsewhere."""
    elsewhere = [*problems.humaneval(), *problems.mbpp(range(TRAIN.start))]
    tasks = problems.mbpp(TRAIN)
    left_out = with_twins(tasks, elsewhere)
    return tuple(task for task in tasks if task.name not in left_out)


def some(holes: Sequence[Hole], count: int, seed: int = 0) -> list[Hole]:
    """Return ``count`` of ``holes`` (0: all), in their order, tasks drawn evenly."""
    if not count or count >= len(holes):
        return list(holes)
    rng = random.Random(seed)
    by_task: dict[str, list[Hole]] = {}
    for hole in holes:
        by_task.setdefault(hole.task, []).append(hole)
    tasks = rng.sample(sorted(by_task), min(count, len(by_task)))
    chosen = {rng.choice(by_task[task]).name for task in tasks}
    rest = [hole.name for hole in holes if hole.name not in chosen]
    chosen |= set(rng.sample(rest, count - len(chosen)))
    return [hole for hole in holes if hole.name in chosen]


def cut(task: Problem) -> Iterator[Hole]:
    """Yield a hole for each line of an MBPP task's solution that can be asked for."""
    code = "\n".join(line.rstrip() for line in task.solution.splitlines())
    lines = code.split("\n")
    for at in sorted(_askable(code)):
        before = "".join(f"{line}\n" for line in lines[:at])
        yield Hole(
            f"{task.name}/L{at}",
            task.name,
            f'"""{words_of(task)}"""\n{before}',
            "\n" + "\n".join(lines[at + 1 :]),
            lines[at],
            words_of(task),
            _mbpp_steps(task),
        )


def _askable(code: str) -> set[int]:
    """Return the lines (from 0) that hold one whole statement, or one's head, inside a function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(code)
        except SyntaxError:
            return set()
    inside = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    statements = [one for node in inside for one in ast.walk(node) if isinstance(one, ast.stmt)]
    found = {one.lineno - 1 for one in statements if not isinstance(one, _HIDDEN) and _alone(one)}
    return found - {one.lineno - 1 for one in statements if isinstance(one, _HIDDEN)}


def _alone(statement: ast.stmt) -> bool:
    """Whether the statement, or the head of its block, is one line that says something."""
    body = getattr(statement, "body", None)
    if body:
        return body[0].lineno > statement.lineno and _head_end(statement) == statement.lineno
    said = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return statement.end_lineno == statement.lineno and not said


def _head_end(statement: ast.stmt) -> int:
    """Return the last line of what stands before the block of ``statement``."""
    parts = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.expr)]
    return max((part.end_lineno or part.lineno for part in parts), default=statement.lineno)


def _one_each(tasks: Sequence[Problem]) -> Iterator[Hole]:
    for task in tasks:
        holes = list(cut(task))
        if holes:
            yield random.Random(task.name).choice(holes)


def _humaneval() -> Iterator[Hole]:
    rows = {row["task_id"]: row for row in problems.rows(problems.HUMANEVAL)}
    for hole in problems.infilling():
        task = hole.group.removeprefix("SingleLineInfilling/")
        row = rows[task]
        yield Hole(
            hole.name, task, hole.prefix, hole.suffix, hole.solution, row["prompt"],
            _check_steps(row["test"], row["entry_point"]),
        )  # fmt: skip


@functools.cache
def _check_steps(test: str, entry_point: str) -> tuple[Step, ...]:
    return tuple(check_steps(test, entry_point))


def _mbpp_steps(task: Problem) -> tuple[Step, ...]:
    setup, _, asserts = task.test.partition("\nassert ")
    tests = [line for line in f"assert {asserts}".split("\n") if line.strip()]
    return tuple(assert_steps(tests, setup))
