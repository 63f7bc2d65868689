"""Facts about sampling, on a tiny real model: what is recorded is what a trainer computes."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.types import Prompt
from falcon_lsp.learning.dataset import Encoding, Scored
from falcon_lsp.learning.objectives.tokens import token_logprobs
from falcon_lsp.learning.practice import rollouts
from falcon_lsp.learning.practice.rollouts import Asked, Rollout, Sampler, Sampling
from falcon_lsp.model import fim
from falcon_lsp.model.engine import GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.torch_engine import TorchEngine

ASKED = [
    Asked("mid", Prompt("a.py", "def add(a, b):\n    ret", "\n")),
    Asked("fresh", Prompt("a.py", "for item in items:\n", "\n\nprint(1)\n")),
    Asked("long", Prompt("long.py", "import os\n" * 12 + "class Po", "")),
]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()


@pytest.fixture
def sampler(model: Any, encoding: Encoding) -> Sampler:
    return Sampler(model, encoding.tokenizer, encoding.fmt, narrow=False)


def _logits(model: Any, sequence: Scored) -> torch.Tensor:
    """Return what predicts each token of the answer, computed in one go: ``(K, V)``."""
    ids = torch.tensor([sequence.context + sequence.answer])
    with torch.no_grad():
        return model(input_ids=ids).logits[0, len(sequence.context) - 1 : -1]


def _sample(sampler: Sampler, asked: list[Asked] = ASKED, **options) -> list[list[Rollout]]:
    chosen = {"samples": 4, "max_tokens": 8, "seed": 3} | options
    return sampler.sample(asked, Sampling(**chosen), CancellationToken())


def test_k_samples_of_each_prompt_in_its_place(sampler: Sampler) -> None:
    groups = _sample(sampler)
    assert [[one.name for one in group] for group in groups] == [[a.name] * 4 for a in ASKED]
    assert len({one.sequence.answer for one in groups[1]}) > 1


def test_what_is_trained_on_is_what_was_asked(sampler: Sampler, encoding: Encoding) -> None:
    for asked, group in zip(ASKED, _sample(sampler), strict=True):
        for one in group:
            kept = len(asked.prompt.prefix) - one.healed_chars
            prompt = replace(asked.prompt, prefix=asked.prompt.prefix[:kept])
            assert list(one.sequence.context) == fim.encode(
                encoding.tokenizer, encoding.fmt, prompt
            )
            said = asked.prompt.prefix[kept:] + one.text
            assert encoding.tokenizer.decode(one.sequence.answer).startswith(said)


def test_logprobs_are_of_the_sampled_tokens(sampler: Sampler, model: Any) -> None:
    for group in _sample(sampler):
        for one in group:
            answer = torch.tensor([one.sequence.answer])
            expected = token_logprobs(_logits(model, one.sequence)[None], answer)[0].tolist()
            assert one.logprobs == pytest.approx(expected, abs=1e-4)
            assert len(one.credit) == len(one.sequence.answer)


def test_a_seed_gives_the_same_samples_and_another_gives_others(sampler: Sampler) -> None:
    first, again, other = _sample(sampler), _sample(sampler), _sample(sampler, seed=4)
    assert first == again
    assert first != other


def test_what_else_is_in_the_batch_does_not_matter(sampler: Sampler) -> None:
    together, alone = _sample(sampler), [_sample(sampler, [one])[0] for one in ASKED]
    for one, other in zip(together, alone, strict=True):
        assert [row.sequence for row in one] == [row.sequence for row in other]


def test_greedy_says_what_the_engine_says(
    sampler: Sampler, tiny_model: Path, encoding: Encoding
) -> None:
    files = ModelFiles(tiny_model, "tiny", encoding.fmt, "")
    engine = TorchEngine(files, device="cpu", dtype=torch.float32)
    groups = _sample(sampler, greedy_first=True)
    for asked, group in zip(ASKED, groups, strict=True):
        said = engine.generate(asked.prompt, GenerationParams(max_tokens=8), CancellationToken())
        assert group[0].sequence.answer == said.token_ids
        assert group[0].text == said.text
        assert group[0].healed_chars == said.healed_chars


def test_tokens_that_healing_restricted_carry_no_credit(sampler: Sampler) -> None:
    healed = [one for group in _sample(sampler) for one in group if one.healed_chars]
    free = [one for group in _sample(sampler) for one in group if not one.healed_chars]
    assert healed
    assert all(one.credit[0] == 0.0 and one.credit[-1] == 1.0 for one in healed)
    assert all(set(one.credit) == {1.0} for one in free)


def test_samples_follow_the_distribution(sampler: Sampler, model: Any) -> None:
    """The first token of 2,000 samples: its frequencies are the probabilities."""
    asked = Asked("x", Prompt("a.py", "for item in items:", ""))
    group = _sample(sampler, [asked], samples=2000, max_tokens=1)[0]
    chances = _logits(model, group[0].sequence)[0].softmax(-1)
    counts = torch.bincount(
        torch.tensor([one.sequence.answer[0] for one in group]), minlength=len(chances)
    )
    chi_square = ((counts - 2000 * chances) ** 2 / (2000 * chances)).sum().item()
    free = len(chances) - 1
    assert chi_square < free + 4 * (2 * free) ** 0.5  # four standard deviations above its mean


def test_a_cancelled_sampling_stops(sampler: Sampler) -> None:
    token = CancellationToken()
    token.cancel()
    with pytest.raises(Cancelled):
        sampler.sample(ASKED, Sampling(2), token)


def test_batches_keep_to_their_budgets_and_lose_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "BATCH_TOKENS", 100)
    monkeypatch.setattr(rollouts, "BATCH_ROWS", 12)
    row = namedtuple("row", "context")
    groups = [[row(range(length))] * 4 for length in (5, 70, 20, 20, 20, 300)]
    for room, sizes in ((1, [1, 1, 3, 1]), (8, [2, 4])):
        batches = list(rollouts._batches(groups, room))
        assert [len(batch) for batch in batches] == sizes
        assert sorted(len(g[0].context) for batch in batches for g in batch) == [
            5,
            20,
            20,
            20,
            70,
            300,
        ]
