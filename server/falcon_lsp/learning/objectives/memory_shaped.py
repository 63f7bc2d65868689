"""A reward from memory for models too small to be taught by success alone.

After Memory-R+ (arXiv 2504.02273): *exploit* is how close an answer is to the successes of the K
nearest contexts, *explore* how far it is from their failures. Both are scaled by what was seen so
far, so that neither drowns the outcome's own reward.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Unit vectors, ``(N, D)`` or ``(D,)``."""


@dataclass(slots=True)
class Scale:
    """Maps values into [0, 1] by the least and the greatest of the last ``window``."""

    window: int = 512
    seen: deque[float] = field(default_factory=deque)

    def __call__(self, value: float) -> float:
        """Count ``value`` in and return its place between the extremes; 0.5 while all are equal."""
        self.seen.append(value)
        if len(self.seen) > self.window:
            self.seen.popleft()
        low, high = min(self.seen), max(self.seen)
        return (value - low) / (high - low) if high > low else 0.5


@dataclass(frozen=True, slots=True)
class Shaped:
    """Both parts, each in [0, 1], and what they add to the reward."""

    exploit: float
    explore: float
    total: float


class MemoryReward:
    """Remembers answers by context, successes and failures apart, each side bounded.

    An answer is never compared with those of its own context: it would only meet itself again.
    """

    def __init__(
        self,
        neighbours: int = 4,
        capacity: int = 4096,
        exploit: float = 0.1,
        explore: float = 0.1,
    ) -> None:
        self._neighbours = neighbours
        self._weights = (exploit, explore)
        self._sides: dict[bool, deque[_Entry]] = {
            True: deque(maxlen=capacity),
            False: deque(maxlen=capacity),
        }
        self._scales = (Scale(), Scale())

    def add(self, context_id: str, context: Vectors, answer: Vectors, *, success: bool) -> None:
        """Remember one answer; the oldest of its side goes when the side is full."""
        self._sides[success].append(_Entry(context_id, context, answer))

    def reward(self, context_id: str, context: Vectors, answer: Vectors) -> Shaped:
        """Return what memory says about ``answer (D,)`` to ``context (D,)``.

        A side that knows nothing near says nothing: its part is 0.5 for every answer alike.
        """
        liked = self._nearest(self._sides[True], context_id, context)
        failed = self._nearest(self._sides[False], context_id, context)
        exploit = self._scales[0](closeness(answer, liked)) if len(liked) else 0.5
        explore = self._scales[1](distance(answer, failed)) if len(failed) else 0.5
        total = self._weights[0] * exploit + self._weights[1] * explore
        return Shaped(exploit, explore, total)

    def _nearest(self, side: deque[_Entry], context_id: str, context: Vectors) -> Vectors:
        """Return the answers ``(N, D)`` of the nearest contexts of one side."""
        best: dict[str, float] = {}
        others = [entry for entry in side if entry.context_id != context_id]
        for entry in others:
            best.setdefault(entry.context_id, float(entry.context @ context))
        nearest = set(sorted(best, key=lambda name: (-best[name], name))[: self._neighbours])
        found = [entry.answer for entry in others if entry.context_id in nearest]
        return np.stack(found) if found else np.zeros((0, len(context)), np.float32)

    def state(self) -> dict[str, Any]:
        """Return all that is remembered as plain JSON."""
        return {
            "sides": {
                str(success): [entry.plain() for entry in side]
                for success, side in self._sides.items()
            },
            "scales": [list(scale.seen) for scale in self._scales],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to an earlier `state`."""
        for success, side in self._sides.items():
            side.clear()
            side.extend(map(_Entry.of, state["sides"][str(success)]))
        for scale, seen in zip(self._scales, state["scales"], strict=True):
            scale.seen = deque(seen)


@dataclass(frozen=True, slots=True)
class _Entry:
    context_id: str
    context: Vectors
    answer: Vectors

    def plain(self) -> list[Any]:
        return [self.context_id, self.context.tolist(), self.answer.tolist()]

    @classmethod
    def of(cls, plain: Sequence[Any]) -> _Entry:
        context_id, context, answer = plain
        return cls(context_id, np.asarray(context, np.float32), np.asarray(answer, np.float32))


def closeness(answer: Vectors, successes: Vectors) -> float:
    """Return the cosine of ``answer (D,)`` to the centroid of ``successes (N, D)``."""
    centroid = successes.mean(axis=0)
    return float(answer @ centroid / max(float(np.linalg.norm(centroid)), 1e-9))


def distance(answer: Vectors, failures: Vectors) -> float:
    """Return 1 minus the greatest cosine of ``answer (D,)`` to any of ``failures (N, D)``."""
    return 1.0 - float((failures @ answer).max())
