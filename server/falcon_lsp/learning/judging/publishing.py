"""From trained weights to a published version: measured, judged, written down, noted.

The same for everybody's version and for those of single workspaces: each is compared with what is
served in its own scope, on episodes of that scope that are later than what it was trained on.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import new_id
from falcon_lsp.learning.dataset import Encoding, Judgement
from falcon_lsp.learning.judging.gate import Measurements, Verdict, judge
from falcon_lsp.learning.judging.measurement import measure, with_replays
from falcon_lsp.learning.judging.regression import regression_set
from falcon_lsp.learning.judging.replays import Replayer
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.learning.policy.model import PolicyModel
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model.adapters import (
    BASE,
    GLOBAL,
    PROMOTED,
    SET_ASIDE,
    AdapterManifest,
    AdapterRefused,
    AdapterRegistry,
    Superseded,
)
from falcon_lsp.model.files import ModelFiles


@dataclass(frozen=True, slots=True)
class Later:
    """Episodes that nothing was trained on, later than all that was, and what they say."""

    judgements: list[Judgement] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)

    def of(self, workspace: str) -> Later:
        """Return those of one workspace."""
        return Later(
            [judgement for judgement in self.judgements if judgement.workspace == workspace],
            [episode for episode in self.episodes if episode.workspace == workspace],
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version before it is judged: its weights are those that the model holds."""

    parent: str
    learned_from: tuple[str, ...]
    later: Later
    scope: str = GLOBAL
    adapter_id: str = field(default_factory=lambda: new_id("adp"))


def locate(registry: AdapterRegistry, adapter_id: str, base_sha256: str) -> Path | None:
    """Return the verified folder of an adapter, None for the base; `LookupError` without one."""
    if adapter_id == BASE:
        return None
    try:
        return registry.verify(adapter_id, base_sha256).path
    except AdapterRefused as error:
        raise LookupError(adapter_id) from error


class Publisher:
    """Judges and publishes versions of one base model into one registry."""

    def __init__(
        self,
        registry: AdapterRegistry,
        files: ModelFiles,
        encoding: Encoding,
        replayer: Replayer,
        seed: int,
        token: CancellationToken,
    ) -> None:
        self._registry, self._files, self._encoding = registry, files, encoding
        self._replayer, self._seed, self._token = replayer, seed, token

    def settle(
        self, model: PolicyModel, candidate: Candidate, numbers: Mapping[str, Any]
    ) -> tuple[str, Verdict]:
        """Judge what ``model`` holds, publish it, note the verdict; raises `Cancelled`.

        Returns the id that it was compared with, too. ``numbers`` go into the manifest.
        """
        against = self._registry.current(self._files.sha256, candidate.scope)
        temporary = self._registry.new_temporary()
        try:
            model.save(temporary, self._files.model_id)
            verdict = judge(self._measure(model, candidate, temporary, against), self._seed)
            verdict = self._published(temporary, candidate, numbers, against, verdict)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        VerdictLog(self._registry.folder).add(
            PROMOTED if verdict.promoted else SET_ASIDE,
            candidate.adapter_id,
            candidate.scope,
            {"parent": candidate.parent, "against": against, **verdict.as_json()},
        )
        return against, verdict

    def _measure(
        self, model: PolicyModel, candidate: Candidate, saved: Path, against: str
    ) -> Measurements:
        current = locate(self._registry, against, self._files.sha256)
        later = candidate.later
        measured = measure(
            model, current, later.judgements, regression_set(), self._encoding, self._token
        )
        asked = self._replayer.choose(later.episodes)
        if not asked or not measured.finite:
            return measured
        model.release()  # makes room for the engine that answers
        before = self._replayer(current, against, asked, self._token)
        after = self._replayer(saved, candidate.adapter_id, asked, self._token)
        return with_replays(measured, before, after)

    def _published(
        self,
        saved: Path,
        candidate: Candidate,
        numbers: Mapping[str, Any],
        against: str,
        verdict: Verdict,
    ) -> Verdict:
        """Write the version with its verdict, and return that.

        Who goes back or chooses a version by hand knows better than a candidate for the place of
        what is left: that one is set aside then, whatever its numbers.
        """
        try:
            self._publish(saved, candidate, numbers, against, verdict)
        except Superseded as error:
            verdict = replace(verdict, promoted=False, reasons=(*verdict.reasons, str(error)))
            self._publish(saved, candidate, numbers, against, verdict)
        return verdict

    def _publish(
        self,
        saved: Path,
        candidate: Candidate,
        numbers: Mapping[str, Any],
        against: str,
        verdict: Verdict,
    ) -> None:
        """Write the version with its verdict; weights that would not verify are not kept."""
        manifest = AdapterManifest(
            candidate.adapter_id,
            self._files.sha256,
            candidate.parent,
            completion_ids=candidate.learned_from,
            metrics={**numbers, "against": against, "verdict": verdict.as_json()},
            verdict="better than what was served" if verdict.promoted else "not shown to be better",
            reasons=verdict.reasons,
            status=PROMOTED if verdict.promoted else SET_ASIDE,
            scope=candidate.scope,
        )
        try:
            self._registry.publish(saved, manifest, replacing=against)
        except AdapterRefused:
            if verdict.finite:
                raise


def workspaces_to_serve(judgements: Sequence[Judgement], least: int) -> list[str]:
    """Return the workspaces with enough liked later texts to judge a version of their own by."""
    liked = [judgement.workspace for judgement in judgements if judgement.liked]
    return sorted({home for home in liked if liked.count(home) >= least})
