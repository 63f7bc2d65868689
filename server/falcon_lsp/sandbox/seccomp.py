"""The filter of system calls (seccomp-BPF): what is not known to be harmless is refused.

The kernel runs it before every call; it sees the call's number and arguments but no memory. A
program that calls through another architecture's interface (32 bits, x32) is ended at once.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from falcon_lsp.sandbox import syscalls

ALLOW = 0x7FFF_0000
KILL = 0x8000_0000
ERRNO = 0x0005_0000
"""Answers of a filter; with ERRNO the number of the error in the low half."""

REFUSE = ERRNO | errno.EPERM

_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in ``struct seccomp_data``."""

_ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_X32 = 0x4000_0000
_THREAD = 0x0001_0000
_NAMESPACES = 0x7E02_0000
_TRUNCATE, _ACCESS_MODE = 0o1000, 0o3
_UNIX, _STREAM, _TYPE_MASK = 1, 1, 0xF
_WHOLE = 0xFFFF_FFFF

Instruction = tuple[int, int, int, int | None]
"""Code, jump if true, jump if false, constant; None stands for the process's own id."""


@dataclass(frozen=True, slots=True)
class Check:
    """A call is harmless only if a masked argument is one of ``values`` (None: the own id).

    ``high`` looks at the argument's upper 32 bits.
    """

    argument: int
    values: tuple[int | None, ...]
    mask: int = _WHOLE
    high: bool = False


def _null(argument: int) -> tuple[Check, Check]:
    """Return the checks that a pointer is null."""
    return Check(argument, (0,)), Check(argument, (0,), high=True)


def _no_silent_truncation(argument: int) -> Check:
    """Return the check that flags do not truncate a file that is opened for reading.

    The first two versions of Landlock would let that pass.
    """
    kinds = (0, 1, 2, _TRUNCATE | 1, _TRUNCATE | 2)
    return Check(argument, kinds, mask=_TRUNCATE | _ACCESS_MODE)


CHECKS: dict[str, tuple[Check, ...]] = {
    "open": (_no_silent_truncation(1),),
    "openat": (_no_silent_truncation(2),),
    # threads, but neither processes nor namespaces
    "clone": (Check(0, (_THREAD,), mask=_THREAD | _NAMESPACES),),
    # is it a terminal, its size, bytes to read, blocking, inheritance; no TIOCSTI
    "ioctl": (Check(1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),),
    # duplicates, flags, locks, sizes of pipes; no F_SETOWN, which sends signals to others
    "fcntl": (Check(1, (*range(8), 36, 37, 38, 1030, 1032, 1034)),),
    "prctl": (Check(0, (15, 16)),),  # names of threads
    "kill": (Check(0, (None,)),),
    "tgkill": (Check(0, (None,)),),
    # what event loops wake themselves with: connected, and to nobody else
    "socketpair": (Check(0, (_UNIX,)), Check(1, (_STREAM,), mask=_TYPE_MASK)),
    "sendto": _null(4),
    "prlimit64": (Check(0, (0,)), *_null(2)),  # own limits are read, not changed
}
"""With which arguments the calls of `syscalls.CHECKED` are harmless."""


@cache
def assemble(machine: str) -> tuple[Instruction, ...]:
    """Return the filter for ``machine``; raises `KeyError` for one that is not known."""
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        _answer(KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), _answer(KILL)]
    for table, answer in _ANSWERS.items():
        for number in syscalls.numbers(table, machine).values():
            code += [(_EQUAL, 0, 1, number), _answer(answer)]
    for name, number in syscalls.numbers(syscalls.CHECKED, machine).items():
        body = [step for check in CHECKS[name] for step in _steps(check)]
        code += [(_EQUAL, 0, len(body) + 1, number), *body, _answer(ALLOW)]
    return (*code, _answer(REFUSE))


def pack(code: Sequence[Instruction]) -> tuple[bytes, list[int]]:
    """Return ``struct sock_filter`` for every instruction, and the offsets of own ids."""
    whole = b"".join(_PACKED.pack(*head, last or 0) for *head, last in code)
    gap = _PACKED.size - 4
    return whole, [
        at * _PACKED.size + gap for at, (*_head, last) in enumerate(code) if last is None
    ]


_PACKED = struct.Struct("<HBBI")

_ANSWERS = {
    syscalls.FREE: ALLOW,
    syscalls.SILENT: ERRNO,
    syscalls.ABSENT: ERRNO | errno.ENOSYS,
    syscalls.UNSUPPORTED: ERRNO | errno.EOPNOTSUPP,
}


def _answer(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)


def _steps(check: Check) -> list[Instruction]:
    """Return instructions that refuse the call, or go on behind themselves."""
    offset = _ARGUMENTS + 8 * check.argument + 4 * check.high  # little-endian, as both machines are
    count = len(check.values)
    tests: list[Instruction] = [
        (_EQUAL, count - at, 0, value) for at, value in enumerate(check.values)
    ]
    return [(_LOAD, 0, 0, offset), (_AND, 0, 0, check.mask), *tests, _answer(REFUSE)]
