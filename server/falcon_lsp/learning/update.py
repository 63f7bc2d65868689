"""One update: episodes in, a judged adapter version out. The same code in every process.

Nothing becomes visible before `AdapterRegistry.publish`; whatever happens earlier leaves only a
temporary folder, which the next run clears.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import new_id
from falcon_lsp.learning.dataset import (
    Encoding,
    Judgement,
    Reason,
    TrainingExample,
    build_example,
    judgements,
    split_by_time,
)
from falcon_lsp.learning.gate import LEAST_LIKED, Verdict, judge
from falcon_lsp.learning.measurement import measure
from falcon_lsp.learning.policy_model import PolicyModel
from falcon_lsp.learning.regression import regression_set
from falcon_lsp.learning.trainer import Recipe, StepStats, TrainingRun, train
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model.adapters import (
    BASE,
    PROMOTED,
    SET_ASIDE,
    AdapterManifest,
    AdapterRefused,
    AdapterRegistry,
)
from falcon_lsp.model.loader import ModelFiles
from falcon_lsp.model.tokenizer import CodeTokenizer

HELD_OUT_SHARE = 0.2
Emit = Callable[[dict[str, Any]], None]
"""Called with small JSON objects that have an ``event``: phases, steps, the verdict."""


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What one update did. ``results`` has the queue's answer for every episode it was given.

    ``adapter_id`` is empty when there was nothing to train on.
    """

    results: dict[str, str]
    adapter_id: str = ""
    parent: str = BASE
    used: int = 0
    mean_reward: float = 0.0
    steps: tuple[StepStats, ...] = ()
    stopped: str = ""
    verdict: Verdict | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON without the episodes' ids."""
        return {
            "adapter_id": self.adapter_id,
            "parent": self.parent,
            "used": self.used,
            "mean_reward": self.mean_reward,
            "steps": [asdict(step) for step in self.steps],
            "stopped": self.stopped,
            "verdict": self.verdict.as_json() if self.verdict else None,
        }


@dataclass(frozen=True, slots=True)
class Material:
    """An update's episodes, sorted: what to train on, what to judge by, and the rest's reasons."""

    examples: list[TrainingExample] = field(default_factory=list)
    held_out: list[Judgement] = field(default_factory=list)
    skipped: dict[str, Reason] = field(default_factory=dict)


class Updater:
    """Trains versions of one base model into one registry."""

    def __init__(
        self,
        registry: AdapterRegistry,
        files: ModelFiles,
        *,
        threads: int,
        keep: int,
        recipe: Recipe | None = None,
    ) -> None:
        self._registry, self._files, self._keep = registry, files, keep
        self._recipe = recipe or Recipe()
        tokenizer = CodeTokenizer.from_folder(files.folder)
        self._encoding = Encoding(tokenizer, files.fim, files.model_id)
        torch.set_num_threads(threads)

    def run(
        self, episodes: Sequence[Episode], emit: Emit, token: CancellationToken
    ) -> UpdateReport:
        """Train on the older episodes, judge on the newest, publish; raises `Cancelled`."""
        parent = self._registry.current(self._files.sha256)
        material = sort_out(episodes, self._encoding, self._learned(parent))
        if not material.examples:
            return UpdateReport(
                _results(material.skipped), parent=parent, stopped="nothing to train on"
            )
        emit({"event": "phase", "phase": "loading"})
        folder = self._locate(parent)
        model = PolicyModel(self._files.folder, folder, self._recipe.shape, self._recipe.seed)
        run = self._train(model, material, emit, token)
        results = _results(material.skipped | run.skipped)
        learned = tuple(example.completion_id for example in run.used)
        if not run.steps:
            results |= dict.fromkeys(learned, f"skipped:{run.stopped}")
            return UpdateReport(results, parent=parent, stopped=run.stopped)
        verdict = self._judge(model, folder, material, emit, token)
        adapter_id = new_id("adp")
        report = UpdateReport(
            results | dict.fromkeys(learned, f"trained:{adapter_id}"),
            adapter_id,
            parent,
            len(learned),
            fmean(example.reward.total for example in run.used),
            run.steps,
            run.stopped,
            verdict,
        )
        self._publish(model, report, learned, verdict)
        return report

    def _train(
        self, model: PolicyModel, material: Material, emit: Emit, token: CancellationToken
    ) -> TrainingRun:
        emit({"event": "phase", "phase": "training", "episodes": len(material.examples)})
        return train(
            model,
            material.examples,
            self._locate,
            self._recipe,
            lambda step: emit({"event": "step", **asdict(step)}),
            token,
        )

    def _judge(
        self,
        model: PolicyModel,
        current: Path | None,
        material: Material,
        emit: Emit,
        token: CancellationToken,
    ) -> Verdict:
        emit({"event": "phase", "phase": "gate", "held_out": len(material.held_out)})
        holes = regression_set()
        measured = measure(model, current, material.held_out, holes, self._encoding, token)
        return judge(measured, self._recipe.seed)

    def _publish(
        self, model: PolicyModel, report: UpdateReport, learned: tuple[str, ...], verdict: Verdict
    ) -> None:
        """Write the version with its verdict; weights that would not verify are not kept."""
        manifest = AdapterManifest(
            report.adapter_id,
            self._files.sha256,
            report.parent,
            completion_ids=learned,
            metrics=report.as_json(),
            verdict="better than its parent" if verdict.promoted else "not shown to be better",
            reasons=verdict.reasons,
            status=PROMOTED if verdict.promoted else SET_ASIDE,
        )
        temporary = self._registry.new_temporary()
        try:
            model.save(temporary, self._files.model_id)
            self._registry.publish(temporary, manifest)
        except AdapterRefused:
            if verdict.finite:
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._registry.prune(self._keep)

    def _locate(self, adapter_id: str) -> Path | None:
        """Return the verified folder of an adapter; `LookupError` when it cannot be used."""
        if adapter_id == BASE:
            return None
        try:
            return self._registry.verify(adapter_id, self._files.sha256).path
        except AdapterRefused as error:
            raise LookupError(adapter_id) from error

    def _learned(self, current: str) -> frozenset[str]:
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


def sort_out(episodes: Sequence[Episode], encoding: Encoding, learned: frozenset[str]) -> Material:
    """Hold out the newest episodes and build examples of the others."""
    material = Material()
    since = split_by_time(episodes, HELD_OUT_SHARE, LEAST_LIKED)
    for episode in sorted(episodes, key=lambda one: (one.time, one.completion_id)):
        found: TrainingExample | Reason
        if episode.completion_id in learned:
            found = Reason.LEARNED
        elif episode.time >= since:
            material.held_out.extend(judgements(episode, encoding))
            found = Reason.HELD_OUT
        else:
            found = build_example(episode, encoding)
        if isinstance(found, Reason):
            material.skipped[episode.completion_id] = found
        else:
            material.examples.append(found)
    return material


def _results(skipped: dict[str, Reason]) -> dict[str, str]:
    return {completion_id: f"skipped:{reason}" for completion_id, reason in skipped.items()}
