"""What one update did: the queue's answers, the versions that came of it, and their verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from falcon_lsp.learning.judging.gate import Verdict
from falcon_lsp.learning.walk import StepStats
from falcon_lsp.model.adapters import BASE


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
            "steps": [asdict(step) for step in self.steps],
            "stopped": self.stopped,
            "verdict": self.verdict.as_json() if self.verdict else None,
            "workspaces": [one.as_json() for one in self.workspaces],
        }
