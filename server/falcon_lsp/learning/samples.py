"""What the losses see of an example: samples, units of them, and passes that memory allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from falcon_lsp.learning.dataset import TrainingExample
from falcon_lsp.learning.objectives.policy import advantages

T = TypeVar("T")

ROW_POSITIONS = 1024
"""Positions of one forward and backward pass, 0.6 MB each."""

ANSWER_POSITIONS = 320
"""Those of them that have logits: 0.2 MB for each of the half dozen tensors of a vocabulary."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An example ready for the loss: behaviour log-probabilities and token advantages, ``(A,)``."""

    example: TrainingExample
    behaviour: Tensor
    advantages: Tensor


Unit = list[Sample]
"""Samples that are judged together: one, or two texts for the same place."""


def texts_of(example: TrainingExample) -> Iterable[Sample]:
    """Yield the text of ``example``, then the one that it is compared with, if there is any.

    Advantages say which of them is liked (1) and which is not (-1).
    """
    length = len(example.sequence.answer)
    yield Sample(
        example, torch.zeros(length), torch.full((length,), 1.0 if example.liked else -1.0)
    )
    if example.refused is not None:
        length = len(example.refused.answer)
        other = replace(example, sequence=example.refused, credit=(1.0,) * length)
        yield Sample(other, torch.zeros(length), torch.full((length,), -1.0))


def credited(examples: Sequence[TrainingExample], behaviour: Sequence[Tensor]) -> list[Sample]:
    """Spread each episode's advantage over its credited tokens, and add the tokens' own blame."""
    weights = advantages(
        [example.reward.total for example in examples],
        [example.language for example in examples],
    )
    return [
        Sample(example, logprobs, weight + torch.tensor(example.penalty))
        for example, logprobs, weight in zip(examples, behaviour, weights, strict=True)
    ]


def in_units(samples: Sequence[Sample]) -> list[Unit]:
    """Put samples of the same episode together, in the order given."""
    units: dict[str, Unit] = {}
    for sample in samples:
        units.setdefault(sample.example.completion_id, []).append(sample)
    return list(units.values())


def passes(batch: Sequence[Unit], most: int) -> Iterable[list[Unit]]:
    """Yield units of like length together, as many as memory allows and at most ``most``."""
    taken: list[Unit] = []
    for unit in sorted(batch, key=_length):
        if taken and (len(taken) == most or not _fits([*taken, unit])):
            yield taken
            taken = []
        taken.append(unit)
    yield taken


def _fits(units: Sequence[Unit]) -> bool:
    answers = [len(sample.example.sequence.answer) for unit in units for sample in unit]
    laid_out = len(answers) * max(answers)
    return laid_out <= ANSWER_POSITIONS and sum(map(_length, units)) <= ROW_POSITIONS


def trained_tokens(unit: Unit) -> float:
    """Return how many tokens of ``unit`` are trained."""
    return sum(sum(sample.example.credit) for sample in unit)


def _length(unit: Unit) -> int:
    return sum(len(sample.example.sequence) for sample in unit)


def chunks(items: Sequence[T], size: int) -> Iterable[list[T]]:
    """Yield ``size`` items at a time, in order."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
