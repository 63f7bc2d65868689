"""What a text was worth: the terms as they were measured, combined in one pure function.

Three rules make every number (docs/rewards.md has the table):

1. What an interpreter says stands first. A text that fails there earns no praise and no quality.
2. Praise is paid for substance only: a comment, ``pass`` or a lone bracket costs nobody anything.
3. Style, complexity, instruction and speed add or take a share of what was *earned*; who earned
   nothing, because nothing was taken, run or said, gets nothing for being neat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

PASSED: Final = 1.0
"""What passing all tests is worth."""
FAILED_MOST: Final = 0.85
"""A program that fails any test gets no more, however many it passes."""
ERROR_LINE: Final = -0.3
"""What each token on a line that an error names costs."""
QUALITY_LEAST: Final = -0.1
QUALITY_MOST: Final = 0.3
"""The gated terms together, as a share of what was earned. All passing programs stay above
`FAILED_MOST`: ``PASSED + QUALITY_LEAST`` is more."""
LEAST: Final = -1.5
MOST: Final = 2.05
"""Bounds of `Reward.total`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The terms of one text; None is "nobody knows", which is worth 0.

    ``runtime`` and ``tests`` come from execution, ``developer`` from what was done with it,
    ``similarity`` stands in for both where there is neither. ``error_lines`` count from the text's
    first line; ``substance``, in [0, 1], is the share of praise that such a text can be paid.
    """

    compiler: float = 0.0
    runtime: float | None = None
    tests: float | None = None
    developer: float | None = None
    similarity: float | None = None
    style: float | None = None
    complexity: float | None = None
    instruction: float | None = None
    speed: float | None = None
    error_lines: frozenset[int] = field(default_factory=frozenset)
    substance: float = 1.0

    @property
    def executed(self) -> float:
        """What the tests say in all; 0 when none ran."""
        return (self.runtime or 0.0) + (self.tests or 0.0)

    @property
    def opinion(self) -> float:
        """What the developer says; without one and without tests, the likeness to settled text."""
        if self.developer is not None:
            return self.developer
        return 0.0 if self.similarity is None or self.tests is not None else self.similarity

    @property
    def failure(self) -> str:
        """The first term that failed, by which praise and quality are withheld; or empty."""
        if self.compiler < 0.0:
            return "compiler"
        if self.tests is not None and self.executed < PASSED:
            return "tests"
        return "error_lines" if self.error_lines else ""

    @property
    def praise(self) -> float:
        """The opinion's good part: nothing where anything failed, and for substance only."""
        return 0.0 if self.failure else max(0.0, self.opinion) * self.substance

    @property
    def earned(self) -> float:
        """What quality is a share of, in [0, 1]: 0 where anything failed, or nobody gained."""
        return 0.0 if self.failure else min(1.0, max(0.0, self.executed) + self.praise)

    @property
    def quality(self) -> float:
        """The gated terms together, in [`QUALITY_LEAST`, `QUALITY_MOST`]."""
        terms = (self.style, self.complexity, self.instruction, self.speed)
        total = sum(term for term in terms if term is not None)
        return min(max(total, QUALITY_LEAST), QUALITY_MOST)


@dataclass(frozen=True, slots=True)
class Reward:
    """``total`` is of the whole text, in [`LEAST`, `MOST`]; ``terms`` says what was measured.

    ``error_lines`` (counted from the text's first line) cost their own tokens `ERROR_LINE` each,
    on top of ``total``. ``withheld`` names the term whose failure keeps praise and quality back.
    """

    total: float
    terms: Mapping[str, float]
    error_lines: frozenset[int] = field(default_factory=frozenset)
    withheld: str = ""

    @property
    def silent(self) -> bool:
        """Whether nothing at all follows from it."""
        return self.total == 0.0 and not self.error_lines

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON; numbers are as they were."""
        return {
            "total": self.total,
            "terms": dict(self.terms),
            "error_lines": sorted(self.error_lines),
            "withheld": self.withheld,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Reward:
        """Return the reward that `as_json` has written down."""
        lines = frozenset(said["error_lines"])
        return cls(said["total"], said["terms"], lines, said["withheld"])


def combine(evidence: Evidence) -> Reward:
    """Return the reward of a text; pure, bounded, and the only place where terms meet."""
    failure = evidence.failure
    executed = 0.0 if failure == "compiler" else evidence.executed
    if failure == "tests":
        executed = min(executed, FAILED_MOST)
    blame = min(0.0, evidence.opinion)
    quality = evidence.earned * evidence.quality
    total = evidence.compiler + executed + blame + evidence.praise + quality
    return Reward(total, _measured(evidence), evidence.error_lines, failure)


def _measured(evidence: Evidence) -> dict[str, float]:
    """Return every known term by name, in the order of the table."""
    known = {
        "compiler": evidence.compiler,
        "runtime": evidence.runtime,
        "tests": evidence.tests,
        "error_lines": ERROR_LINE if evidence.error_lines else 0.0,
        "style": evidence.style,
        "complexity": evidence.complexity,
        "instruction": evidence.instruction,
        "developer": evidence.developer,
        "similarity": evidence.similarity,
        "speed": evidence.speed,
    }
    return {name: value for name, value in known.items() if value is not None}
