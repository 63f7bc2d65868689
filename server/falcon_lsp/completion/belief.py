"""What is believed about the developer: a logistic model whose weights are never quite certain.

The weights have a normal distribution that begins as the prior. Each outcome moves it by the exact
maximum along the one direction that the outcome speaks of (online Laplace), so no step can run
away, and certainty grows only where there is evidence. Evidence fades, and everything returns to
the prior in the end.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from falcon_lsp.completion import features
from falcon_lsp.completion.features import Vector

MOST_SHIFT: Final = 1.5
"""Whatever is learned, the log-odds of a suggestion differ from the prior's by at most so much."""

FADING: Final = 1000.0
"""After so many outcomes more, an outcome counts 1/e of what it did."""

_NEWTON_STEPS: Final = 40
_EXACT: Final = 1e-10

Matrix = tuple[Vector, ...]


@dataclass(frozen=True, slots=True)
class Prior:
    """Weights of `features.NAMES` before anything is known of a developer, and their spread."""

    mean: Vector
    spread: Vector

    @classmethod
    def read(cls, body: dict[str, Any]) -> Prior:
        """Return the prior that is written by name; raises `ValueError` for other features."""
        if body["version"] != features.VERSION or set(body["weights"]) != set(features.NAMES):
            raise ValueError("the prior belongs to other features")
        rows = [body["weights"][name] for name in features.NAMES]
        return cls(tuple(row["mean"] for row in rows), tuple(row["spread"] for row in rows))

    def score(self, given: Vector) -> float:
        """Return the log-odds of a suggestion."""
        return dot(self.mean, given)


@functools.cache
def shipped_prior() -> Prior:
    """Return the prior that `benchmarks/quiet.py` fitted on repositories nothing is measured on."""
    file = importlib.resources.files("falcon_lsp").joinpath("data/quiet-prior.json")
    return Prior.read(json.loads(file.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Belief:
    """Normal distribution of the weights. Immutable: `learned` returns the next one."""

    prior: Prior
    mean: Vector
    covariance: Matrix

    @classmethod
    def fresh(cls, prior: Prior) -> Belief:
        """Return what is believed of somebody who is not known."""
        return cls(prior, prior.mean, _diagonal(prior.spread))

    def probability(self, given: Vector) -> float:
        """Return the estimated chance, 0 to 1, that the developer takes a suggestion."""
        usual = self.prior.score(given)
        shift = dot(self.mean, given) - usual
        return logistic(usual + min(max(shift, -MOST_SHIFT), MOST_SHIFT))

    def learned(self, given: Vector, taken: float, worth: float) -> Belief:
        """Return what is believed after an outcome: ``taken`` is 1 or 0, ``worth`` 0 to 1."""
        towards = tuple(dot(row, given) for row in self.covariance)
        variance, score = dot(towards, given), dot(self.mean, given)
        step = _step(score, variance, taken, worth)
        chance = logistic(score + variance * step)
        sharper = worth * chance * (1 - chance)
        gain = sharper / (1 + sharper * variance)
        mean = tuple(m + g * step for m, g in zip(self.mean, towards, strict=True))
        covariance = tuple(
            tuple(c - gain * g * h for c, h in zip(row, towards, strict=True))
            for row, g in zip(self.covariance, towards, strict=True)
        )
        return replace(self, mean=mean, covariance=covariance).faded(worth / FADING)

    def faded(self, share: float) -> Belief:
        """Return it moved a little back towards the prior."""
        mean = tuple(m + share * (p - m) for m, p in zip(self.mean, self.prior.mean, strict=True))
        covariance = tuple(
            tuple(
                c * (1 - share) + share * self.prior.spread[i] ** 2 * (i == j)
                for j, c in enumerate(row)
            )
            for i, row in enumerate(self.covariance)
        )
        return replace(self, mean=mean, covariance=covariance)


@functools.cache
def usual() -> Belief:
    """Return what is believed of somebody who is not known, by the shipped prior."""
    return Belief.fresh(shipped_prior())


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the scalar product; raises `ValueError` for different lengths."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def logistic(score: float) -> float:
    """Return the chance that log-odds stand for; never overflows."""
    if score >= 0:
        return 1 / (1 + math.exp(-min(score, 700.0)))
    odds = math.exp(max(score, -700.0))
    return odds / (1 + odds)


def _step(score: float, variance: float, taken: float, worth: float) -> float:
    """Return the t with t = worth * (taken - logistic(score + variance * t)), |t| <= worth."""
    low, high = -worth, worth
    step = 0.0
    for _ in range(_NEWTON_STEPS):
        chance = logistic(score + variance * step)
        off = step - worth * (taken - chance)
        low, high = (low, step) if off > 0 else (step, high)
        slope = 1 + worth * variance * chance * (1 - chance)
        further = step - off / slope
        step = further if low < further < high else (low + high) / 2
        if abs(off) < _EXACT:
            break
    return step


def _diagonal(spread: Vector) -> Matrix:
    return tuple(
        tuple(one**2 if i == j else 0.0 for j in range(len(spread))) for i, one in enumerate(spread)
    )
