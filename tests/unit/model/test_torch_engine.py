"""The engine on PyTorch, with a real but tiny Llama."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt, Snippet
from falcon_lsp.model import fim
from falcon_lsp.model.engine import EngineError, Generation, GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.tokenizer import CodeTokenizer
from falcon_lsp.model.torch_engine import TorchEngine
from tiny_model import build_tiny_model, spoil, train_nothing

PROMPT = Prompt(
    "a.py", "import os\n\ndef add(a, b):\n    ret", "\n\nprint(add)\n", (Snippet("b.py", "x = 1"),)
)
SAMPLED = GenerationParams(max_tokens=24, single_line=False, temperature=1.0, seed=3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    folder = build_tiny_model(tmp_path_factory.mktemp("tiny"))
    return ModelFiles(folder, "tiny", fim.FALCON, "0" * 64)


@pytest.fixture(scope="module")
def adapter(files: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_nothing(files.folder, tmp_path_factory.mktemp("adapter"), layers=[1], seed=1)


def engine(files: ModelFiles) -> TorchEngine:
    return TorchEngine(files, device="cpu", dtype=torch.float32)


def ask(served: TorchEngine, prompt: Prompt = PROMPT) -> Generation:
    return served.generate(prompt, SAMPLED, CancellationToken())


def weights(served: TorchEngine) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in served._model._parameters.items()}


def reference_logprobs(model: torch.nn.Module, ids: list[int], answer: list[int]) -> torch.Tensor:
    """Log-probabilities of ``answer`` after ``ids``, from one plain pass without a cache."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids + answer])).logits[0].float()
    rows = logits[len(ids) - 1 : -1].log_softmax(-1)
    return rows.gather(1, torch.tensor(answer)[:, None])[:, 0]


def test_log_probabilities_are_those_of_one_plain_pass(files: ModelFiles) -> None:
    result = ask(engine(files))
    assert result.healed_chars == 4
    kept = replace(PROMPT, prefix=PROMPT.prefix[: -result.healed_chars])
    ids = fim.encode(CodeTokenizer.from_folder(files.folder), fim.FALCON, kept)
    model = AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.float32)
    expected = reference_logprobs(model, ids, list(result.token_ids))
    assert len(result.token_ids) > 3
    assert result.prompt_tokens == len(ids)
    torch.testing.assert_close(torch.tensor(result.logprobs), expected, atol=1e-4, rtol=1e-4)


def test_a_reused_cache_gives_the_answer_of_a_fresh_one(files: ModelFiles) -> None:
    served = engine(files)
    ask(served)
    for typed in ("u", "urn a", "", " x\n    y = 2\n" * 30):
        prompt = replace(PROMPT, prefix=PROMPT.prefix + typed)
        reused, fresh = ask(served, prompt), ask(engine(files), prompt)
        assert reused.cached_tokens > 20
        assert fresh.cached_tokens == 0
        assert (reused.text, reused.token_ids) == (fresh.text, fresh.token_ids)
        assert reused.logprobs == pytest.approx(fresh.logprobs, abs=1e-4)


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(files: ModelFiles) -> None:
    served = engine(files)
    first = ask(served)
    assert ask(served).token_ids == first.token_ids
    other = served.generate(PROMPT, replace(SAMPLED, seed=4), CancellationToken())
    assert other.token_ids != first.token_ids


def test_bfloat16_serves_too(files: ModelFiles) -> None:
    served = TorchEngine(files, threads=1, device="cpu", dtype=torch.bfloat16)
    assert ask(served).token_ids
    assert {w.dtype for w in weights(served).values()} == {torch.bfloat16}


def test_a_loaded_adapter_equals_pefts_own_merge(files: ModelFiles, adapter: Path) -> None:
    served = engine(files)
    served.load_adapter(adapter, "adp-1")
    base = AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, adapter).merge_and_unload()
    expected = dict(merged.named_parameters())
    mine = weights(served)
    assert served.adapter_id == "adp-1"
    assert mine.keys() == expected.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value, expected[name].detach(), atol=1e-6, rtol=1e-6)


def test_an_adapter_changes_what_is_said_and_the_base_comes_back_whole(
    files: ModelFiles, adapter: Path
) -> None:
    served = engine(files)
    before, base = weights(served), ask(served)
    served.load_adapter(adapter, "adp-1")
    adapted = ask(served)
    assert adapted.cached_tokens == 0
    assert adapted.logprobs != base.logprobs
    served.load_adapter(None, "base")
    assert ask(served).token_ids == base.token_ids
    assert all(torch.equal(value, before[name]) for name, value in weights(served).items())


def test_an_adapter_takes_the_place_of_another_even_of_other_layers(
    files: ModelFiles, adapter: Path, tmp_path: Path
) -> None:
    other = train_nothing(files.folder, tmp_path / "other", layers=[0], seed=2)
    served, direct = engine(files), engine(files)
    served.load_adapter(adapter, "adp-1")
    served.load_adapter(other, "adp-2")
    direct.load_adapter(other, "adp-2")
    assert all(torch.equal(w, weights(direct)[n]) for n, w in weights(served).items())


@pytest.mark.parametrize("fault", ["missing", "shape", "name", "nan"])
def test_a_bad_adapter_is_refused_and_the_old_one_goes_on_serving(
    files: ModelFiles, adapter: Path, tmp_path: Path, fault: str
) -> None:
    served = engine(files)
    served.load_adapter(adapter, "adp-1")
    before, answer = weights(served), ask(served)
    spoil(adapter, tmp_path, fault)
    with pytest.raises(EngineError):
        served.load_adapter(tmp_path, "adp-bad")
    assert served.adapter_id == "adp-1"
    assert all(torch.equal(w, before[n]) for n, w in weights(served).items())
    assert ask(served).token_ids == answer.token_ids
