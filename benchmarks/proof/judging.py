"""What every test says of an answer, run in the product's sandbox; each answer is run once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from falcon_lsp.learning.rewards.asserts import NOT_REACHED, SCRIPT, TestProgram, assemble
from falcon_lsp.learning.rewards.execution import TestOutcome, Verdict
from falcon_lsp.learning.rewards.sample import Sample, parses, syntax_error_line
from falcon_lsp.sandbox.limits import Limits
from falcon_lsp.sandbox.runner import Program, Sandbox
from proof.holes import Hole

LIMITS = Limits(cpu_seconds=2, wall_seconds=15.0)
WRONG = "wrong answer"
SYNTAX = "SyntaxError"

Runner = Callable[[TestProgram], bytes]
"""Runs a program of tests and returns what it reported."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer in its place, with an outcome for each test."""

    sample: Sample
    outcomes: tuple[TestOutcome, ...]

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return self.passes == len(self.outcomes)

    @property
    def passes(self) -> int:
        """How many tests passed."""
        return sum(one.verdict is Verdict.PASSED for one in self.outcomes)

    @property
    def fault(self) -> TestOutcome | None:
        """The first test that did not pass."""
        return next((one for one in self.outcomes if one.verdict is not Verdict.PASSED), None)

    @property
    def error(self) -> str:
        """The class of what went wrong first; empty when nothing did."""
        fault = self.fault
        if fault is None:
            return ""
        if fault.verdict is Verdict.FAILED:
            return WRONG
        if fault.error == NOT_REACHED:
            return "no end"
        return SYNTAX if fault.error in ("IndentationError", "TabError") else fault.error

    @property
    def error_line(self) -> int:
        """The program's line (from 0) that is to blame; -1 for none."""
        return self.fault.line if self.fault else -1


class Judge:
    """Judges answers, as many at once as there are processors, and remembers what it found."""

    def __init__(self, run: Runner | None = None) -> None:
        self._run = run or in_sandbox()
        self._known: dict[tuple[str, str], tuple[TestOutcome, ...]] = {}

    def judge(self, asked: Sequence[tuple[Hole, str]]) -> list[Judged]:
        """Return the judgement of each answer, in their order."""
        samples = [Sample(text, hole.prefix, hole.suffix) for hole, text in asked]
        keys = [(hole.task, one.whole) for (hole, _), one in zip(asked, samples, strict=True)]
        new = {
            key: (hole, sample)
            for key, (hole, _), sample in zip(keys, asked, samples, strict=True)
            if key not in self._known
        }
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._known.update(zip(new, pool.map(self._look, new.values()), strict=True))
        return [Judged(one, self._known[key]) for one, key in zip(samples, keys, strict=True)]

    def _look(self, asked: tuple[Hole, Sample]) -> tuple[TestOutcome, ...]:
        hole, sample = asked
        if not parses(sample.whole):  # no need to start a process for that
            tests = sum(step.counts for step in hole.steps)
            return (TestOutcome(Verdict.RAISED, SYNTAX, syntax_error_line(sample)),) * tests
        program = assemble(sample.whole, hole.steps)
        return program.outcomes(self._run(program))


def in_sandbox() -> Runner:
    """Return a runner that shuts programs in; it raises where that cannot be done."""
    sandbox = Sandbox(LIMITS)

    def run(program: TestProgram) -> bytes:
        return sandbox.run(Program(program.files, SCRIPT)).stdout

    return run
