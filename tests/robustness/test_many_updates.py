"""Fifty updates in a row, each on another taste, and ordinary code is as likely as at first."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from episodes_factory import episode
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Outcome, Prompt
from falcon_lsp.learning.dataset import Encoding, encode_text
from falcon_lsp.learning.judging import publishing
from falcon_lsp.learning.judging.regression import Hole, regression_set
from falcon_lsp.learning.meta import query_loss
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel
from falcon_lsp.learning.trainer import Recipe
from falcon_lsp.learning.update import Updater
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model import fim
from falcon_lsp.model.adapters import BASE, AdapterRegistry
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.tokenizer import CodeTokenizer
from tiny_model import build_tiny_model

pytestmark = pytest.mark.timeout(600)

UPDATES = 50
SHA = "0" * 64
RECIPE = Recipe(learning_rate=1e-3, minibatch=8, epochs=1, most_steps=2)
TASTES = ("a + b", "self.x = x", "print(item)", "import os", "return a", "items", "x, y", "os.path")


def short(holes: list[Hole]) -> list[Hole]:
    """Return holes with little around them: the tiny model reads slowly."""
    return [Hole(h.path, h.prefix[-80:], h.suffix[:20], h.middle) for h in holes]


def batch(encoding: Encoding, number: int, rng: random.Random) -> list[Episode]:
    """Return one update's episodes: one text is taken again and again, the other replaced by it."""
    taken, declined = rng.sample(TASTES, 2)
    asked = Prompt("m.py", f"value{rng.randint(0, 9)} = ", "\n")
    return [
        episode(
            f"cmp-{number}-{each}",
            text,
            what=Outcome.ACCEPTED if text == taken else Outcome.REJECTED,
            time=1000.0 * number + each,
            token_ids=tuple(encoding.tokenizer.encode(text)),
            prompt=asked,
            stands=taken,
        )
        for each, text in enumerate((taken, declined) * 12)
    ]


def test_fifty_updates_do_not_forget_ordinary_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate watches other holes than those that are measured here."""
    holes = short(regression_set())
    monkeypatch.setattr(publishing, "regression_set", lambda: holes[:4])
    base = build_tiny_model(tmp_path / "tiny")
    encoding = Encoding(CodeTokenizer.from_folder(base), fim.FALCON, "tiny", 256)
    registry = AdapterRegistry(tmp_path / "adapters")
    files = ModelFiles(base, "tiny", fim.FALCON, SHA)
    updater = Updater(registry, files, threads=1, keep=3, recipe=RECIPE, replays=0)
    rng, promoted, history = random.Random(0), 0, []
    for number in range(UPDATES):
        episodes = batch(encoding, number, rng)
        report = updater.run(episodes, lambda _: None, CancellationToken(), history[-100:])
        promoted += report.verdict is not None and report.verdict.promoted
        history += episodes
    frozen = [encode_text(encoding, hole.prompt, hole.middle) for hole in holes[4:]]
    losses = []
    for adapter_id in (BASE, registry.current(SHA)):
        folder = None if adapter_id == BASE else registry.verify(adapter_id, SHA).path
        model = PolicyModel(base, folder, LoraShape(), seed=0)
        losses.append(query_loss(model, [s for s in frozen if s], CancellationToken()))
    assert promoted >= UPDATES // 5
    assert losses[1] <= 1.02 * losses[0]
