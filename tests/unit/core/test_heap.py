"""Memory that goes back to the system, seen from outside: what the process takes up."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc can be told how to give back"
)
BEGIN = """
import ctypes, psutil
from falcon_lsp.core.heap import give_back, return_large_blocks

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
MB = 1024 * 1024

def take(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block

def free(block):
    libc.free(ctypes.c_void_p(block))

def taken():
    return psutil.Process().memory_info().rss // MB
"""
LARGE = """
free(take(24 * MB))  # from here on glibc keeps what is smaller
before = taken()
blocks = []
for _ in range(10):
    blocks.append(take(20 * MB))
    take(100 * 1024)  # stays, and the heap cannot shrink past it
for block in blocks:
    free(block)
print(taken() - before)
"""
SMALL = """
before = taken()
blocks = [take(64 * 1024) for _ in range(1600)]
take(100 * 1024)
for block in blocks:
    free(block)
kept = taken() - before
give_back()
print(kept, taken() - before)
"""


def run(program: str) -> list[int]:
    """Run ``program`` and return the numbers that it prints, in MB."""
    command = [sys.executable, "-c", BEGIN + program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [int(number) for number in done.stdout.split()]


def test_large_blocks_go_back_when_they_are_freed() -> None:
    (kept,) = run(LARGE)
    (after,) = run("return_large_blocks()\n" + LARGE)
    assert kept > 150  # what it would be otherwise
    assert after < 20


def test_what_small_blocks_leave_is_given_back() -> None:
    kept, after = run(SMALL)
    assert kept > 80
    assert after < 20


def test_another_c_library_is_left_alone(monkeypatch) -> None:
    from falcon_lsp.core import heap

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    heap.return_large_blocks()
    heap.give_back()
