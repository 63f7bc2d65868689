"""A bounded number of optimiser steps on one batch of episodes.

Deterministic on a CPU: the same start, examples, seed and thread count give the same bytes, however
often the run was killed and taken up again from its journal.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.crew import ALONE, Crew
from falcon_lsp.learning.dataset import Reason, Scored, TrainingExample
from falcon_lsp.learning.journal import NO_JOURNAL, Journal
from falcon_lsp.learning.losses import LOSSES, Bounds, Objective, View
from falcon_lsp.learning.objectives.policy import Loss
from falcon_lsp.learning.objectives.preference import kto_reference
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel
from falcon_lsp.learning.policy.packing import collate
from falcon_lsp.learning.rewards import Reward
from falcon_lsp.learning.samples import (
    Sample,
    Unit,
    chunks,
    credited,
    in_units,
    passes,
    texts_of,
    trained_tokens,
)
from falcon_lsp.learning.walk import StepStats, Walk

Locate = Callable[[str], Path | None]
"""Folder of an adapter by id, verified; None for the base; `LookupError` when it is gone."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyper-parameters. ``rows`` bounds a pass, ``minibatch`` and ``epochs`` the number of steps.

    ``kl_cap`` (nats per token) ends training: so much the KL to the base may grow in one run, up to
    ``kl_most``, and ``beta`` already pulls before it. Both lie below the gate's cap, for the step
    that leads above is noticed only at the next one.

    The learning rate is measured on the built-in model, 32 episodes of one steady taste: later text
    of that taste gained 0.2 nats per token at 2e-4 (KL 0.01) and 1.0 at 1e-3 (KL 0.38, too far).

    On policy, a step is what ``samples`` fresh answers in each of ``contexts`` places say.
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
    contexts: int = 4
    samples: int = 6
    kl_cap: float = 0.15
    kl_most: float = 0.25
    gradient_norm: float = 1.0
    seed: int = 0
    shape: LoraShape = field(default_factory=LoraShape)

    @property
    def bounds(self) -> Bounds:
        """What bounds a single step."""
        return Bounds(self.clip, self.dual_clip, self.beta, self.preference_beta)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What training did. ``skipped`` are examples that could not be used after all.

    ``rewards`` are those of fresh answers, where any were asked for.
    """

    used: tuple[TrainingExample, ...]
    skipped: dict[str, Reason]
    steps: tuple[StepStats, ...]
    stopped: str
    rewards: tuple[Reward, ...] = ()


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
    units = in_units(samples)
    stopped = "all steps done" if units else "nothing to train on"
    for number, batch in enumerate(_minibatches(units, recipe)):
        if number < len(walk.steps):
            continue
        stats = _gradient(model, batch, recipe, number, token, crew)
        if too_far := walk.led_too_far(stats):
            stopped = too_far
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
) -> tuple[list[Sample], dict[str, Reason]]:
    """Score what was sampled under the adapter that sampled it; other objectives need no score."""
    if recipe.objective is not Objective.POLICY:
        return [text for example in examples for text in texts_of(example)], {}
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
            for group in chunks(mine, recipe.rows):
                token.check()
                batch = collate([example.sequence for example in group]).to(model.device)
                for row, example in zip(model.logprobs(batch).cpu(), group, strict=True):
                    found[example.completion_id] = row[-len(example.sequence.answer) :].clone()
    kept = [example for example in examples if example.completion_id in found]
    return credited(kept, [found[example.completion_id] for example in kept]), skipped


def _minibatches(units: Sequence[Unit], recipe: Recipe) -> Iterable[list[Unit]]:
    """Yield at most ``most_steps`` mini-batches; each epoch has an order of its own."""
    rng = random.Random(recipe.seed)
    order = list(units)
    taken = 0
    for _ in range(recipe.epochs):
        rng.shuffle(order)
        for batch in chunks(order, recipe.minibatch):
            if taken == recipe.most_steps:
                return
            taken += 1
            yield batch


def _gradient(
    model: PolicyModel,
    batch: Sequence[Unit],
    recipe: Recipe,
    number: int,
    token: CancellationToken,
    crew: Crew,
) -> StepStats:
    """Leave the gradient of one step in the model, summed over passes that memory allows."""
    model.clear_gradients()
    trained = max(1.0, sum(trained_tokens(unit) for unit in batch))
    normaliser = _normaliser(batch, recipe.objective, trained)
    reference = _reference(model, batch, recipe, token, crew)
    sums = torch.zeros(4, device=model.device)
    for units in crew.share(list(passes(batch, recipe.rows))):
        token.check()
        loss = _loss(
            model, [sample for unit in units for sample in unit], recipe, normaliser, reference
        )
        loss.value.backward()  # type: ignore[no-untyped-call]
        share = sum(trained_tokens(unit) for unit in units) / trained
        measured = [loss.value.item(), share * loss.kl, share * loss.ratio, share * loss.clipped]
        sums += torch.tensor(measured, device=model.device)
    crew.add_up([*model.gradients, sums])
    value, kl, ratio, clipped = sums.tolist()
    return StepStats(number, value, kl, ratio, clipped, int(trained))


def _normaliser(batch: Sequence[Unit], objective: Objective, trained: float) -> float:
    """Return by what a step's losses are divided: pairs, texts or tokens, as the loss counts."""
    if objective is Objective.PREFERENCE:
        return float(len(batch))
    return float(sum(map(len, batch))) if objective is Objective.KTO else trained


def _reference(
    model: PolicyModel,
    batch: Sequence[Unit],
    recipe: Recipe,
    token: CancellationToken,
    crew: Crew,
) -> Tensor:
    """Return how much likelier texts have become anyway (nats), which KTO measures against.

    Estimated by answers behind the next unit's prompt; 0 where there is none.
    """
    if recipe.objective is not Objective.KTO or len(batch) < 2:
        return torch.zeros(())
    first = [unit[0].example.sequence for unit in batch]
    strangers = [
        Scored(one.context, other.answer)
        for one, other in zip(first, [*first[1:], first[0]], strict=True)
    ]
    odds = torch.zeros(2, len(strangers), device=model.device)
    for columns in crew.share(list(chunks(range(len(strangers)), recipe.rows))):
        token.check()
        rows = collate([strangers[at] for at in columns]).to(model.device)
        odds[0, columns] = (model.logprobs(rows) * rows.mask).sum(-1)
        with model.base():
            odds[1, columns] = (model.logprobs(rows) * rows.mask).sum(-1)
    crew.add_up([odds])
    return kto_reference(odds[0], odds[1])


def _loss(
    model: PolicyModel,
    samples: Sequence[Sample],
    recipe: Recipe,
    normaliser: float,
    reference: Tensor,
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
        reference,
    )
    return LOSSES[recipe.objective](view, recipe.bounds, normaliser)


def _right(like: Tensor, rows: Sequence[Tensor]) -> Tensor:
    """Stack ``rows`` of unequal length into the shape of ``like``, each at the right end."""
    stacked = torch.zeros_like(like)
    for at, row in enumerate(rows):
        stacked[at, like.shape[1] - len(row) :] = row
    return stacked
