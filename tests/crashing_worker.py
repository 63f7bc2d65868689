"""The real worker in a process of its own that dies, by SIGKILL, at a chosen call.

Only what makes it slow is replaced: one optimiser step or two, four regression holes, and a gate
that measures as always but promotes, since random weights have nothing to be better at; for the
same reason every group of fresh answers teaches. Nothing is drawn from earlier updates, so that
whatever is learned a second time stands out.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from falcon_lsp.config import from_client_options
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.learning import losses, tasks, trainer, update
from falcon_lsp.learning.background import worker
from falcon_lsp.learning.judging import publishing
from falcon_lsp.learning.policy.model import PolicyModel
from falcon_lsp.learning.practice import rounds
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import AdapterRegistry

POINTS: dict[str, tuple[Any, str]] = {
    "lease": (Ledger, "lease"),
    "load": (PolicyModel, "__init__"),
    "score": (PolicyModel, "logprobs"),
    "train": (losses, "policy_loss"),
    "step": (Ledger, "renew"),
    "gate": (publishing, "measure"),
    "save": (PolicyModel, "save"),
    "publish": (AdapterRegistry, "publish"),
    "swap": (AdapterRegistry, "_point_to"),
    "prune": (AdapterRegistry, "prune"),
    "ack": (Ledger, "ack"),
}
"""Where it can die: before or after the first call of each."""


def run(
    data: str,
    cache: str,
    model: str,
    point: str = "",
    when: str = "",
    objective: str = "policy",
) -> None:
    """Work through the queue; with a ``point`` die ``before`` or ``after`` its first call."""
    holes = publishing.regression_set()[:4]
    judge = publishing.judge
    publishing.regression_set = lambda: holes
    publishing.judge = lambda *given: replace(judge(*given), promoted=True, reasons=())
    worker.Recipe = partial(trainer.Recipe, epochs=1, minibatch=4)
    update.MetaRecipe = partial(tasks.MetaRecipe, remembered=0, others=0)
    rounds.teaches = lambda *_: True
    worker.LEASE_SECONDS = 0.0
    if point:
        owner, name = POINTS[point]
        setattr(owner, name, deadly(getattr(owner, name), when))
    learning = {"batchEpisodes": 8, "objective": objective}
    config, problems = from_client_options({"model": model, "learning": learning})
    assert problems == []
    store = Store(Path(data), Path(cache))
    code = worker.serve(store, config, lambda _: None, CancellationToken())
    os._exit(code)


def deadly(function: Callable[..., Any], when: str) -> Callable[..., Any]:
    def die(*given: Any, **named: Any) -> Any:
        if when == "after":
            function(*given, **named)
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    return die
