"""A bounded number of optimiser steps on one batch of episodes.

Deterministic on a CPU: the same start, examples, seed and thread count give the same bytes, however
often the run was killed and taken up again from its journal.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.crew import ALONE, Crew
from falcon_lsp.learning.dataset import Reason, TrainingExample
from falcon_lsp.learning.journal import NO_JOURNAL, Journal
from falcon_lsp.learning.losses import LOSSES, Bounds, Objective, View
from falcon_lsp.learning.objectives.policy import Loss, advantages
from falcon_lsp.learning.packing import collate
from falcon_lsp.learning.policy_model import LoraShape, PolicyModel
from falcon_lsp.learning.walk import StepStats, Walk

T = TypeVar("T")
Locate = Callable[[str], Path | None]
"""Folder of an adapter by id, verified; None for the base; `LookupError` when it is gone."""

ROW_POSITIONS = 1024
"""Positions of one forward and backward pass, 0.6 MB each."""

ANSWER_POSITIONS = 320
"""Those of them that have logits: 0.2 MB for each of the half dozen tensors of a vocabulary."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyper-parameters. ``rows`` bounds a pass, ``minibatch`` and ``epochs`` the number of steps.

    ``kl_cap`` (nats per token against the base) ends training; ``beta`` already pulls before it.
    It lies below the gate's, for the step that leads above it is noticed only at the next one.

    The learning rate is measured on the built-in model, 32 episodes of one steady taste: later text
    of that taste gained 0.2 nats per token at 2e-4 (KL 0.01) and 1.0 at 1e-3 (KL 0.38, too far).
    """

    objective: Objective = Objective.POLICY
    learning_rate: float = 4e-4
    minibatch: int = 16
    rows: int = 4
    epochs: int = 3
    most_steps: int = 12
    clip: float = 0.2
    dual_clip: float = 3.0
    beta: float = 0.05
    preference_beta: float = 0.1
    kl_cap: float = 0.15
    gradient_norm: float = 1.0
    seed: int = 0
    shape: LoraShape = field(default_factory=LoraShape)

    @property
    def bounds(self) -> Bounds:
        """What bounds a single step."""
        return Bounds(self.clip, self.dual_clip, self.beta, self.preference_beta)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What `train` did. ``skipped`` counts examples whose behaviour adapter is gone."""

    used: tuple[TrainingExample, ...]
    skipped: dict[str, Reason]
    steps: tuple[StepStats, ...]
    stopped: str


@dataclass(frozen=True, slots=True)
class _Sample:
    """An example ready for the loss: behaviour log-probabilities and token advantages, ``(A,)``."""

    example: TrainingExample
    behaviour: Tensor
    advantages: Tensor


_Unit = list[_Sample]
"""Samples that are judged together: one, or two texts for the same place."""


def train(
    model: PolicyModel,
    examples: Sequence[TrainingExample],
    locate: Locate,
    recipe: Recipe,
    on_step: Callable[[StepStats], None],
    token: CancellationToken,
    journal: Journal = NO_JOURNAL,
    crew: Crew = ALONE,
) -> TrainingRun:
    """Improve ``model`` on ``examples`` in place; raises `Cancelled` between two passes.

    The step that led above the KL cap is taken back and ends the run.
    """
    page = journal.page(model.state(), (recipe, examples))
    walk = Walk(model, recipe, page, crew)
    if walk.stopped:
        return _told(walk, examples)
    samples, walk.skipped = _score(model, examples, locate, recipe, token)
    units = _units(samples)
    stopped = "all steps done" if units else "nothing to train on"
    for number, batch in enumerate(_minibatches(units, recipe)):
        if number < len(walk.steps):
            continue
        stats = _gradient(model, batch, recipe, number, token, crew)
        if not (isfinite(stats.loss) and stats.kl <= recipe.kl_cap):
            stopped = f"step taken back: KL {stats.kl:.3f}, cap {recipe.kl_cap:g}"
            walk.take_back()
            break
        walk.take(stats)
        on_step(stats)
    walk.end(stopped)
    return _told(walk, examples)


def _told(walk: Walk, examples: Sequence[TrainingExample]) -> TrainingRun:
    used = tuple(example for example in examples if example.completion_id not in walk.skipped)
    return TrainingRun(used, walk.skipped, tuple(walk.steps), walk.stopped)


def _score(
    model: PolicyModel,
    examples: Sequence[TrainingExample],
    locate: Locate,
    recipe: Recipe,
    token: CancellationToken,
) -> tuple[list[_Sample], dict[str, Reason]]:
    """Score what was sampled under the adapter that sampled it; other objectives need no score."""
    if recipe.objective is not Objective.POLICY:
        return [text for example in examples for text in _texts(example)], {}
    found: dict[str, Tensor] = {}
    skipped: dict[str, Reason] = {}
    for adapter_id in sorted({example.adapter_id for example in examples}):
        mine = [example for example in examples if example.adapter_id == adapter_id]
        try:
            folder = locate(adapter_id)
        except LookupError:
            skipped |= dict.fromkeys((e.completion_id for e in mine), Reason.NO_ADAPTER)
            continue
        with model.behaviour(folder):
            for group in _chunks(mine, recipe.rows):
                token.check()
                batch = collate([example.sequence for example in group]).to(model.device)
                for row, example in zip(model.logprobs(batch).cpu(), group, strict=True):
                    found[example.completion_id] = row[-len(example.sequence.answer) :].clone()
    kept = [example for example in examples if example.completion_id in found]
    return _credited(kept, [found[example.completion_id] for example in kept]), skipped


def _texts(example: TrainingExample) -> Iterable[_Sample]:
    """Yield the text of ``example``, then the one that it is compared with, if there is any."""
    nothing = torch.zeros(len(example.sequence.answer))
    yield _Sample(example, nothing, nothing)
    if example.refused is not None:
        length = len(example.refused.answer)
        other = replace(example, sequence=example.refused, credit=(1.0,) * length)
        yield _Sample(other, torch.zeros(length), torch.zeros(length))


def _credited(examples: Sequence[TrainingExample], behaviour: Sequence[Tensor]) -> list[_Sample]:
    """Spread each episode's advantage over its credited tokens, and add the tokens' own blame."""
    weights = advantages(
        [example.reward.total for example in examples],
        [example.language for example in examples],
    )
    return [
        _Sample(example, logprobs, weight + torch.tensor(example.penalty))
        for example, logprobs, weight in zip(examples, behaviour, weights, strict=True)
    ]


def _units(samples: Sequence[_Sample]) -> list[_Unit]:
    """Put samples of the same episode together, in the order given."""
    units: dict[str, _Unit] = {}
    for sample in samples:
        units.setdefault(sample.example.completion_id, []).append(sample)
    return list(units.values())


def _minibatches(units: Sequence[_Unit], recipe: Recipe) -> Iterable[list[_Unit]]:
    """Yield at most ``most_steps`` mini-batches; each epoch has an order of its own."""
    rng = random.Random(recipe.seed)
    order = list(units)
    taken = 0
    for _ in range(recipe.epochs):
        rng.shuffle(order)
        for batch in _chunks(order, recipe.minibatch):
            if taken == recipe.most_steps:
                return
            taken += 1
            yield batch


def _gradient(
    model: PolicyModel,
    batch: Sequence[_Unit],
    recipe: Recipe,
    number: int,
    token: CancellationToken,
    crew: Crew,
) -> StepStats:
    """Leave the gradient of one step in the model, summed over passes that memory allows."""
    model.clear_gradients()
    trained = max(1.0, sum(_weight(unit) for unit in batch))
    normaliser = float(len(batch)) if recipe.objective is Objective.PREFERENCE else trained
    sums = torch.zeros(4)
    for units in crew.share(list(_passes(batch, recipe.rows))):
        token.check()
        loss = _loss(model, [sample for unit in units for sample in unit], recipe, normaliser)
        loss.value.backward()  # type: ignore[no-untyped-call]
        share = sum(_weight(unit) for unit in units) / trained
        measured = [loss.value.item(), share * loss.kl, share * loss.ratio, share * loss.clipped]
        sums += torch.tensor(measured, device=model.device)
    crew.add_up([*model.gradients, sums])
    value, kl, ratio, clipped = sums.tolist()
    return StepStats(number, value, kl, ratio, clipped, int(trained))


def _passes(batch: Sequence[_Unit], most: int) -> Iterable[list[_Unit]]:
    """Yield units of like length together, as many as memory allows and at most ``most``."""
    taken: list[_Unit] = []
    for unit in sorted(batch, key=_length):
        if taken and (len(taken) == most or not _fits([*taken, unit])):
            yield taken
            taken = []
        taken.append(unit)
    yield taken


def _fits(units: Sequence[_Unit]) -> bool:
    answers = [len(sample.example.sequence.answer) for unit in units for sample in unit]
    laid_out = len(answers) * max(answers)
    return laid_out <= ANSWER_POSITIONS and sum(map(_length, units)) <= ROW_POSITIONS


def _loss(
    model: PolicyModel, samples: Sequence[_Sample], recipe: Recipe, normaliser: float
) -> Loss:
    batch = collate([sample.example.sequence for sample in samples]).to(model.device)
    with torch.no_grad(), model.base():
        base_logits = model.logits(batch)
    view = View(
        model.logits(batch),
        base_logits,
        batch.targets,
        _right(batch.mask, [sample.behaviour for sample in samples]),
        _right(batch.mask, [sample.advantages for sample in samples]),
        _right(batch.mask, [torch.tensor(sample.example.credit) for sample in samples]),
    )
    return LOSSES[recipe.objective](view, recipe.bounds, normaliser)


def _right(like: Tensor, rows: Sequence[Tensor]) -> Tensor:
    """Stack ``rows`` of unequal length into the shape of ``like``, each at the right end."""
    stacked = torch.zeros_like(like)
    for at, row in enumerate(rows):
        stacked[at, like.shape[1] - len(row) :] = row
    return stacked


def _weight(unit: _Unit) -> float:
    """Return how many tokens of ``unit`` are trained."""
    return sum(sum(sample.example.credit) for sample in unit)


def _length(unit: _Unit) -> int:
    return sum(len(sample.example.sequence) for sample in unit)


def _chunks(items: Sequence[T], size: int) -> Iterable[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
