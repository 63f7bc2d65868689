"""One update: episodes in, judged adapter versions out. The same code in every process.

Two levels are trained at once (`falcon_lsp.learning.meta`): the version that serves everybody, and
one for each workspace that the episodes come from. Each is judged by itself.

Nothing becomes visible before `AdapterRegistry.publish`; whatever happens earlier leaves only a
temporary folder, which the next run clears.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.heap import return_large_blocks
from falcon_lsp.learning.crew import ALONE, Crew
from falcon_lsp.learning.dataset import Encoding, TrainingExample
from falcon_lsp.learning.journal import NO_JOURNAL, Journal
from falcon_lsp.learning.judging.gate import LEAST_LIKED, Verdict
from falcon_lsp.learning.judging.publishing import Candidate, Publisher, locate, workspaces_to_serve
from falcon_lsp.learning.judging.replays import Replayer
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.material import Material, appraised, build_lessons, sort_out
from falcon_lsp.learning.meta import Learned, learn
from falcon_lsp.learning.policy.model import PolicyModel
from falcon_lsp.learning.practice.rounds import Practice
from falcon_lsp.learning.rewards import Appraiser, mean_terms
from falcon_lsp.learning.tasks import Key, MetaRecipe, draw, make_task
from falcon_lsp.learning.trainer import Recipe, TrainingRun, train
from falcon_lsp.learning.update_report import UpdateReport, WorkspaceVersion
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model.adapters import AdapterRegistry, scope_of
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.tokenizer import CodeTokenizer

REPLAYS = 8
"""Prompts of later episodes that the gate asks again, of either adapter."""
Emit = Callable[[dict[str, Any]], None]
"""Called with small JSON objects that have an ``event``: phases, steps, the verdict."""


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
        return_large_blocks()

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
        learned_before, recipe = self._already_learned(parent), self._recipe
        material = sort_out(episodes, self._encoding, learned_before, recipe.objective)
        if not material.examples:
            return UpdateReport(material.answers(), parent=parent, stopped="nothing to train on")
        drawn = self._draw(episodes, history, material)
        known = self._known(drawn, material, token)
        emit({"event": "phase", "phase": "loading"})
        base = self._files.folder
        model = PolicyModel(base, self._locate(parent), recipe.shape, recipe.seed)
        emit({"event": "phase", "phase": "training", "episodes": len(material.examples)})
        learned = self._learn(model, drawn, known, material, emit, token)
        if not learned.steps:
            results = material.answers(learned.skipped, f"skipped:{learned.stopped}")
            return UpdateReport(results, parent=parent, stopped=learned.stopped)
        emit({"event": "phase", "phase": "gate", "held_out": len(material.later.judgements)})
        everybody = Candidate(parent, learned.learned_from, material.later)
        report = _report(everybody, learned, material, known)
        publisher = self._publisher(token)
        model.release()  # what was remembered for training
        model.restore(learned.phi)
        _, verdict = self._settle(publisher, model, everybody, report.as_json())
        workspaces = self._settle_workspaces(publisher, model, everybody, learned)
        if self._crew.leads:
            self._registry.prune(self._keep)
        return replace(report, verdict=verdict, workspaces=tuple(workspaces))

    def _settle_workspaces(
        self, publisher: Publisher, model: PolicyModel, everybody: Candidate, learned: Learned
    ) -> list[WorkspaceVersion]:
        """Judge and publish the versions of single workspaces that have taken any step."""
        settled = []
        for home, own in learned.workspaces.items():
            if own.run.steps:
                later = everybody.later.of(home)
                candidate = Candidate(everybody.parent, own.learned_from, later, scope_of(home))
                model.restore(own.state)
                numbers = {"steps": [asdict(step) for step in own.run.steps]}
                judged = self._settle(publisher, model, candidate, numbers)
                settled.append(WorkspaceVersion(candidate.adapter_id, candidate.scope, *judged))
        return settled

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

    def _draw(
        self, episodes: Sequence[Episode], history: Sequence[Episode], material: Material
    ) -> dict[Key, list[Episode]]:
        """Return each task's episodes: the batch's examples, and some of ``history``."""
        taught = {example.completion_id for example in material.examples}
        given = {episode.completion_id for episode in episodes}
        return draw(
            [episode for episode in episodes if episode.completion_id in taught],
            [episode for episode in history if episode.completion_id not in given],
            self._levels,
            self._recipe.seed,
        )

    def _known(
        self, drawn: Mapping[Key, list[Episode]], material: Material, token: CancellationToken
    ) -> dict[str, TrainingExample]:
        """Return an example of each episode that was drawn; the batch is appraised first."""
        episodes = {each.completion_id: each for group in drawn.values() for each in group}
        built = {example.completion_id for example in material.examples}
        others = [each for name, each in episodes.items() if name not in built]
        examples = [
            *material.examples,
            *build_lessons(others, self._encoding, self._recipe.objective),
        ]
        if self._recipe.objective is Objective.ON_POLICY:  # what is said afresh is
            return {example.completion_id: example for example in examples}
        found = appraised(examples, episodes, self._appraiser, token, self._crew)
        return {example.completion_id: example for example in found}

    def _learn(
        self,
        model: PolicyModel,
        drawn: Mapping[Key, list[Episode]],
        known: Mapping[str, TrainingExample],
        material: Material,
        emit: Emit,
        token: CancellationToken,
    ) -> Learned:
        """Train both levels; ``model`` is left anywhere."""
        recipe, levels = self._recipe, self._levels
        tasks = [
            make_task(key, group, known, self._encoding, levels) for key, group in drawn.items()
        ]

        episodes = {each.completion_id: each for group in drawn.values() for each in group}
        practice = Practice(
            model,
            self._encoding,
            recipe,
            self._appraiser,
            episodes,
            emit,
            token,
            self._journal,
            self._crew,
        )

        def steps(examples: Sequence[TrainingExample]) -> TrainingRun:
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

        inner = practice.run if recipe.objective is Objective.ON_POLICY else steps
        homes = workspaces_to_serve(material.later.judgements, LEAST_LIKED)
        return learn(model, tasks, homes, inner, levels, token)

    def _locate(self, adapter_id: str) -> Path | None:
        """Return the verified folder of an adapter; `LookupError` when it cannot be used."""
        return locate(self._registry, adapter_id, self._files.sha256)

    def _already_learned(self, current: str) -> dict[str, float]:
        """Return what the current version and its ancestors learned from, and when (seconds).

        A kill between publishing and acknowledging brings episodes here a second time; one before
        the pointer moved leaves a version that nobody serves, whose episodes count as new.
        """
        versions = {manifest.id: manifest for manifest in self._registry.list()}
        learned: dict[str, float] = {}
        while (version := versions.pop(current, None)) is not None:
            learned = dict.fromkeys(version.completion_ids, version.created) | learned
            current = version.parent
        return learned


def _report(
    everybody: Candidate,
    learned: Learned,
    material: Material,
    known: Mapping[str, TrainingExample],
) -> UpdateReport:
    """Return what can be told before anything is judged."""
    names = {example.completion_id for example in material.examples} & {*learned.learned_from}
    logged = [example.reward for name, example in known.items() if name in names]
    rewards = learned.rewards or logged
    return UpdateReport(
        material.answers(learned.skipped, f"trained:{everybody.adapter_id}"),
        everybody.adapter_id,
        everybody.parent,
        len(names),
        fmean(reward.total for reward in rewards) if rewards else 0.0,
        learned.steps,
        learned.stopped,
        terms=mean_terms(rewards),
    )
