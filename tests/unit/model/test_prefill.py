"""A prompt that was read ahead costs one token, and reading ahead never undoes anything."""

from __future__ import annotations

import pytest
from test_generation import LONG, CountedToken, ScriptedModel

from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import fim
from falcon_lsp.model.engine import GenerationParams
from falcon_lsp.model.generation import SPARE_CHUNK, Generator
from falcon_lsp.model.tokenizer import CodeTokenizer
from tiny_model import build_tiny_tokenizer

PROMPT = Prompt("a.py", LONG, "")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CodeTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tiny_tokenizer(folder)
    return CodeTokenizer.from_folder(folder)


@pytest.fixture
def model(tokenizer: CodeTokenizer) -> ScriptedModel:
    return ScriptedModel(tokenizer.encode("x\n"), len(tokenizer.pieces))


@pytest.fixture
def generator(model: ScriptedModel, tokenizer: CodeTokenizer) -> Generator:
    return Generator(model, tokenizer, fim.FALCON)


def test_what_was_read_ahead_is_not_read_again(generator: Generator) -> None:
    generator.prefill(PROMPT, CancellationToken())
    result = generator.generate(PROMPT, GenerationParams(), CancellationToken())
    assert result.cached_tokens == result.prompt_tokens - 1


def test_it_reads_in_small_pieces_and_what_was_read_stays(
    generator: Generator, model: ScriptedModel
) -> None:
    with pytest.raises(Cancelled):
        generator.prefill(PROMPT, CountedToken(2, Cancelled))
    assert model.fed == [SPARE_CHUNK] * 2
    result = generator.generate(PROMPT, GenerationParams(), CancellationToken())
    assert result.cached_tokens == 2 * SPARE_CHUNK


def test_reading_again_what_is_known_forgets_nothing(
    generator: Generator, model: ScriptedModel
) -> None:
    generator.generate(PROMPT, GenerationParams(), CancellationToken())
    cache = list(model.cache)
    generator.prefill(PROMPT, CancellationToken())
    assert model.cache == cache


def test_a_generation_ends_where_its_caller_says_so(generator: Generator) -> None:
    heard: list[str] = []

    def stop(said: str) -> bool:
        heard.append(said)
        return bool(said)

    params = GenerationParams(single_line=False, stop=stop)
    result = generator.generate(PROMPT, params, CancellationToken())
    assert result.finish == "block"
    assert heard[-1] == result.text
    assert not any(heard[:-1])
