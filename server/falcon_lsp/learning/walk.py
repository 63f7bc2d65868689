"""The optimiser's steps, each on its page of the journal before the next begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from falcon_lsp.learning.dataset import Reason
from falcon_lsp.learning.journal import Page
from falcon_lsp.learning.policy_model import PolicyModel


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
    """How large a step is."""

    @property
    def learning_rate(self) -> float:
        """Step size of AdamW."""

    @property
    def gradient_norm(self) -> float:
        """Longest gradient; longer ones are cut to it."""


class Walk:
    """The steps of one run of `falcon_lsp.learning.trainer.train` over ``model``.

    Goes on where ``page`` ends. ``stopped`` says why the run ended, empty while it goes on;
    ``skipped`` is kept with it.
    """

    def __init__(self, model: PolicyModel, pace: Pace, page: Page) -> None:
        self._model, self._pace, self._page = model, pace, page
        self._optimizer = torch.optim.AdamW(
            model.parameters, lr=pace.learning_rate, weight_decay=0.0
        )
        self._previous = model.state()
        self.steps: list[StepStats] = []
        self.skipped: dict[str, Reason] = {}
        self.stopped = ""
        self._resume()

    def take(self, stats: StepStats) -> None:
        """Step along the gradient that stands in the model."""
        self._previous = self._model.state()
        nn.utils.clip_grad_norm_(self._model.parameters, self._pace.gradient_norm)
        self._optimizer.step()
        self.steps.append(stats)
        self._write()

    def take_back(self) -> None:
        """Undo the last step."""
        self._model.restore(self._previous)

    def end(self, reason: str) -> None:
        """Take no further step."""
        self.stopped = reason
        self._model.clear_gradients()
        self._write()

    def _write(self) -> None:
        rows = {"now": self._model.state(), "before": self._previous, **self._moments()}
        tensors = {
            f"{name}.{at}": value for name, row in rows.items() for at, value in enumerate(row)
        }
        self._page.write(
            tensors,
            {
                "steps": [asdict(step) for step in self.steps],
                "skipped": self.skipped,
                "stopped": self.stopped,
            },
        )

    def _moments(self) -> dict[str, list[Tensor]]:
        kept = [self._optimizer.state[parameter] for parameter in self._model.parameters]
        names = ("exp_avg", "exp_avg_sq") if self.steps else ()
        return {name: [moment[name] for moment in kept] for name in names}

    def _resume(self) -> None:
        if (found := self._page.read()) is None:
            return
        tensors, facts = found
        self.steps = [StepStats(**step) for step in facts["steps"]]
        self.skipped = {name: Reason(reason) for name, reason in facts["skipped"].items()}
        self.stopped = facts["stopped"]
        self._model.restore(list(_row(tensors, "now")))
        self._previous = [value.to(self._model.device) for value in _row(tensors, "before")]
        moments = zip(_row(tensors, "exp_avg"), _row(tensors, "exp_avg_sq"), strict=True)
        for parameter, (mean, square) in zip(
            self._model.parameters, moments, strict=bool(self.steps)
        ):
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(len(self.steps))),
                "exp_avg": mean.to(self._model.device),
                "exp_avg_sq": square.to(self._model.device),
            }


def _row(tensors: dict[str, Tensor], name: str) -> Iterator[Tensor]:
    count = sum(key.startswith(f"{name}.") for key in tensors)
    return (tensors[f"{name}.{at}"] for at in range(count))
