"""How much harder to read a text makes its file: the change of its cognitive complexity."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from typing import Final

from falcon_lsp.learning.rewards.sample import Sample, breaks_syntax

logger = logging.getLogger(__name__)

COMPLEXITY_STEP: Final = -0.01
COMPLEXITY_MOST: Final = 0.1


def complexity_term(before: int, after: int) -> float:
    """Return -0.01 for each point of cognitive complexity added, in [-0.1, 0.1]."""
    change = COMPLEXITY_STEP * (after - before)
    return min(max(change, -COMPLEXITY_MOST), COMPLEXITY_MOST)


def complexity_terms(samples: Sequence[Sample]) -> list[float]:
    """Return the complexity term of each sample; 0 where nothing can be measured."""
    if importlib.util.find_spec("complexipy") is None:
        logger.warning("no complexity reward: complexipy is not installed (falcon-lsp[rewards])")
        return [0.0] * len(samples)
    return [_term(sample) for sample in samples]


def _term(sample: Sample) -> float:
    before = sample.baseline()
    if before is None or breaks_syntax(sample):
        return 0.0
    measured = cognitive_complexity(before), cognitive_complexity(sample.whole)
    if measured[0] is None or measured[1] is None:
        return 0.0
    return complexity_term(measured[0], measured[1])


def cognitive_complexity(source: str) -> int | None:
    """Return the cognitive complexity of a whole Python file; None where it cannot be read."""
    import complexipy

    try:
        return int(complexipy.code_complexity(source).complexity)
    except ValueError:
        return None
