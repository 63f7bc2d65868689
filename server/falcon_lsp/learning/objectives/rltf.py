"""The rewards of RLTF (arXiv 2307.04349), a peer to compare with: three grains of unit tests.

Coarse looks at the worst that happened, adaptive at the share of tests passed, fine at the lines
that the interpreter names.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

COMPILE_ERROR: Final = -1.0
RUNTIME_ERROR: Final = -0.6
FAILED_TEST: Final = -0.3
PASSED: Final = 1.0
BLAMED: Final = -0.3


class Blame(enum.Enum):
    """What an error says about the program's tokens."""

    EVERYWHERE = "the whole program is at fault"
    LINE = "the line that the interpreter names"
    NOWHERE = "nothing can be blamed"


_LINE_ERRORS = frozenset({
    "SyntaxError", "IndentationError", "TabError", "IndexError", "TypeError", "ValueError",
    "EOFError", "NameError", "UnboundLocalError", "KeyError", "ImportError",
    "ModuleNotFoundError", "ZeroDivisionError", "RecursionError", "AttributeError",
    "UnicodeDecodeError", "UnicodeEncodeError", "OverflowError",
})  # fmt: skip
_IGNORED = frozenset({"MemoryError", "TimeoutError", ""})


def coarse(error: str, passed: int, tests: int) -> float:
    """Return the reward of the whole program from its first ``error`` (class name, or empty)."""
    if error in ("SyntaxError", "IndentationError", "TabError"):
        return COMPILE_ERROR
    if error and error != "AssertionError":
        return RUNTIME_ERROR
    return PASSED if passed == tests and not error else FAILED_TEST


def adaptive(passed: int, tests: int) -> float:
    """Return -0.3 to 1.0 by the share of *all* tests that passed."""
    return FAILED_TEST + 1.3 * passed / max(1, tests)


def blame(error: str) -> Blame:
    """Return where an error of the class named ``error`` lies; a failed assert, everywhere."""
    if error in _IGNORED:
        return Blame.NOWHERE
    return Blame.LINE if error in _LINE_ERRORS else Blame.EVERYWHERE


def fine(error: str, named: Sequence[bool]) -> list[float]:
    """Return what each token is blamed for; ``named`` says which are on the line of the error."""
    kind = blame(error)
    everywhere = kind is Blame.EVERYWHERE
    on_line = kind is Blame.LINE
    return [BLAMED if everywhere or (on_line and here) else 0.0 for here in named]
