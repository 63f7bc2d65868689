"""Facts about the filter of system calls, on both machines, by running it as the kernel does."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from falcon_lsp.sandbox import seccomp, syscalls
from falcon_lsp.sandbox.seccomp import ALLOW, ERRNO, KILL, REFUSE

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PID = 4242
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def judge(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """Return the filter's answer to a call."""
    arch = ARCHITECTURES[machine] if architecture is None else architecture
    words = [number, arch, 0, 0]
    for argument in (*arguments, *(0,) * (6 - len(arguments))):
        words += [argument & 0xFFFFFFFF, argument >> 32 & 0xFFFFFFFF]
    code = seccomp.assemble(machine)
    at = accumulator = 0
    while True:
        kind, if_true, if_false, constant = code[at]
        value = PID if constant is None else constant
        at += 1
        match kind:
            case 0x20:
                accumulator = words[value // 4]
            case 0x54:
                accumulator &= value
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x06:
                return value


def number(machine: str, name: str) -> int:
    tables = (
        syscalls.FREE, syscalls.CHECKED, syscalls.SILENT, syscalls.ABSENT, syscalls.UNSUPPORTED,
    )  # fmt: skip
    known = {k: v for table in tables for k, v in syscalls.numbers(table, machine).items()}
    return known[name]


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_exactly_the_listed_calls_are_allowed(machine: str) -> None:
    answers = {number: judge(machine, number) for number in range(600)}
    free = set(syscalls.numbers(syscalls.FREE, machine).values())
    silent = set(syscalls.numbers(syscalls.SILENT, machine).values())
    checked = set(syscalls.numbers(syscalls.CHECKED, machine).values())
    assert {n for n, answer in answers.items() if answer == ALLOW} - checked == free
    assert {n for n, answer in answers.items() if answer == ERRNO} == silent
    rest = set(answers) - free - silent - checked
    assert {answers[n] for n in rest} == {
        REFUSE, ERRNO | errno.ENOSYS, ERRNO | errno.EOPNOTSUPP,
    }  # fmt: skip


THREAD = 0x3D0F00  # what the C library starts threads with
CASES = [
    ("clone", (THREAD,), True),
    ("clone", (17,), False),
    ("clone", (THREAD | 0x10000000,), False),
    ("clone", (THREAD | 0x00020000,), False),
    ("kill", (PID,), True),
    ("kill", (PID + 1,), False),
    ("kill", (0,), False),
    ("kill", (-1,), False),
    ("tgkill", (PID, 1), True),
    ("tgkill", (1, 1), False),
    ("ioctl", (1, 0x5401), True),
    ("ioctl", (0, 0x5412), False),
    ("ioctl", (0, 0x1_0000_5412), False),
    ("fcntl", (3, 1030), True),
    ("fcntl", (3, 8), False),
    ("fcntl", (3, 10), False),
    ("prctl", (15,), True),
    ("prctl", (1,), False),
    ("prctl", (22,), False),
    ("socketpair", (1, 1 | 0o2000000), True),
    ("socketpair", (1, 2), False),
    ("socketpair", (2, 1), False),
    ("sendto", (3, 0x7000, 1, 0, 0, 0), True),
    ("sendto", (3, 0x7000, 1, 0, 0x7000, 16), False),
    ("sendto", (3, 0x7000, 1, 0, 0x7000_0000_0000, 16), False),
    ("prlimit64", (0, 0, 0, 0x7000), True),
    ("prlimit64", (0, 0, 0x7000_0000_0000, 0), False),
    ("prlimit64", (PID, 0, 0, 0x7000), False),
    ("openat", (3, 0x7000, 0o1101), True),
    ("openat", (3, 0x7000, 0o1002), True),
    ("openat", (3, 0x7000, 0o1000), False),
]


@pytest.mark.parametrize("machine", syscalls.MACHINES)
@pytest.mark.parametrize(("name", "arguments", "allowed"), CASES)
def test_arguments_decide(
    machine: str, name: str, arguments: tuple[int, ...], allowed: bool
) -> None:
    assert judge(machine, number(machine, name), *arguments) == (ALLOW if allowed else REFUSE)


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_another_machines_calls_end_the_program(machine: str) -> None:
    other = next(value for name, value in ARCHITECTURES.items() if name != machine)
    assert judge(machine, 0, architecture=other) == KILL
    assert judge(machine, 0, architecture=0x40000003) == KILL


def test_calls_of_x32_end_the_program() -> None:
    assert judge("x86_64", 0x4000_0000) == KILL
    assert judge("x86_64", 0x4000_0000 | 1) == KILL


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_no_call_is_listed_twice_and_each_check_is_for_a_listed_call(machine: str) -> None:
    tables = (
        syscalls.FREE, syscalls.CHECKED, syscalls.SILENT, syscalls.ABSENT, syscalls.UNSUPPORTED,
    )  # fmt: skip
    numbers = [n for table in tables for n in syscalls.numbers(table, machine).values()]
    assert len(numbers) == len(set(numbers))
    assert set(syscalls.numbers(syscalls.CHECKED, "x86_64")) == set(seccomp.CHECKS)


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_numbers_are_the_kernels(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    words = [line.split() for line in header.read_text(encoding="utf-8").splitlines()]
    defined = {
        w[1].removeprefix("__NR_").removeprefix("__NR3264_"): int(w[2])
        for w in words
        if len(w) >= 3 and w[0] == "#define" and w[1].startswith("__NR") and w[2].isdigit()
    }
    names = {"newfstatat": "fstatat"} if machine == "aarch64" else {}
    for table in (syscalls.FREE, syscalls.CHECKED, syscalls.SILENT, syscalls.UNSUPPORTED):
        for name, value in syscalls.numbers(table, machine).items():
            assert defined.get(names.get(name, name), value) == value
