"""The gated terms of a batch: one process of a linter, a judge where one is set; and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.learning.rewards.complexity import complexity_terms
from falcon_lsp.learning.rewards.execution import TestOutcome
from falcon_lsp.learning.rewards.instructions import instruction_term
from falcon_lsp.learning.rewards.judge import Judge
from falcon_lsp.learning.rewards.sample import Sample
from falcon_lsp.learning.rewards.style import style_terms
from falcon_lsp.learning.rewards.workspace import WorkspaceTests
from falcon_lsp.memory.episodes import Episode


@dataclass(frozen=True, slots=True)
class Quality:
    """The gated terms that can be read off the text; None where there is nothing to say."""

    style: float | None = None
    complexity: float | None = None
    instruction: float | None = None


@dataclass(frozen=True, slots=True)
class Appraiser:
    """Reads texts; without a ``judge`` all of it happens on this machine.

    Below ``folder`` (default: the system's) the linter finds them, for as long as it runs.
    ``tests`` runs those of a workspace, for users who asked for that.
    """

    judge: Judge | None = None
    folder: Path | None = None
    tests: WorkspaceTests | None = None

    @classmethod
    def of(cls, config: Config, store: Store) -> Appraiser:
        """Return the appraiser that the settings ask for: with a judge only where one is named."""
        tests = WorkspaceTests.of(config)
        if not config.judge_server:
            return cls(folder=store.cache, tests=tests)
        judge = Judge(config.judge_server, config.judge_model, store.verdicts)
        return cls(judge, store.cache, tests)

    def outcomes(
        self, episode: Episode, token: CancellationToken | None = None
    ) -> Sequence[TestOutcome]:
        """Return what the workspace's tests say of an episode; raises `Cancelled` before a run."""
        return self.tests.outcomes(episode, token) if self.tests else ()

    def appraise(
        self, samples: Sequence[Sample], token: CancellationToken | None = None
    ) -> list[Quality]:
        """Return the quality of each sample, in order; raises `Cancelled` between two verdicts."""
        if not samples:
            return []
        verdicts = [self._verdict(sample, token) for sample in samples]
        columns = zip(
            style_terms(samples, self.folder),
            complexity_terms(samples),
            map(instruction_term, samples, verdicts),
            strict=True,
        )
        return [Quality(*row) for row in columns]

    def _verdict(self, sample: Sample, token: CancellationToken | None) -> float | None:
        if token is not None:
            token.check()
        return self.judge.verdict(sample) if self.judge else None
