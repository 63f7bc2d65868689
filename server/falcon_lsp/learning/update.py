"""One update: episodes in, judged adapter versions out. The same code in every process.

Two levels are trained at once (`falcon_lsp.learning.meta`): the version that serves everybody, and
one for each workspace that the episodes come from. Each is judged by itself.

Nothing becomes visible before `AdapterRegistry.publish`; whatever happens earlier leaves only a
temporary folder, which the next run clears.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.caps import surplus
from falcon_lsp.learning.crew import ALONE, Crew
from falcon_lsp.learning.dataset import (
    Encoding,
    Reason,
    TrainingExample,
    judgements,
    split_by_time,
)
from falcon_lsp.learning.gate import LEAST_LIKED, Verdict
from falcon_lsp.learning.journal import NO_JOURNAL, Journal
from falcon_lsp.learning.lessons import build_lesson
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.meta import (
    Learned,
    MetaRecipe,
    draw,
    learn,
    make_task,
)
from falcon_lsp.learning.policy_model import PolicyModel
from falcon_lsp.learning.publishing import (
    Candidate,
    Later,
    Publisher,
    locate,
    workspaces_to_serve,
)
from falcon_lsp.learning.replays import Replayer
from falcon_lsp.learning.rewards import Appraiser, mean_terms, reward_all
from falcon_lsp.learning.trainer import Recipe, TrainingRun, train
from falcon_lsp.learning.walk import StepStats
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model.adapters import (
    BASE,
    AdapterRegistry,
    scope_of,
)
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.tokenizer import CodeTokenizer

HELD_OUT_SHARE = 0.2
REPLAYS = 8
"""Prompts of later episodes that the gate asks again, of either adapter."""
Emit = Callable[[dict[str, Any]], None]
"""Called with small JSON objects that have an ``event``: phases, steps, the verdict."""


@dataclass(frozen=True, slots=True)
class WorkspaceVersion:
    """What became of one workspace's version; ``better_than`` is what it was judged against."""

    adapter_id: str
    scope: str
    better_than: str
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "adapter_id": self.adapter_id,
            "scope": self.scope,
            "against": self.better_than,
            "verdict": self.verdict.as_json(),
        }


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What one update did. ``results`` has the queue's answer for every episode it was given.

    ``adapter_id`` is empty when there was nothing to train on. It names the version for everybody;
    ``workspaces`` are those of single workspaces. ``terms`` are the means of the reward's terms.
    """

    results: dict[str, str]
    adapter_id: str = ""
    parent: str = BASE
    used: int = 0
    mean_reward: float = 0.0
    steps: tuple[StepStats, ...] = ()
    stopped: str = ""
    verdict: Verdict | None = None
    workspaces: tuple[WorkspaceVersion, ...] = ()
    terms: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON without the episodes' ids."""
        return {
            "adapter_id": self.adapter_id,
            "parent": self.parent,
            "used": self.used,
            "mean_reward": self.mean_reward,
            "terms": dict(self.terms),
            "steps": _json(self.steps),
            "stopped": self.stopped,
            "verdict": self.verdict.as_json() if self.verdict else None,
            "workspaces": [one.as_json() for one in self.workspaces],
        }


@dataclass(frozen=True, slots=True)
class Material:
    """An update's episodes, sorted: what to train on, what to judge by, and the rest's reasons."""

    examples: list[TrainingExample] = field(default_factory=list)
    later: Later = field(default_factory=Later)
    skipped: dict[str, Reason] = field(default_factory=dict)


class Updater:
    """Trains versions of one base model into one registry.

    ``levels`` says how the two levels are learned; switched off, for comparison, they are one.
    ``appraiser`` finds the gated terms of rewards; the default one asks no judge. What training has
    done is kept in ``journal`` until the update has come to its end. In a ``crew`` all train
    together; the leader judges and publishes, the others hear its verdict.
    The gate asks again for ``replays`` answers, none when 0.
    """

    def __init__(
        self,
        registry: AdapterRegistry,
        files: ModelFiles,
        *,
        threads: int,
        keep: int,
        recipe: Recipe | None = None,
        levels: MetaRecipe | None = None,
        appraiser: Appraiser | None = None,
        replays: int = REPLAYS,
        journal: Journal = NO_JOURNAL,
        crew: Crew = ALONE,
    ) -> None:
        self._registry, self._files, self._keep = registry, files, keep
        self._threads, self._replays = threads, replays
        self._recipe, self._levels = recipe or Recipe(), levels or MetaRecipe()
        self._appraiser = appraiser or Appraiser()
        self._journal, self._crew = Journal(journal.folder, files.sha256), crew
        tokenizer = CodeTokenizer.from_folder(files.folder)
        self._encoding = Encoding(tokenizer, files.fim, files.model_id)
        torch.set_num_threads(threads)

    def run(
        self,
        episodes: Sequence[Episode],
        emit: Emit,
        token: CancellationToken,
        history: Sequence[Episode] = (),
    ) -> UpdateReport:
        """Train on the older episodes, judge on the newest, publish; raises `Cancelled`.

        ``history`` are episodes that other updates were about: what was learned before, and in
        other workspaces, stays in sight.
        """
        parent = self._registry.current(self._files.sha256)
        learned_before, objective = self._already_learned(parent), self._recipe.objective
        material = sort_out(episodes, self._encoding, learned_before, objective)
        if not material.examples:
            return UpdateReport(
                _results(material.skipped), parent=parent, stopped="nothing to train on"
            )
        material = replace(material, examples=self._appraised(material.examples, episodes, token))
        emit({"event": "phase", "phase": "loading"})
        base, recipe = self._files.folder, self._recipe
        model = PolicyModel(base, self._locate(parent), recipe.shape, recipe.seed)
        emit({"event": "phase", "phase": "training", "episodes": len(material.examples)})
        learned = self._learn(model, episodes, history, material, emit, token)
        if not learned.steps:
            results = _answers(material, learned, "")
            return UpdateReport(results, parent=parent, stopped=learned.stopped)
        emit({"event": "phase", "phase": "gate", "held_out": len(material.later.judgements)})
        everybody = Candidate(parent, learned.learned_from, material.later)
        used = [one for one in material.examples if one.completion_id in learned.learned_from]
        report = UpdateReport(
            _answers(material, learned, everybody.adapter_id),
            everybody.adapter_id,
            parent,
            len(used),
            fmean(example.reward.total for example in used) if used else 0.0,
            learned.steps,
            learned.stopped,
            terms=mean_terms(example.reward for example in used),
        )
        publisher = self._publisher(token)
        model.restore(learned.phi)
        _, verdict = self._settle(publisher, model, everybody, report.as_json())
        workspaces = []
        for home, own in learned.workspaces.items():
            if own.run.steps:
                candidate = Candidate(
                    parent, own.learned_from, material.later.of(home), scope_of(home)
                )
                model.restore(own.state)
                numbers = {"steps": _json(own.run.steps)}
                judged = self._settle(publisher, model, candidate, numbers)
                workspaces.append(WorkspaceVersion(candidate.adapter_id, candidate.scope, *judged))
        if self._crew.leads:
            self._registry.prune(self._keep)
        return replace(report, verdict=verdict, workspaces=tuple(workspaces))

    def _publisher(self, token: CancellationToken) -> Publisher:
        replayer = Replayer(self._files, self._threads, self._replays)
        return Publisher(
            self._registry, self._files, self._encoding, replayer, self._recipe.seed, token
        )

    def _settle(
        self,
        publisher: Publisher,
        model: PolicyModel,
        candidate: Candidate,
        numbers: Mapping[str, Any],
    ) -> tuple[str, Verdict]:
        """Let the leader judge and publish; returns what it says in every process."""
        judged = publisher.settle(model, candidate, numbers) if self._crew.leads else None
        told = self._crew.tell([judged[0], asdict(judged[1])] if judged else None)
        if judged is not None:
            return judged
        against, verdict = told
        return against, Verdict(**verdict | {"reasons": tuple(verdict["reasons"])})

    def _appraised(
        self,
        examples: Sequence[TrainingExample],
        episodes: Sequence[Episode],
        token: CancellationToken,
    ) -> list[TrainingExample]:
        """Add to the rewards the gated terms, which never change a sign, and what tests say."""
        known = {episode.completion_id: episode for episode in episodes}
        told = [known[example.completion_id] for example in examples]
        found = reward_all(told, self._appraiser, token)
        return [replace(one, reward=worth) for one, worth in zip(examples, found, strict=True)]

    def _learn(
        self,
        model: PolicyModel,
        episodes: Sequence[Episode],
        history: Sequence[Episode],
        material: Material,
        emit: Emit,
        token: CancellationToken,
    ) -> Learned:
        """Train both levels; ``model`` is left anywhere."""
        recipe, levels = self._recipe, self._levels
        known = {example.completion_id: example for example in material.examples}
        given = {episode.completion_id for episode in episodes}
        drawn = draw(
            [episode for episode in episodes if episode.completion_id in known],
            [episode for episode in history if episode.completion_id not in given],
            levels,
            recipe.seed,
        )
        tasks = [
            make_task(key, group, known, self._encoding, levels, recipe.objective)
            for key, group in drawn.items()
        ]

        def inner(examples: Sequence[TrainingExample]) -> TrainingRun:
            return train(
                model,
                examples,
                self._locate,
                recipe,
                lambda step: emit({"event": "step", **asdict(step)}),
                token,
                self._journal,
                self._crew,
            )

        homes = workspaces_to_serve(material.later.judgements, LEAST_LIKED)
        return learn(model, tasks, homes, inner, levels, token)

    def _locate(self, adapter_id: str) -> Path | None:
        """Return the verified folder of an adapter; `LookupError` when it cannot be used."""
        return locate(self._registry, adapter_id, self._files.sha256)

    def _already_learned(self, current: str) -> frozenset[str]:
        """Return what the current version and its ancestors learned from.

        A kill between publishing and acknowledging brings episodes here a second time; one before
        the pointer moved leaves a version that nobody serves, whose episodes count as new.
        """
        versions = {manifest.id: manifest for manifest in self._registry.list()}
        learned: set[str] = set()
        while (version := versions.pop(current, None)) is not None:
            learned.update(version.completion_ids)
            current = version.parent
        return frozenset(learned)


def sort_out(
    episodes: Sequence[Episode],
    encoding: Encoding,
    learned: frozenset[str],
    objective: Objective = Objective.POLICY,
) -> Material:
    """Hold out the newest episodes and build examples of the others."""
    material = Material()
    over = surplus(episodes)
    kept = [episode for episode in episodes if episode.completion_id not in over]
    since = split_by_time(kept, HELD_OUT_SHARE, LEAST_LIKED)
    for episode in sorted(episodes, key=lambda one: (one.time, one.completion_id)):
        found: TrainingExample | Reason
        if episode.completion_id in learned:
            found = Reason.LEARNED
        elif episode.completion_id in over:
            found = Reason.SURPLUS
        elif episode.time >= since:
            material.later.judgements.extend(judgements(episode, encoding))
            material.later.episodes.append(episode)
            found = Reason.HELD_OUT
        else:
            found = build_lesson(episode, encoding, objective)
        if isinstance(found, Reason):
            material.skipped[episode.completion_id] = found
        else:
            material.examples.append(found)
    return material


def _answers(material: Material, learned: Learned, adapter_id: str) -> dict[str, str]:
    """Return the queue's answer for every episode of the batch."""
    answer = f"trained:{adapter_id}" if adapter_id else f"skipped:{learned.stopped}"
    used = dict.fromkeys((example.completion_id for example in material.examples), answer)
    lost = {each: why for each, why in learned.skipped.items() if each in used}
    return used | _results(material.skipped | lost)


def _results(skipped: dict[str, Reason]) -> dict[str, str]:
    return {completion_id: f"skipped:{reason}" for completion_id, reason in skipped.items()}


def _json(steps: Sequence[StepStats]) -> list[dict[str, Any]]:
    return [asdict(step) for step in steps]
