"""Meta-learning: a start (phi) from which every workspace is soon reached.

A task is a (workspace, language). Inner loop: the trainer's steps on the task's support set lead
from phi to phi_i, which serves that workspace. Outer loop: phi moves towards what its tasks have in
common, by Reptile (arXiv 1803.02999) or first-order MAML (arXiv 1703.03400). Tasks never mix
workspaces, and a query set is strictly later than the support set that it judges.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.dataset import (
    Encoding,
    Judgement,
    Reason,
    Scored,
    TrainingExample,
    judgements,
    split_by_time,
)
from falcon_lsp.learning.lessons import build_lesson
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.objectives.tokens import token_logprobs
from falcon_lsp.learning.policy_model import PolicyModel, collate
from falcon_lsp.learning.trainer import TrainingRun
from falcon_lsp.learning.walk import StepStats
from falcon_lsp.memory.episodes import Episode

State = list[Tensor]
"""The trained tensors of one adapter, in the model's order."""

Key = tuple[str, str]
"""A task's workspace (folder URI) and language."""

Inner = Callable[[Sequence[TrainingExample]], TrainingRun]
"""Takes the inner loop's steps on the model at hand."""


class Outer(enum.StrEnum):
    """How phi follows its tasks; `OFF` trains one adapter on everything at once."""

    REPTILE = "reptile"
    FIRST_ORDER_MAML = "fomaml"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class MetaRecipe:
    """``epsilon`` is how far phi goes towards its tasks; with 1 and one task it becomes phi_i.

    Besides the batch, each task gets its latest ``remembered`` episodes of before, and ``others``
    tasks that the batch does not hold are drawn: what phi has learned elsewhere stays in sight.
    ``query_share`` is held back of each task for first-order MAML. ``workspaces`` switches the
    second level: versions of single workspaces.
    """

    outer: Outer = Outer.REPTILE
    epsilon: float = 0.5
    remembered: int = 16
    others: int = 2
    query_share: float = 0.25
    workspaces: bool = True


@dataclass(frozen=True, slots=True)
class Task:
    """``support`` to adapt on; ``query``: texts that the developer liked, all later."""

    key: Key
    support: tuple[TrainingExample, ...]
    query: tuple[Judgement, ...] = ()

    @property
    def questions(self) -> list[Scored]:
        """The query set's texts."""
        return [judgement.sequence for judgement in self.query]


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


def joined(key: Key, tasks: Sequence[Task]) -> Task:
    """Return one task with the support sets of all, in time order."""
    support = [example for task in tasks for example in task.support]
    support.sort(key=lambda example: (example.time, example.completion_id))
    return Task(key, tuple(support))


def draw(
    batch: Sequence[Episode], history: Sequence[Episode], recipe: MetaRecipe, seed: int
) -> dict[Key, list[Episode]]:
    """Return each task's episodes, in time order: those of ``batch``, and some of ``history``.

    Nothing is drawn that is later than the newest of ``batch``: what the gate holds out is.
    """
    taken = {episode.completion_id for episode in batch}
    newest = max((episode.time for episode in batch), default=0.0)
    before = _grouped(e for e in history if e.time < newest and e.completion_id not in taken)
    tasks = _grouped(batch)
    if recipe.outer is Outer.OFF:
        return tasks
    rng = random.Random(f"{seed}:{newest}")
    strangers = sorted(before.keys() - tasks.keys())
    chosen = rng.sample(strangers, min(recipe.others, len(strangers)))
    drawn: dict[Key, list[Episode]] = {}
    for key in [*sorted(tasks), *chosen]:
        old = before.get(key, [])
        drawn[key] = [*old[max(0, len(old) - recipe.remembered) :], *tasks.get(key, [])]
        drawn[key].sort(key=_age)
    return drawn


def make_task(
    key: Key,
    episodes: Sequence[Episode],
    known: Mapping[str, TrainingExample],
    encoding: Encoding,
    recipe: MetaRecipe,
    objective: Objective = Objective.POLICY,
) -> Task:
    """Split a task's episodes by time; ``known`` are examples that have been built already.

    Only first-order MAML learns from a query set; elsewhere all is support, and the gate judges.
    """
    needed = recipe.outer is Outer.FIRST_ORDER_MAML
    since = split_by_time(episodes, recipe.query_share, 1) if needed else float("inf")
    support = [
        known.get(episode.completion_id) or build_lesson(episode, encoding, objective)
        for episode in episodes
        if episode.time < since
    ]
    liked = [j for e in episodes if e.time >= since for j in judgements(e, encoding) if j.liked]
    return Task(
        key,
        tuple(example for example in support if isinstance(example, TrainingExample)),
        tuple(liked),
    )


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


def _grouped(episodes: Iterable[Episode]) -> dict[Key, list[Episode]]:
    groups: dict[Key, list[Episode]] = {}
    for episode in sorted(episodes, key=_age):
        groups.setdefault((episode.workspace, episode.language), []).append(episode)
    return groups


def _age(episode: Episode) -> tuple[float, str]:
    return episode.time, episode.completion_id
