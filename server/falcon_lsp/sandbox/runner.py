"""Runs a program that nobody vouches for; where it cannot be shut in, it is not run.

The child process restricts itself before it reads a line of the program (`sandbox.child`): what it
may reach is decided here, and handed over. It can make no process and start no other program, so
what it is at its start it stays to its end.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.sandbox import bubblewrap, landlock, seccomp, syscalls
from falcon_lsp.sandbox.interpreter import DEVICES, Interpreter
from falcon_lsp.sandbox.limits import Execution, Limits, Status
from falcon_lsp.sandbox.scratch import Content, read_back, scratch
from falcon_lsp.sandbox.supervision import Ending, Start, Usage, watch

CHILD = Path(__file__).with_name("child.py")
_LAST_WORDS = re.compile(r"(\S+) ([0-9]{1,12}) ([0-9]{1,18})")
"""The secret, kilobytes and nanoseconds; whatever else a program writes there is no such line."""

_NOT_RUN = "the program did not run, because it could not be shut in"


class SandboxUnavailableError(RuntimeError):
    """The program did not run, because it could not be shut in; the message says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is to run: ``target``, one of ``files``, or with ``module`` as ``python -m`` does it.

    ``name`` is what a script finds in ``__name__``; ``path`` are the folders, relative to its own,
    that it imports from before the library; with ``packages`` the interpreter's installed ones can
    be imported too. ``results`` names files at the top of its folder to bring back.
    """

    files: Mapping[str, Content]
    target: str = "main.py"
    arguments: tuple[str, ...] = ()
    module: bool = False
    name: str = "__main__"
    path: tuple[str, ...] = (".",)
    packages: bool = False
    results: tuple[str, ...] = ()


@cache
def unavailable_reason() -> str:
    """Return why nothing can be run here, in one sentence; "" where it can."""
    if sys.platform != "linux":
        return "programs are executed on Linux only: there is no sandbox for this system"
    if os.uname().machine not in syscalls.MACHINES or struct.calcsize("P") != 8:
        return f"there is no filter of system calls for a {os.uname().machine} with this Python"
    if not landlock.probe():
        return "the kernel offers no Landlock; programs are executed with Linux 5.13 or newer"
    return ""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A way to run programs. It holds nothing open: one may serve many threads.

    ``layered`` puts bubblewrap on top where it works.
    """

    limits: Limits = field(default_factory=Limits)
    interpreter: Interpreter = field(default_factory=Interpreter.current)
    layered: bool = True

    def layers(self) -> list[str]:
        """Return the names of the walls that a program finds here."""
        names = [f"Landlock {landlock.probe()}", "seccomp", "limits"]
        layered = self.layered and bubblewrap.works(self.interpreter)
        return [*names, "bubblewrap"] if layered else names

    def run(self, program: Program, token: CancellationToken | None = None) -> Execution:
        """Run ``program`` to its end, in a folder of its own that is deleted afterwards.

        Raises `SandboxUnavailableError` if it could not be shut in: then none of it has run; and
        `Cancelled` soon after ``token`` is.
        """
        if reason := unavailable_reason():
            raise SandboxUnavailableError(reason)
        secret = secrets.token_hex(16)
        with scratch(program.files) as folder:
            try:
                ending = watch(self._start(program, folder, secret), self.limits, token)
            except OSError as error:
                raise SandboxUnavailableError(f"{_NOT_RUN}: {error}") from error
            files = {
                name: read_back(folder, name, self.limits.file_bytes) for name in program.results
            }
        said = ending.report.decode("utf-8", "replace").splitlines()
        if said[:1] != ["restricted"]:
            raise SandboxUnavailableError(_why(said, ending.stderr))
        finished, used = _last_words(said, secret)
        used = used.at_least(ending.used)
        status, reason = self._judge(ending, used, finished=finished)
        return Execution(
            status, ending.returncode, ending.stdout, ending.stderr, ending.seconds,
            used.cpu_seconds, used.peak_bytes, reason, files,
        )  # fmt: skip

    def _start(self, program: Program, folder: Path, secret: str) -> Start:
        """Return how the child is started, and its order."""
        layered = self.layered and bubblewrap.works(self.interpreter)
        prefix = bubblewrap.command(self.interpreter, (CHILD,), folder) if layered else []
        abi = landlock.probe()
        order = {
            "parent": 0 if layered else os.getpid(),
            "limits": self._kernel_limits(),
            "landlock": landlock.attributes(abi),
            "rules": landlock.rules(abi, self.interpreter.readable, DEVICES, folder),
            "filter": seccomp.pack(seccomp.assemble(os.uname().machine)),
            "secret": secret,
            "target": program.target,
            "arguments": program.arguments,
            "module": program.module,
            "name": program.name,
            "path": [str(folder / name) for name in program.path],
            "packages": program.packages,
        }
        python = [str(self.interpreter.executable), "-s", "-S", "-B", str(CHILD)]
        return Start([*prefix, *python], folder, _environment(folder), order)

    def _kernel_limits(self) -> dict[str, tuple[int, int]]:
        """Return soft and hard limits, by their names in `resource`."""
        limits = self.limits
        return {
            "RLIMIT_CPU": (limits.cpu_seconds, limits.cpu_seconds + 1),
            "RLIMIT_STACK": (limits.stack_bytes,) * 2,
            "RLIMIT_AS": (limits.memory_bytes,) * 2,
            "RLIMIT_FSIZE": (limits.file_bytes,) * 2,
            "RLIMIT_NOFILE": (limits.open_files,) * 2,
            "RLIMIT_CORE": (0, 0),
            "RLIMIT_MEMLOCK": (0, 0),
        }

    def _judge(self, ending: Ending, used: Usage, *, finished: bool) -> tuple[Status, str]:
        """Return the status and its reason, in words for whoever wrote the program."""
        if ending.over_limit:
            return Status.OVER_LIMIT, ending.over_limit
        if ending.over_time:
            return Status.TIMED_OUT, ending.over_time
        number = _signal(ending.returncode)
        allowed = self.limits.cpu_seconds
        if number == signal.SIGXCPU or (number and used.cpu_seconds >= allowed):
            return Status.TIMED_OUT, f"it used more than {allowed} s of processor time"
        if number:
            return Status.KILLED, f"signal {signal.Signals(number).name}"
        return (Status.FINISHED if finished else Status.EXITED), ""


def _environment(folder: Path) -> dict[str, str]:
    """Return all that the program finds in its environment: nothing of ours."""
    return {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "USER": "sandbox",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "MALLOC_ARENA_MAX": "1",  # arenas of threads would take up the address space
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _signal(returncode: int) -> int:
    """Return the signal that ended a process, 0 if none did; bubblewrap reports it as a shell."""
    return -returncode if returncode < 0 else max(0, returncode - 128)


def _why(said: list[str], err: bytes) -> str:
    """Return why the child did not shut itself in."""
    detail = " ".join(said[1:]) or err.decode("utf-8", "replace").strip()[-200:] or "no answer"
    return f"{_NOT_RUN}: {detail}"


def _last_words(said: list[str], secret: str) -> tuple[bool, Usage]:
    """Return whether the last line was reached, and what the child says that it used."""
    found = _LAST_WORDS.fullmatch(said[1]) if len(said) > 1 else None
    if found is None:
        return False, Usage()
    word, kilobytes, nanoseconds = found.groups()
    return word == secret, Usage(int(nanoseconds) / 1e9, int(kilobytes) * 1024)
