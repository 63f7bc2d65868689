"""What the assert programs report where they are run in earnest: behind the sandbox."""

from __future__ import annotations

import pytest

from falcon_lsp.learning.rewards import Verdict, assemble, assert_steps
from falcon_lsp.learning.rewards.asserts import NOT_REACHED, SCRIPT
from falcon_lsp.sandbox.limits import Limits, Status
from falcon_lsp.sandbox.runner import Program, Sandbox, unavailable_reason

pytestmark = pytest.mark.skipif(bool(unavailable_reason()), reason=unavailable_reason())

ASSERTS = ["assert double(1) == 2", "assert double(3) == 6", "assert double('a') == 'aa'"]
GOOD = "def double(x):\n    return x * 2\n"
CURIOUS = """
import os, sys
found = [frame for frame in (sys._getframe(1), sys._getframe(2)) if frame is None]
for name in os.listdir("."):
    try:
        for fd in range(64):
            os.write(fd, open(name, "rb").read())
    except OSError:
        pass
def double(x):
    return 0
"""
LOOP = "def double(x):\n    while x != 1:\n        pass\n    return 2\n"


@pytest.mark.parametrize(
    ("candidate", "status", "expected"),
    [
        (GOOD, Status.FINISHED, "passed passed passed"),
        ("def double(x):\n    return 2\n", Status.FINISHED, "passed failed failed"),
        (f"open('/etc/passwd').read()\n{GOOD}", Status.FINISHED, "raised raised raised"),
        (f"import socket; socket.socket()\n{GOOD}", Status.FINISHED, "raised raised raised"),
        (f"{GOOD}\nraise SystemExit\n", Status.FINISHED, "raised raised raised"),
        (CURIOUS, Status.FINISHED, "failed failed failed"),
        (LOOP, Status.TIMED_OUT, "passed raised raised"),
    ],
)
def test_each_assert_is_reported(candidate, status, expected) -> None:
    program = assemble(candidate, assert_steps(ASSERTS))
    execution = Sandbox(Limits(cpu_seconds=2)).run(Program(program.files, SCRIPT))
    found = program.outcomes(execution.stdout)
    assert execution.status is status
    assert [one.verdict for one in found] == [Verdict(word) for word in expected.split()]


def test_what_ran_out_of_time_says_which_tests_it_never_reached() -> None:
    program = assemble(LOOP, assert_steps(ASSERTS))
    execution = Sandbox(Limits(cpu_seconds=2)).run(Program(program.files, SCRIPT))
    assert [one.error for one in program.outcomes(execution.stdout)] == ["", *[NOT_REACHED] * 2]
