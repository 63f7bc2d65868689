"""Whether model-written programs reach their end, each in a sandbox of its own."""

from __future__ import annotations

import enum
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from falcon_lsp.sandbox.limits import Limits, Status
from falcon_lsp.sandbox.runner import Program, Sandbox, unavailable_reason

LIMITS = Limits(cpu_seconds=5, wall_seconds=20.0, memory_bytes=512 * 2**20, file_bytes=2**20)
"""Bounds on one program; the clock allows for other work on the machine."""


class Verdict(enum.StrEnum):
    """What became of a program. Only one that reached its last line has ``passed``."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed out"


_VERDICTS = {Status.FINISHED: Verdict.PASSED, Status.TIMED_OUT: Verdict.TIMED_OUT}


def can_execute() -> bool:
    """Whether this system has a sandbox."""
    return not unavailable_reason()


def execute(program: str, limits: Limits = LIMITS) -> Verdict:
    """Run ``program`` with the standard library alone; ``__name__`` is not ``"__main__"``.

    Raises `SandboxUnavailableError` where there is no sandbox: then nothing has run.
    """
    execution = Sandbox(limits).run(Program({"main.py": program}, name="program"))
    return _VERDICTS.get(execution.status, Verdict.FAILED)


def execute_all(programs: Sequence[str], limits: Limits = LIMITS) -> list[Verdict]:
    """Run ``programs``, as many at once as there are processors; verdicts in their order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda program: execute(program, limits), programs))
