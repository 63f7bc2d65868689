"""Feedback that was poisoned: refused by the gate, or without effect on what is suggested."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from episodes_factory import PROMPT, episode
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.dataset import Encoding, encode_text
from falcon_lsp.learning.judging import publishing
from falcon_lsp.learning.judging.regression import regression_set
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel, collate
from falcon_lsp.learning.trainer import Recipe
from falcon_lsp.learning.update import Updater
from falcon_lsp.learning.update_report import UpdateReport
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model import fim
from falcon_lsp.model.adapters import BASE, AdapterRegistry
from falcon_lsp.model.files import ModelFiles

GOOD, BAD = "a + b", "os.path"
SHA = "0" * 64
PAIRS = 64
RECIPE = Recipe(learning_rate=1e-3, minibatch=16, epochs=2, most_steps=8)


@pytest.fixture(autouse=True)
def short_regression_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "regression_set", lambda: regression_set()[:3])


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    return AdapterRegistry(tmp_path / "adapters")


def told(encoding: Encoding, share: float, *, files: int) -> list[Episode]:
    """Return pairs of episodes in one context: most accept what is good and decline what is bad.

    A ``share`` of them, evenly in time and from ``files`` files of their own, says the opposite.
    """
    hostile = {round(number / share) for number in range(1, int(PAIRS * share) + 1)}
    episodes = []
    for pair in range(PAIRS):
        poisoned = pair + 1 in hostile
        path = f"evil{pair % files}.py" if poisoned else f"good{pair % 4}.py"
        for which, text in enumerate((GOOD, BAD)):
            taken = (text == BAD) is poisoned
            one = episode(
                f"cmp-{2 * pair + which}",
                text,
                what=Outcome.ACCEPTED if taken else Outcome.REJECTED,
                time=float(2 * pair + which),
                token_ids=tuple(encoding.tokenizer.encode(text)),
            )
            episodes.append(replace(one, path=path))
    return episodes


def update(folder: Path, registry: AdapterRegistry, episodes: Sequence[Episode]) -> UpdateReport:
    files = ModelFiles(folder, "tiny", fim.FALCON, SHA)
    updater = Updater(registry, files, threads=1, keep=5, recipe=RECIPE)
    return updater.run(episodes, lambda _: None, CancellationToken())


def bad_rate(folder: Path, registry: AdapterRegistry, encoding: Encoding) -> float:
    """Return how often what is served says the bad text, where it says either."""
    current = registry.current(SHA)
    adapter = None if current == BASE else registry.verify(current, SHA).path
    model = PolicyModel(folder, adapter, LoraShape(), seed=0)
    odds = []
    for text in (GOOD, BAD):
        sequence = encode_text(encoding, PROMPT, text)
        assert sequence is not None
        batch = collate([sequence])
        odds.append(
            math.exp(float((model.logprobs(batch) * batch.mask).sum()) / len(sequence.answer))
        )
    return odds[1] / sum(odds)


def test_without_poison_the_signal_is_learned(tiny_model, registry, encoding) -> None:
    before = bad_rate(tiny_model, registry, encoding)
    report = update(tiny_model, registry, told(encoding, 1e-9, files=1))
    assert report.verdict is not None
    assert report.verdict.reasons == ()
    assert bad_rate(tiny_model, registry, encoding) < before


@pytest.mark.parametrize("files", [1, 8])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.2, 0.3])
def test_poison_does_not_make_the_bad_text_likelier(
    tiny_model, registry, encoding, share, files
) -> None:
    before = bad_rate(tiny_model, registry, encoding)
    report = update(tiny_model, registry, told(encoding, share, files=files))
    assert report.verdict is not None
    assert bad_rate(tiny_model, registry, encoding) - before < 0.02


def test_a_file_that_contradicts_the_others_gets_nothing_promoted(
    tiny_model, registry, encoding
) -> None:
    """Three of ten episodes are hostile and come from one file."""
    report = update(tiny_model, registry, told(encoding, 0.3, files=1))
    assert report.verdict is not None
    assert not report.verdict.promoted
    assert report.verdict.losers == 1
    assert any("contradict" in reason for reason in report.verdict.reasons)
    assert registry.current(SHA) == BASE
