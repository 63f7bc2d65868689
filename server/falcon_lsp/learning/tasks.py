"""Tasks of meta-learning: the episodes of one (workspace, language), split by time.

Tasks never mix workspaces, and a query set is strictly later than the support set that it judges.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from falcon_lsp.learning.dataset import (
    Encoding,
    Judgement,
    Scored,
    TrainingExample,
    judgements,
    split_by_time,
)
from falcon_lsp.memory.episodes import Episode

Key = tuple[str, str]
"""A task's workspace (folder URI) and language."""


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
) -> Task:
    """Split a task's episodes by time; ``known`` are the examples of those that teach anything.

    Only first-order MAML learns from a query set; elsewhere all is support, and the gate judges.
    """
    needed = recipe.outer is Outer.FIRST_ORDER_MAML
    since = split_by_time(episodes, recipe.query_share, 1) if needed else float("inf")
    support = [
        known[e.completion_id] for e in episodes if e.time < since and e.completion_id in known
    ]
    liked = [j for e in episodes if e.time >= since for j in judgements(e, encoding) if j.liked]
    return Task(key, tuple(support), tuple(liked))


def _grouped(episodes: Iterable[Episode]) -> dict[Key, list[Episode]]:
    groups: dict[Key, list[Episode]] = {}
    for episode in sorted(episodes, key=_age):
        groups.setdefault((episode.workspace, episode.language), []).append(episode)
    return groups


def _age(episode: Episode) -> tuple[float, str]:
    return episode.time, episode.completion_id
