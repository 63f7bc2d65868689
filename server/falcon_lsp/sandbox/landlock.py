"""Which files a sandboxed program may reach (Landlock): those that are named, and no others.

A ruleset says which accesses it handles; a handled access is refused everywhere but below the paths
of its rules. Kernels differ in what they can handle: the "ABI" is asked for first.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET = 444
"""Number of the system call, on every machine."""

_VERSION_FLAG = 1

WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_DIR, MAKE_REG, MAKE_SYM = 1 << 7, 1 << 8, 1 << 12
REFER, TRUNCATE = 1 << 13, 1 << 14

READ = READ_FILE | READ_DIR
OWN = (
    READ | WRITE_FILE | TRUNCATE | REFER
    | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM
)  # fmt: skip
"""Everything that makes sense in a folder of one's own: no devices, sockets, pipes, programs."""

_FILE_ONLY = READ_FILE | WRITE_FILE | TRUNCATE
_FIRST_KNOWN = {1: (1 << 13) - 1, 2: REFER, 3: TRUNCATE, 5: 1 << 15}
"""Accesses to files, by the ABI that brought them; the last is ioctl on devices."""

_TCP, _SCOPES = 0b11, 0b11
_TCP_SINCE, _SCOPES_SINCE = 4, 6
"""Bind and connect; abstract sockets and signals of processes outside."""

Rule = tuple[str, int]
"""A path, and what is allowed below it."""


def probe() -> int:
    """Return the kernel's ABI, 0 where Landlock is missing or off."""
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    version: int = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    return max(0, version)


def attributes(abi: int) -> list[int]:
    """Return ``struct landlock_ruleset_attr``: handled accesses to files, TCP, and scopes."""
    files = sum(mask for since, mask in _FIRST_KNOWN.items() if since <= abi)
    tail = ((_TCP, _TCP_SINCE), (_SCOPES, _SCOPES_SINCE))
    return [files, *(mask for mask, since in tail if since <= abi)]


def rules(abi: int, readable: Iterable[Path], devices: Iterable[Path], own: Path) -> list[Rule]:
    """Return the rules for paths that exist; ``devices`` may be read and written."""
    wanted = [*((path, READ) for path in readable), *((path, _FILE_ONLY) for path in devices)]
    handled = attributes(abi)[0]
    found: list[Rule] = []
    for path, access in [*wanted, (own, OWN)]:
        if path.exists():
            kind = access if path.is_dir() else access & _FILE_ONLY
            found.append((str(path), kind & handled))
    return found
