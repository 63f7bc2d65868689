"""How much a program may use, and what became of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one program; ``wall_seconds`` allows for other work on the machine.

    The kernel holds the first five. The clock, threads and what lies in the folder are looked at
    every `supervision.INTERVAL` seconds, so a program may be over for so long.
    """

    cpu_seconds: int = 5
    memory_bytes: int = 512 * 2**20
    file_bytes: int = 16 * 2**20
    open_files: int = 128
    stack_bytes: int = 8 * 2**20
    wall_seconds: float = 20.0
    threads: int = 64
    folder_bytes: int = 64 * 2**20
    folder_entries: int = 4_096
    output_bytes: int = 2**20
    """Kept of each of stdout and stderr; the rest is read and dropped."""


class Status(enum.StrEnum):
    """How a program ended. Only one that reached its last line has ``finished``."""

    FINISHED = "finished"
    EXITED = "exited"
    TIMED_OUT = "timed out"
    OVER_LIMIT = "over a limit"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of one program.

    ``returncode`` is negative for a signal. ``peak_bytes`` is resident memory, as last seen.
    ``reason`` says in words what ended a program that did not end by itself. ``files`` holds the
    results that were asked for, cut at the limit of a file.
    """

    status: Status
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    reason: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
