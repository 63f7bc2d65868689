"""The optimiser's steps, each on its page of the journal before the next begins."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from falcon_lsp.core.heap import give_back
from falcon_lsp.learning.crew import ALONE, Crew
from falcon_lsp.learning.dataset import Reason
from falcon_lsp.learning.journal import Page
from falcon_lsp.learning.policy.model import PolicyModel


@dataclass(frozen=True, slots=True)
class StepStats:
    """One optimiser step; ``kl`` is against the base in nats per trained token, before the step."""

    step: int
    loss: float
    kl: float
    ratio: float
    clipped: float
    tokens: int


class Pace(Protocol):
    """How large a step is, and how far steps may lead."""

    @property
    def learning_rate(self) -> float:
        """Step size of AdamW."""

    @property
    def gradient_norm(self) -> float:
        """Longest gradient; longer ones are cut to it."""

    @property
    def kl_cap(self) -> float:
        """How much the KL to the base may grow in one run, in nats per token."""

    @property
    def kl_most(self) -> float:
        """Above this KL it may not grow at all."""


class Walk:
    """The steps of one run of `falcon_lsp.learning.trainer.train` over ``model``.

    Goes on where ``page`` ends, which the leader of a ``crew`` keeps for all. ``stopped`` says why
    the run ended, empty while it goes on; ``skipped`` and ``notes`` (plain JSON, whatever else the
    run has to know to go on) are kept with it.
    """

    def __init__(self, model: PolicyModel, pace: Pace, page: Page, crew: Crew = ALONE) -> None:
        self._model, self._pace, self._page, self._crew = model, pace, page, crew
        self._optimizer = torch.optim.AdamW(
            model.parameters, lr=pace.learning_rate, weight_decay=0.0
        )
        self._previous = model.state()
        self.steps: list[StepStats] = []
        self.skipped: dict[str, Reason] = {}
        self.notes: dict[str, Any] = {}
        self.stopped = ""
        self._resume()

    def take(self, stats: StepStats) -> None:
        """Step along the gradient that stands in the model; give back what its passes left."""
        self._previous = self._model.state()
        nn.utils.clip_grad_norm_(self._model.parameters, self._pace.gradient_norm)
        self._optimizer.step()
        self.steps.append(stats)
        self.write()
        give_back()  # or pieces of freed memory lie between tensors, more from step to step

    def led_too_far(self, stats: StepStats) -> str:
        """Undo the last step if it led too far, as ``stats`` of the next one show.

        So it did where the loss is not finite, or the KL grew above what the pace allows from that
        of the start, which the first step measures: what serves already is no step of this run.
        Returns what happened, empty when all is well.
        """
        start = self.steps[0].kl if self.steps else stats.kl
        cap = min(start + self._pace.kl_cap, max(start, self._pace.kl_most))
        if isfinite(stats.loss) and stats.kl <= cap:
            return ""
        self._model.restore(self._previous)
        return f"step taken back: KL {stats.kl:.3f}, from {start:.3f}, cap {cap:.3f}"

    def end(self, reason: str) -> None:
        """Take no further step."""
        self.stopped = reason
        self._model.clear_gradients()
        self.write()

    def write(self) -> None:
        """Put everything on the page."""
        facts = {
            "steps": [asdict(step) for step in self.steps],
            "skipped": self.skipped,
            "notes": self.notes,
            "stopped": self.stopped,
        }
        if self._crew.leads:
            self._page.write(_named(self._rows()), facts)

    def _resume(self) -> None:
        """Go on where the leader's page ends, in every process."""
        found = self._page.read() if self._crew.leads else None
        facts = self._crew.tell(found[1] if found else None)
        if facts is None:
            return
        self.steps = [StepStats(**step) for step in facts["steps"]]
        self.skipped = {name: Reason(reason) for name, reason in facts["skipped"].items()}
        self.notes = facts["notes"]
        self.stopped = facts["stopped"]
        for parameter in self._model.parameters if self.steps else ():
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(len(self.steps))),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        rows = _named(self._rows())
        for name, kept in (found[0] if found else {}).items():
            rows[name].copy_(kept)
        self._crew.follow(list(rows.values()))

    def _rows(self) -> dict[str, list[Tensor]]:
        """Return every tensor that the next step depends on; the model's own, not copies."""
        parameters = self._model.parameters
        kept = [self._optimizer.state[parameter] for parameter in parameters]
        moments = ("exp_avg", "exp_avg_sq") if self.steps else ()
        return {
            "now": [parameter.data for parameter in parameters],
            "before": self._previous,
            **{name: [moment[name] for moment in kept] for name in moments},
        }


def _named(rows: dict[str, list[Tensor]]) -> dict[str, Tensor]:
    return {f"{name}.{at}": one for name, row in rows.items() for at, one in enumerate(row)}
