"""Tests of a workspace that are easy to foresee."""

from __future__ import annotations

from collections.abc import Sequence

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.rewards import Appraiser, TestOutcome, Verdict
from falcon_lsp.memory.episodes import Episode


class Even(Appraiser):
    """Stands in for tests of a workspace: texts of even length pass."""

    def outcomes(
        self, episode: Episode, token: CancellationToken | None = None
    ) -> Sequence[TestOutcome]:
        even = len(episode.suggestion.text) % 2 == 0
        return [TestOutcome(Verdict.PASSED if even else Verdict.FAILED)]
