"""A second wall where the system offers it: namespaces of its own, by bubblewrap.

Files, processes and network of the machine are not refused there, they do not exist.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from falcon_lsp.sandbox.interpreter import Interpreter

PROGRAM = "bwrap"

_ALWAYS = (
    "--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--dev", "/dev", "--proc", "/proc",
)  # fmt: skip


def command(interpreter: Interpreter, seen: Sequence[Path], own: Path | None) -> list[str]:
    """Return what stands before the command that is to run: ``seen`` can be read, ``own`` written.

    Raises `FileNotFoundError` where bubblewrap is not installed.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise FileNotFoundError("bubblewrap is not installed")
    words = [program, *_ALWAYS]
    for path in sorted({*seen, *interpreter.readable, interpreter.executable}):
        words += ["--ro-bind", str(path), str(path)]
    if own is not None:
        words += ["--bind", str(own), str(own), "--chdir", str(own)]
    return [*words, "--"]


@cache
def works(interpreter: Interpreter) -> bool:
    """Whether bubblewrap can start this Python here; it is tried once."""
    try:
        prefix = command(interpreter, (), None)
        done = subprocess.run(  # noqa: S603 - our own command
            [*prefix, str(interpreter.executable), "-S", "-c", ""],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={}, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
