"""Meta-learning: a start (phi) from which every workspace is soon reached.

A task is a (workspace, language). Inner loop: the trainer's steps on the task's support set lead
from phi to phi_i, which serves that workspace. Outer loop: phi moves towards what its tasks have in
common, by Reptile (arXiv 1803.02999) or first-order MAML (arXiv 1703.03400).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.dataset import Reason, Scored, TrainingExample
from falcon_lsp.learning.objectives.tokens import token_logprobs
from falcon_lsp.learning.policy.model import PolicyModel, collate
from falcon_lsp.learning.rewards import Reward
from falcon_lsp.learning.tasks import MetaRecipe, Outer, Task, joined
from falcon_lsp.learning.trainer import TrainingRun
from falcon_lsp.learning.walk import StepStats

State = list[Tensor]
"""The trained tensors of one adapter, in the model's order."""

Inner = Callable[[Sequence[TrainingExample]], TrainingRun]
"""Takes the inner loop's steps on the model at hand."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """A task with phi_i and the steps that led there; without steps, phi_i is phi."""

    task: Task
    run: TrainingRun
    state: State

    @property
    def learned_from(self) -> tuple[str, ...]:
        """The ids of the episodes that phi_i comes from."""
        return tuple(example.completion_id for example in self.run.used)


@dataclass(frozen=True, slots=True)
class Learned:
    """The next phi, the tasks that it comes from, and phi_i of single workspaces by folder URI."""

    phi: State
    adapted: tuple[Adapted, ...]
    workspaces: Mapping[str, Adapted]

    @property
    def steps(self) -> tuple[StepStats, ...]:
        """The inner steps of all tasks, one task after the other."""
        return tuple(step for one in self.adapted for step in one.run.steps)

    @property
    def skipped(self) -> dict[str, Reason]:
        """Episodes that could not be used after all."""
        return {each: why for one in self.adapted for each, why in one.run.skipped.items()}

    @property
    def learned_from(self) -> tuple[str, ...]:
        """The ids of all episodes that have a part in phi, each once."""
        support = [each for one in self.adapted for each in one.learned_from]
        query = [j.completion_id for one in self.adapted for j in one.task.query]
        return tuple(dict.fromkeys(support + query))

    @property
    def rewards(self) -> list[Reward]:
        """What fresh answers were worth, where any were asked for."""
        return [reward for one in self.adapted for reward in one.run.rewards]

    @property
    def stopped(self) -> str:
        """Why the inner steps ended."""
        return "; ".join(dict.fromkeys(one.run.stopped for one in self.adapted))


def learn(
    model: PolicyModel,
    tasks: Sequence[Task],
    homes: Sequence[str],
    inner: Inner,
    recipe: MetaRecipe,
    token: CancellationToken,
) -> Learned:
    """Take one outer step from where ``model`` stands, and adapt to each workspace of ``homes``."""
    phi = model.state()
    if recipe.outer is Outer.OFF:
        adapted = [adapt(model, phi, joined(("", ""), tasks), inner)]
        following = adapted[0].state
    else:
        adapted = [adapt(model, phi, task, inner) for task in tasks]
        following = outer_step(model, phi, adapted, recipe, token)
    own = {}
    for home in homes if recipe.workspaces else ():
        whole = joined((home, ""), [task for task in tasks if task.key[0] == home])
        same = (one for one in adapted if one.task.support == whole.support)
        own[home] = next(same, None) or adapt(model, phi, whole, inner)
    return Learned(following, tuple(adapted), own)


def adapt(model: PolicyModel, phi: State, task: Task, inner: Inner) -> Adapted:
    """Take the inner steps from ``phi``; ``model`` is left at phi_i."""
    model.restore(phi)
    run = inner(task.support)
    return Adapted(task, run, model.state())


def outer_step(
    model: PolicyModel,
    phi: State,
    adapted: Sequence[Adapted],
    recipe: MetaRecipe,
    token: CancellationToken,
) -> State:
    """Return the next phi, which is phi itself when no task has led anywhere.

    Tasks without a step do not count, nor, where it is needed, those without a query set.
    """
    moved = [one for one in adapted if one.run.steps]
    if recipe.outer is Outer.FIRST_ORDER_MAML:
        moved = [one for one in moved if one.task.query]
    if not moved:
        return phi
    states = [one.state for one in moved]
    if recipe.outer is Outer.REPTILE:
        return reptile(phi, states, recipe.epsilon)
    gradients = []
    for one in moved:
        model.restore(one.state)
        gradients.append(query_gradient(model, one.task.questions, token))
    return first_order_maml(phi, states, gradients, recipe.epsilon)


def reptile(phi: State, adapted: Sequence[State], epsilon: float) -> State:
    """Return ``phi + epsilon * mean(phi_i - phi)``."""
    return [start + epsilon * shift for start, shift in zip(phi, _shift(phi, adapted), strict=True)]


def first_order_maml(
    phi: State, adapted: Sequence[State], gradients: Sequence[State], epsilon: float
) -> State:
    """Go against the mean of the query gradients, as far as `reptile` would go.

    The inner loop's optimiser sets the scale of phi_i - phi; a plain gradient has another. With the
    same length the two methods differ in direction alone, and one ``epsilon`` fits both.
    """
    gradient = [torch.stack(parts).mean(0) for parts in zip(*gradients, strict=True)]
    length = _norm(gradient)
    if length == 0.0:
        return phi
    rate = epsilon * _norm(_shift(phi, adapted)) / length
    return [start - rate * part for start, part in zip(phi, gradient, strict=True)]


def query_gradient(
    model: PolicyModel, query: Sequence[Scored], token: CancellationToken, rows: int = 4
) -> State:
    """Return the gradient of `query_loss` where ``model`` stands, in the parameters' order."""
    for parameter in model.parameters:
        parameter.grad = None
    for start in range(0, len(query), rows):
        token.check()
        part = query[start : start + rows]
        loss = _likelihood_loss(model, part).sum() / len(query)
        loss.backward()  # type: ignore[no-untyped-call]
    found = [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.detach().clone()
        for parameter in model.parameters
    ]
    for parameter in model.parameters:
        parameter.grad = None
    return found


def query_loss(
    model: PolicyModel, query: Sequence[Scored], token: CancellationToken, rows: int = 4
) -> float:
    """Return the mean negative log-likelihood of the texts, each in nats per token."""
    total = 0.0
    for start in range(0, len(query), rows):
        token.check()
        with torch.no_grad():
            total += float(_likelihood_loss(model, query[start : start + rows]).sum())
    return total / max(1, len(query))


def _likelihood_loss(model: PolicyModel, sequences: Sequence[Scored]) -> Tensor:
    """Return each text's mean negative log-likelihood per token: ``(B,)``."""
    batch = collate(list(sequences)).to(model.device)
    logprobs = token_logprobs(model.logits(batch), batch.targets)
    means: Tensor = -(logprobs * batch.mask).sum(-1) / batch.mask.sum(-1)
    return means


def _shift(phi: State, adapted: Sequence[State]) -> State:
    """Return the mean of ``phi_i - phi``, tensor by tensor."""
    return [
        torch.stack([value - start for value in values]).mean(0)
        for start, values in zip(phi, zip(*adapted, strict=True), strict=True)
    ]


def _norm(state: State) -> float:
    return float(torch.stack([part.double().square().sum() for part in state]).sum().sqrt())
