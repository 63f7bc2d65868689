"""Which steps of a long history are typed: some stretches of it, each in time order."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

STRETCHES = 3
STEPS_PER_MINUTE = 12
"""More than any machine gets through: a stretch begins early enough not to run out of steps."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Steps from ``start`` to ``end`` (exclusive), to be left when ``share`` of the time is up."""

    start: int
    end: int
    share: float


def stretches(steps: int, budget_minutes: float, seed: int) -> list[Stretch]:
    """Cut a history of ``steps`` into equal parts and draw where in each the typing begins.

    What the budget may hold whole is begun at its beginning.
    """
    rng = random.Random(seed)
    need = math.ceil(budget_minutes * STEPS_PER_MINUTE / STRETCHES)
    found = []
    for part in range(STRETCHES):
        low, high = part * steps // STRETCHES, (part + 1) * steps // STRETCHES
        start = rng.randint(low, max(low, high - need))
        found.append(Stretch(start, high, (part + 1) / STRETCHES))
    return found
