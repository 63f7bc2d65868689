"""Facts about decoding in batches, on a tiny real model: it says what the engine says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import tiny_model
from evaluation.batched import COMMENTED, BatchedModel, Question
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt, Snippet
from falcon_lsp.model.engine import GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.fim import FALCON, FimFormat
from falcon_lsp.model.torch_engine import TorchEngine

PROMPTS = [
    Prompt("a.py", "def add(a, b):\n    ret", "\n"),
    Prompt("a.py", "for item in items:\n", "\n\nprint(1)\n"),
    Prompt("long.py", "import os\n" * 30 + "class Po", "", (Snippet("b.py", "x = 1\n"),)),
    Prompt("a.py", "", ""),
    Prompt("é.py", "name = 'é", "'\n"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build_tiny_model(tmp_path_factory.mktemp("tiny"), seed=3)


@pytest.fixture(scope="module")
def model(folder: Path) -> BatchedModel:
    return _in_fp32(folder)


def _in_fp32(folder: Path, adapter: Path | None = None) -> BatchedModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluation.batched.best_dtype", lambda _device: torch.float32)
        return BatchedModel(folder, adapter, "cpu")


def _nobody(_done: int, _count: int) -> None:
    pass


@pytest.mark.parametrize("fmt", [FALCON, COMMENTED], ids=lambda fmt: fmt.name)
def test_a_text_is_judged_as_the_engine_judges_it(
    folder: Path, model: BatchedModel, fmt: FimFormat
) -> None:
    engine = TorchEngine(ModelFiles(folder, "tiny", fmt, ""), device="cpu", dtype=torch.float32)
    for prompt in PROMPTS:
        expected = engine.score(prompt, "urn a + b", CancellationToken())
        assert model.score(prompt, fmt, "urn a + b") == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("fmt", [FALCON, COMMENTED], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("single_line", [True, False])
def test_a_batch_says_what_the_engine_says(
    folder: Path, model: BatchedModel, fmt: FimFormat, single_line: bool
) -> None:
    engine = TorchEngine(ModelFiles(folder, "tiny", fmt, ""), device="cpu", dtype=torch.float32)
    params = GenerationParams(max_tokens=12, single_line=single_line)
    alone = [engine.generate(prompt, params, CancellationToken()) for prompt in PROMPTS]
    questions = [Question(prompt, fmt, 12, single_line) for prompt in PROMPTS]
    batched = model.generate(questions, _nobody)
    for one, other in zip(alone, batched, strict=True):
        assert other.text == one.text
        assert other.token_ids == one.token_ids
        assert other.finish == one.finish
        assert other.logprobs == pytest.approx(one.logprobs, abs=1e-4)
        assert other.healed_chars == one.healed_chars


def test_the_answer_ends_before_the_first_stop(model: BatchedModel) -> None:
    whole = model.generate([Question(PROMPTS[0], None, 24, single_line=False)], _nobody)[0]
    stop = whole.text[3:5]
    cut = model.generate([Question(PROMPTS[0], None, 24, False, (stop, "zzzz"))], _nobody)[0]
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish == "stop"
    assert len(cut.token_ids) < len(whole.token_ids)


def test_progress_counts_every_question_once(model: BatchedModel) -> None:
    seen: list[tuple[int, int]] = []
    model.generate(
        [Question(prompt, FALCON, 2) for prompt in PROMPTS],
        lambda done, count: seen.append((done, count)),
    )
    assert seen[-1] == (len(PROMPTS), len(PROMPTS))


def test_the_likelihood_of_an_answer_is_the_sum_of_its_tokens(model: BatchedModel) -> None:
    prompt = Prompt("", "for item in items:", "")
    answer = model.generate([Question(prompt, None, 6, single_line=False)], _nobody)[0]
    assert answer.healed_chars == 0
    ids = [*model.encode(prompt, None), *answer.token_ids]
    expected = sum(answer.logprobs)
    assert model.log_likelihood(ids, len(answer.token_ids)) == pytest.approx(expected, abs=1e-3)


def test_likelihoods_are_those_of_a_distribution(model: BatchedModel) -> None:
    ids = model.encode(Prompt("", "import os", ""), None)
    size = len(model.tokenizer.vocabulary)
    total = sum(math.exp(model.log_likelihood([*ids, token], 1)) for token in range(size))
    assert total == pytest.approx(1.0, abs=1e-3)


def test_bytes_are_counted_in_utf8(model: BatchedModel) -> None:
    text = "naïve = 'é€'\n"
    assert model.byte_count(model.encode(Prompt("", text, ""), None)) == len(text.encode())


def test_without_a_format_the_prompt_is_the_prefix_alone(model: BatchedModel) -> None:
    prompt = Prompt("path.py", "import os\n", "suffix", (Snippet("b.py", "x"),))
    assert model.tokenizer.decode(model.encode(prompt, None)) == "import os\n"
