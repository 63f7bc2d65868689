"""Runs one program under limits, in a process of its own; started by `evaluation.execution`.

Reads one JSON object from standard input, sets the limits, forbids what no test needs, executes,
and says the secret if the program's last line was reached. An early exit, however polite, says
nothing. This holds against the accidents of model-written code; it is no wall against an attacker.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import types
from collections.abc import Callable
from typing import Any

_FORBIDDEN = (
    "socket.", "subprocess.", "ctypes.", "pty.", "shutil.", "resource.", "syslog.",
    "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.kill",
    "os.chdir", "os.chmod", "os.chown", "os.chflags", "os.link", "os.mkdir", "os.putenv",
    "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "os.utime",
)  # fmt: skip
"""Beginnings of the names of audit events (PEP 578)."""

_FORBIDDEN_MODULES = ("_ctypes", "_posixsubprocess", "_socket")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


def main() -> None:
    """Execute the program of the request on standard input."""
    request = json.load(sys.stdin)
    answer = os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    code = compile(request["program"], "<program>", "exec")
    module = sys.modules["program"] = types.ModuleType("program")
    _limit(request["cpu_seconds"], request["memory_bytes"], request["file_bytes"])
    sys.addaudithook(_guard(os.path.realpath(request["folder"])))
    exec(code, vars(module))
    os.write(answer, request["secret"].encode())


def _limit(cpu_seconds: int, memory_bytes: int, file_bytes: int) -> None:
    """Set what the system offers: macOS takes no limit on memory, root none on processes."""
    limits = {
        resource.RLIMIT_CPU: (cpu_seconds, cpu_seconds + 1),
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        resource.RLIMIT_FSIZE: (file_bytes, file_bytes),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    for kind, values in limits.items():
        try:
            resource.setrlimit(kind, values)
        except (ValueError, OSError):
            continue


def _guard(folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook: no processes, no network, no writing outside ``folder``."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _mode, flags = arguments
            inside = isinstance(path, int) or os.path.realpath(path).startswith(folder + os.sep)
            refused = bool(flags & _WRITES) and not inside
        elif event == "import":
            refused = arguments[0] in _FORBIDDEN_MODULES
        else:
            refused = event.startswith(_FORBIDDEN)
        if refused:
            raise PermissionError(f"{event} is not allowed here")

    return hook


if __name__ == "__main__":
    main()
