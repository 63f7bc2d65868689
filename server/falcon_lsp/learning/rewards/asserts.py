"""Tests as a program: each assert of a task is run and reported on its own.

Only text is made here; to run it is the sandbox's part. The program reports one JSON object a line
on the standard output that it was given, of which the code under test sees nothing: its own
standard output leads nowhere. A line counts only with the secret, which the program reads from a
file and removes before it runs any code that a model wrote. So a passed test is forged neither by
printing, writing to any descriptor or leaving early, nor by reading the program's own text or
replacing built-ins.

What it cannot hold off is code that looks for the secret in the frames of its own interpreter, or
objects that claim to equal everything.
"""

from __future__ import annotations

import ast
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from falcon_lsp.learning.rewards.execution import TestOutcome, Verdict

SCRIPT: Final = "tests.py"
NOT_REACHED: Final = "NotReached"
"""The error of tests of which the program said nothing: it was killed, or left."""

_RUNNER: Final = '''\
"""Runs one candidate and its tests, and reports each on a channel of its own."""


def main(candidate, tests):
    import json
    import os

    encode, write, run, build = json.dumps, os.write, exec, compile
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "secret")
    with open(place) as file:
        secret = file.read()
    os.remove(place)
    channel = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)

    def tell(number, verdict, error=None):
        line = 0
        trace = error.__traceback__ if error is not None else None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<candidate>":
                line = trace.tb_lineno
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename == "<candidate>":
            line = error.lineno or 0
        name = type(error).__name__ if error is not None else ""
        body = {"test": number, "verdict": verdict, "error": name, "line": line - 1}
        write(channel, (secret + encode(body) + "\\n").encode())

    names = {"__name__": "candidate"}
    try:
        run(build(candidate, "<candidate>", "exec"), names)
    except BaseException as error:
        for number, (_, counts) in enumerate(tests):
            if counts:
                tell(number, "raised", error)
        return
    for number, (source, counts) in enumerate(tests):
        verdict, cause = "passed", None
        try:
            run(build(source, "<test>", "exec"), names)
        except AssertionError as error:
            verdict, cause = "failed", error
        except BaseException as error:
            verdict, cause = "raised", error
        if counts:
            tell(number, verdict, cause)


main(
    CANDIDATE,
    TESTS,
)
'''


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a test suite, run in order; ``counts`` where it is a test."""

    source: str
    counts: bool


@dataclass(frozen=True, slots=True)
class TestProgram:
    """``files`` go into one folder, `SCRIPT` is run there; `outcomes` reads what it wrote."""

    __test__ = False  # its name is no invitation to pytest

    source: str
    secret: str
    numbers: tuple[int, ...]

    @property
    def files(self) -> dict[str, str]:
        """What has to lie in the folder: the script, and the secret, which it removes."""
        return {SCRIPT: self.source, "secret": self.secret}

    def outcomes(self, stdout: bytes) -> tuple[TestOutcome, ...]:
        """Return one outcome for each test, in order; what was not reported has raised.

        The first report of a test counts.
        """
        found: dict[int, TestOutcome] = {}
        for line in stdout.decode("utf-8", "replace").split("\n"):
            if line.startswith(self.secret) and (told := _told(line[len(self.secret) :])):
                found.setdefault(*told)
        silent = TestOutcome(Verdict.RAISED, NOT_REACHED)
        return tuple(found.get(number, silent) for number in self.numbers)


def assemble(candidate: str, steps: Sequence[Step], secret: str = "") -> TestProgram:
    """Return the program that runs ``candidate`` and then ``steps`` in its namespace.

    The default ``secret`` is random; give one only where the same text is needed twice.
    """
    tests = [(step.source, step.counts) for step in steps]
    # the tests go in last: what a model wrote is never searched for a mark to be replaced
    head, tail = _RUNNER.split("CANDIDATE")
    source = head + ascii(candidate) + tail.replace("TESTS", ascii(tests))
    numbers = tuple(number for number, step in enumerate(steps) if step.counts)
    return TestProgram(source, secret or secrets.token_hex(16), numbers)


def assert_steps(asserts: Iterable[str], setup: str = "") -> list[Step]:
    """Return the steps of a list of asserts, as MBPP has it, behind its ``setup`` code."""
    before = [Step(setup, counts=False)] if setup.strip() else []
    return before + [Step(source, counts=True) for source in asserts]


def check_steps(test: str, entry_point: str) -> list[Step]:
    """Return the steps of a ``def check(candidate)``, as HumanEval has it.

    Each statement of its body that holds an assert is a test. Raises `ValueError` without any.
    """
    try:
        module = ast.parse(test)
    except SyntaxError as error:
        raise ValueError(f"the test does not parse ({error.msg})") from error
    checks = [
        one for one in module.body if isinstance(one, ast.FunctionDef) and one.name == "check"
    ]
    if not checks or not checks[0].args.args:
        raise ValueError("the test has no function check(candidate)")
    outside = [Step(ast.unparse(one), counts=False) for one in module.body if one not in checks]
    name = checks[0].args.args[0].arg
    body = [Step(ast.unparse(one), _asserts(one)) for one in checks[0].body]
    if not any(step.counts for step in body):
        raise ValueError("the test asserts nothing")
    return [*outside, Step(f"{name} = {entry_point}", counts=False), *body]


def _asserts(statement: ast.stmt) -> bool:
    trivial = isinstance(statement, ast.Assert) and isinstance(statement.test, ast.Constant)
    return not trivial and any(isinstance(node, ast.Assert) for node in ast.walk(statement))


def _told(line: str) -> tuple[int, TestOutcome] | None:
    """Return what a line of the program says, or None where it says nothing sound."""
    try:
        body: dict[str, Any] = json.loads(line)
        outcome = TestOutcome(Verdict(body["verdict"]), str(body["error"]), int(body["line"]))
        return int(body["test"]), outcome
    except (ValueError, KeyError, TypeError):
        return None
