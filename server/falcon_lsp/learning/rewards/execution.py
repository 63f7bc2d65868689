"""What running a program says: every test counts, and how fast a correct program is."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from falcon_lsp.learning.rewards.combination import PASSED

WRONG: Final = -0.3
RAISED: Final = -0.6
SPEED_STEP: Final = 0.1
"""Worth of each doubling of speed."""
SPEED_LEAST: Final = -0.1
SPEED_MOST: Final = 0.3
SAME_SPEED: Final = 1.1
"""Ratios of times up to this are noise."""


class Verdict(enum.StrEnum):
    """How one test ended; what said nothing (killed, out of time) has `RAISED`."""

    PASSED = "passed"
    FAILED = "failed"
    RAISED = "raised"


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """One test. ``error`` is the exception's class, ``line`` the program's that raised (from 0).

    ``line`` is -1 where no line of the program is to blame, as for a wrong answer.
    """

    __test__ = False  # its name is no invitation to pytest

    verdict: Verdict
    error: str = ""
    line: int = -1


def runtime_term(outcomes: Sequence[TestOutcome]) -> float | None:
    """Return -0.6 times the share of tests in which the program raised; None without tests."""
    return _share(outcomes, Verdict.RAISED, RAISED) if outcomes else None


def suite_term(outcomes: Sequence[TestOutcome]) -> float | None:
    """Return what the other tests say: each is worth 1.0 passed or -0.3 failed, over all of them.

    Where nothing raised that is ``-0.3 + 1.3 x pass ratio``. None without tests.
    """
    if not outcomes:
        return None
    if all(one.verdict is Verdict.PASSED for one in outcomes):
        return PASSED
    passed = _share(outcomes, Verdict.PASSED, PASSED)
    return passed + _share(outcomes, Verdict.FAILED, WRONG)


def _share(outcomes: Sequence[TestOutcome], verdict: Verdict, worth: float) -> float:
    return worth * sum(one.verdict is verdict for one in outcomes) / len(outcomes)


def speed_term(before_s: float, after_s: float) -> float:
    """Return 0.1 for each doubling of speed, in [-0.1, 0.3]; 0 where times differ by noise only.

    Times are seconds of the same work, before and after; of no length they say nothing.
    """
    if before_s <= 0.0 or after_s <= 0.0:
        return 0.0
    ratio = before_s / after_s
    if max(ratio, 1.0 / ratio) <= SAME_SPEED:
        return 0.0
    return min(max(SPEED_STEP * math.log2(ratio), SPEED_LEAST), SPEED_MOST)
