"""Drafts change how many passes an answer takes, and nothing of the answer: with real networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import fim
from falcon_lsp.model.decoding import logprobs
from falcon_lsp.model.drafts import NO_SOURCES, Sources
from falcon_lsp.model.engine import Generation, GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.generation import Generator
from falcon_lsp.model.onnx_engine import OnnxEngine
from falcon_lsp.model.sequences import CausalModel
from falcon_lsp.model.tokenizer import CodeTokenizer
from falcon_lsp.model.torch_engine import TorchModel
from tiny_model import build_tiny_model

PROMPT = Prompt("a.py", "import os\n\ndef add(a, b):\n    ret", "\n\nprint(add)\n")
GREEDY = GenerationParams(max_tokens=30, single_line=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("speculation") / "base")


@pytest.fixture(scope="module", params=["torch", "onnx"])
def generator(request: pytest.FixtureRequest, folder: Path) -> Generator:
    model: CausalModel
    if request.param == "torch":
        model = TorchModel(folder, "cpu", torch.float32)
    else:
        files = ModelFiles(folder, "tiny", fim.FALCON, "0" * 64)
        model = OnnxEngine(files, folder / "quantised", threads=1)._model
    return Generator(model, CodeTokenizer.from_folder(folder), fim.FALCON)


def ask(
    generator: Generator,
    params: GenerationParams,
    sources: Sources = NO_SOURCES,
    prompt: Prompt = PROMPT,
) -> Generation:
    return generator.generate(prompt, params, CancellationToken(), sources)


def hints(said: str) -> list[list[str]]:
    """Return sources that are right, right for a while, wrong, and right again further on."""
    right = PROMPT.prefix + said + "!"
    middle = len(said) // 2
    return [
        [right],
        [PROMPT.prefix + said[:middle] + "something else entirely\n"],
        [PROMPT.prefix + "something else entirely\n", said[2:] + "!"],
        [PROMPT.prefix + "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")],
    ]


@pytest.mark.parametrize(
    "params",
    [
        GREEDY,
        replace(GREEDY, single_line=True),
        replace(GREEDY, temperature=1.0, seed=3),
        replace(GREEDY, temperature=0.7, seed=4, max_tokens=5),
        replace(GREEDY, max_tokens=1),
    ],
)
def test_the_answer_is_the_same_with_and_without_drafts(
    generator: Generator, params: GenerationParams
) -> None:
    plain = ask(generator, params)
    for texts in hints(plain.text):
        drafted = ask(generator, params, Sources(texts))
        assert drafted.token_ids == plain.token_ids
        assert (drafted.text, drafted.finish) == (plain.text, plain.finish)
        assert drafted.healed_chars == plain.healed_chars == 4
        assert drafted.logprobs == pytest.approx(plain.logprobs, abs=2e-3)
        assert drafted.passes + drafted.accepted == plain.passes == len(plain.token_ids)
        assert drafted.accepted <= drafted.drafted


def test_right_drafts_save_passes_and_wrong_ones_cost_none(generator: Generator) -> None:
    plain = ask(generator, GREEDY)
    right, _, wrong, _ = (ask(generator, GREEDY, Sources(texts)) for texts in hints(plain.text))
    assert right.passes < plain.passes / 2
    assert wrong.drafted > wrong.accepted
    assert wrong.passes <= plain.passes


def test_the_next_request_goes_on_from_what_was_accepted(generator: Generator) -> None:
    plain = ask(generator, GREEDY)
    sources = Sources([PROMPT.prefix + plain.text[:4] + "something else entirely\n"])
    said = replace(PROMPT, prefix=PROMPT.prefix + plain.text[:20])
    fresh = ask(generator, GREEDY, prompt=said)
    ask(generator, GREEDY, sources)
    again = ask(generator, GREEDY, sources, prompt=said)
    assert again.token_ids == fresh.token_ids
    assert again.logprobs == pytest.approx(fresh.logprobs, abs=2e-3)


def test_a_score_is_what_the_network_says_of_each_token(generator: Generator) -> None:
    text = "urn a + b"
    found = generator.score(PROMPT, text, CancellationToken())
    tokenizer = generator._tokenizer
    before = fim.encode(tokenizer, fim.FALCON, replace(PROMPT, prefix=PROMPT.prefix[:-4]))
    spelled = tokenizer.encode(" ret" + text)
    rows = logprobs(generator._model.fork().feed_each([*before, *spelled], len(spelled) + 1))
    expected = rows[range(len(spelled)), spelled]
    ends = [
        token
        for token, piece in enumerate(tokenizer.pieces)
        if piece is None or piece[:1] in (b"\n", b"\r")
    ]
    assert spelled[0] == tokenizer.encode(" return")[0]  # so that no token is left out
    assert found[:-1] == pytest.approx(expected, abs=2e-3)
    assert np.exp(found[-1]) == pytest.approx(np.exp(rows[-1, ends]).sum(), abs=2e-3)


def test_tokens_of_healed_characters_alone_are_not_scored(generator: Generator) -> None:
    tokenizer = generator._tokenizer
    found = generator.score(PROMPT, "#%", CancellationToken())
    assert len(tokenizer.encode(" ret#%")) > len(tokenizer.encode("#%"))
    assert len(found) == len(tokenizer.encode("#%")) + 1


def test_scoring_leaves_the_prompt_in_the_cache(generator: Generator) -> None:
    plain = ask(generator, GREEDY)
    generator.score(PROMPT, "urn a", CancellationToken())
    again = ask(generator, GREEDY)
    assert again.cached_tokens == again.prompt_tokens - 1
    assert again.token_ids == plain.token_ids
