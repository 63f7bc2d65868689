"""Whether model-written programs reach their end, each in a guarded process of its own."""

from __future__ import annotations

import contextlib
import enum
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

_GUARDED = Path(__file__).with_name("guarded.py")


class Verdict(enum.StrEnum):
    """What became of a program. Only one that reached its last line has ``passed``."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed out"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one program; ``wall_seconds`` allows for other work on the machine."""

    cpu_seconds: int = 5
    wall_seconds: float = 20.0
    memory_bytes: int = 512 * 2**20
    file_bytes: int = 2**20


def can_execute() -> bool:
    """Whether this system can limit a process (Windows cannot, as far as Python goes)."""
    return importlib.util.find_spec("resource") is not None


def execute(program: str, limits: Limits = Limits()) -> Verdict:
    """Run ``program`` in an empty folder that is deleted afterwards; see `evaluation.guarded`.

    Raises `RuntimeError` where processes cannot be limited.
    """
    if not can_execute():
        raise RuntimeError(
            "Model-written code runs only where Python can limit a process: use Linux or macOS."
        )
    secret = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="falcon-program-") as folder:
        request = {"program": program, "secret": secret, "folder": folder, **asdict(limits)}
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARDED)],
            cwd=folder, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True, text=True,
        )  # fmt: skip
        try:
            answer, _ = process.communicate(json.dumps(request), limits.wall_seconds)
        except subprocess.TimeoutExpired:
            return Verdict.TIMED_OUT
        finally:
            _end(process)
    if process.returncode == -signal.SIGXCPU:
        return Verdict.TIMED_OUT
    return Verdict.PASSED if answer == secret else Verdict.FAILED


def execute_all(programs: Sequence[str], limits: Limits = Limits()) -> list[Verdict]:
    """Run ``programs``, as many at once as there are processors; verdicts in their order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda program: execute(program, limits), programs))


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and whatever else it left in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()
