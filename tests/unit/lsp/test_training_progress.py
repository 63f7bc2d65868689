"""What the editor's progress bar says while the trainer works."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from falcon_lsp.lsp import server

STEP = {"event": "step", "step": 0}


@pytest.mark.parametrize("end", ["done", "error", "failed", "paused", "cancelled", "slice_over"])
async def test_the_bar_follows_the_trainer_and_goes_when_it_ends(monkeypatch, end) -> None:
    shown: list[tuple[str, float]] = []
    monkeypatch.setattr(server, "ProgressReporter", lambda *_: lambda *told: shown.append(told))
    client: Any = SimpleNamespace()
    listen = server.training_listener(client)
    for event in (
        {"event": "leased", "episodes": 8},
        {"event": "phase", "phase": "training"},
        STEP,
        {"event": "held", "reason": "on battery"},
        {"event": "held", "reason": ""},
        STEP,
        {"event": "phase", "phase": "gate"},
        {"event": end},
    ):
        listen(event)
    assert [message for message, _ in shown] == [
        "training", "training, 1 steps", "paused: on battery", "training, 1 steps",
        "training, 2 steps", "gate", "",
    ]  # fmt: skip
    shares = [share for _, share in shown]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
