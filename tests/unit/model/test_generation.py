"""The decoding loop over a scripted network: what is fed, what is kept, when it ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from falcon_lsp.core.cancellation import CancellationToken, Cancelled, DeadlineExceeded
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import fim
from falcon_lsp.model.decoding import Logits
from falcon_lsp.model.drafts import Sources
from falcon_lsp.model.engine import EngineError, GenerationParams
from falcon_lsp.model.generation import CHUNK, Generator
from falcon_lsp.model.tokenizer import CodeTokenizer
from tiny_model import build_tiny_tokenizer

LONG = "value = other + 1\n" * 60


class ScriptedModel:
    """Says ``script`` after each prompt, token by token, whatever the prompt is."""

    def __init__(self, script: Sequence[int], size: int, context_length: int = 4096) -> None:
        self.script, self.size, self.context_length = script, size, context_length
        self.cache: list[int] = []
        self.fed: list[int] = []
        self.broken = False

    def feed_each(self, ids: Sequence[int], last: int = 0) -> Logits:
        if self.broken:
            raise RuntimeError
        self.fed.append(len(ids))
        return np.array([self._logits(token) for token in ids])[-last:]

    def _logits(self, token: int) -> Logits:
        self.cache.append(token)
        said = next(n for n in reversed(range(len(self.script))) if self._has_said(n))
        logits = np.zeros(self.size, dtype=np.float32)
        logits[self.script[said]] = 9.0
        return logits

    def _has_said(self, length: int) -> bool:
        return self.cache[len(self.cache) - length :] == list(self.script[:length])

    def truncate(self, length: int) -> None:
        del self.cache[length:]


class CountedToken(CancellationToken):
    """Raises ``error`` at the ``limit``-th look."""

    def __init__(self, limit: int, error: type[Exception]) -> None:
        super().__init__()
        self.left, self.error = limit, error

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise self.error


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CodeTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tiny_tokenizer(folder)
    return CodeTokenizer.from_folder(folder)


def scripted(tokenizer: CodeTokenizer, text: str, stop: str = "") -> ScriptedModel:
    script = [*tokenizer.encode(text), tokenizer.special(stop or fim.FALCON.stop[0])]
    return ScriptedModel(script, len(tokenizer.pieces))


def ask(
    tokenizer: CodeTokenizer, text: str, prefix: str, *, stop: str = "", **params: object
) -> tuple[str, str]:
    generator = Generator(scripted(tokenizer, text, stop), tokenizer, fim.FALCON)
    result = generator.generate(
        Prompt("a.py", prefix, "\n"),
        GenerationParams(**params),  # type: ignore[arg-type]
        CancellationToken(),
    )
    assert len(result.token_ids) == len(result.logprobs)
    return result.text, result.finish


@pytest.mark.parametrize("stop", [*fim.FALCON.stop, "<filename>"])
def test_any_mark_ends_the_answer(tokenizer: CodeTokenizer, stop: str) -> None:
    assert ask(tokenizer, "y)", "f(x@", stop=stop) == ("y)", "stop")


def test_a_line_ends_the_answer_when_one_line_is_wanted(tokenizer: CodeTokenizer) -> None:
    assert ask(tokenizer, "y)\nz", "f(x@") == ("y)", "line")
    assert ask(tokenizer, "y)\nz", "f(x@", single_line=False) == ("y)\nz", "stop")


def test_an_answer_is_never_longer_than_asked_for(tokenizer: CodeTokenizer) -> None:
    text, finish = ask(tokenizer, "#%#%#%", "f(x@", max_tokens=3)
    assert (text, finish) == ("#%#", "length")


def test_the_first_tokens_spell_what_healing_took_back(tokenizer: CodeTokenizer) -> None:
    model = scripted(tokenizer, " return a")
    generator = Generator(model, tokenizer, fim.FALCON)
    prompt = Prompt("a.py", "x = a + b\n    ret", "")
    result = generator.generate(prompt, GenerationParams(), CancellationToken())
    assert (result.text, result.healed_chars) == ("urn a", 4)


def test_a_model_that_wants_to_say_something_else_is_held_to_the_prefix(
    tokenizer: CodeTokenizer,
) -> None:
    model = ScriptedModel(tokenizer.encode("#") * 40, len(tokenizer.pieces))
    generator = Generator(model, tokenizer, fim.FALCON)
    prompt = Prompt("a.py", "x = a + b\n    ret", "")
    result = generator.generate(prompt, GenerationParams(max_tokens=8), CancellationToken())
    spelled = b"".join(tokenizer.pieces[token] or b"" for token in result.token_ids)
    assert spelled.startswith(b" ret")
    assert result.logprobs[0] < np.log(0.01)


def test_the_prompt_is_fed_in_chunks_with_a_look_at_the_token_before_each(
    tokenizer: CodeTokenizer,
) -> None:
    model = scripted(tokenizer, "y")
    generator = Generator(model, tokenizer, fim.FALCON)
    with pytest.raises(Cancelled):
        generator.generate(Prompt("a.py", LONG, ""), GenerationParams(), CountedToken(2, Cancelled))
    assert model.fed == [CHUNK, CHUNK]


def test_only_what_differs_from_the_prompt_before_is_fed(tokenizer: CodeTokenizer) -> None:
    model = scripted(tokenizer, "y")
    generator = Generator(model, tokenizer, fim.FALCON)
    first = generator.generate(Prompt("a.py", "x@", "z"), GenerationParams(), CancellationToken())
    again = generator.generate(Prompt("a.py", "x@", "z"), GenerationParams(), CancellationToken())
    assert first.cached_tokens == 0
    assert again.cached_tokens == again.prompt_tokens - 1
    assert again.token_ids == first.token_ids
    other = generator.generate(Prompt("a.py", "x@", "q"), GenerationParams(), CancellationToken())
    assert 0 < other.cached_tokens < again.cached_tokens


def test_a_prefill_that_was_cancelled_is_gone_on_with(tokenizer: CodeTokenizer) -> None:
    model = scripted(tokenizer, "y")
    generator = Generator(model, tokenizer, fim.FALCON)
    prompt = Prompt("a.py", LONG, "")
    with pytest.raises(Cancelled):
        generator.generate(prompt, GenerationParams(), CountedToken(1, Cancelled))
    result = generator.generate(prompt, GenerationParams(), CancellationToken())
    assert (result.cached_tokens, result.text) == (CHUNK, "y")


def test_cancellation_is_seen_between_two_tokens(tokenizer: CodeTokenizer) -> None:
    model = scripted(tokenizer, "#%#%#%#%")
    generator = Generator(model, tokenizer, fim.FALCON)
    with pytest.raises(Cancelled):
        generator.generate(Prompt("a.py", "x", ""), GenerationParams(), CountedToken(4, Cancelled))
    assert model.fed[1:] == [1, 1, 1]


@pytest.mark.parametrize(("looks", "text"), [(0, ""), (1, "#"), (3, "#%#")])
def test_the_deadline_returns_what_there_is(
    tokenizer: CodeTokenizer, looks: int, text: str
) -> None:
    generator = Generator(scripted(tokenizer, "#%#%#%#%"), tokenizer, fim.FALCON)
    token = CountedToken(looks, DeadlineExceeded)
    result = generator.generate(Prompt("a.py", "x@", ""), GenerationParams(), token)
    assert (result.text, result.finish) == (text, "deadline")
    assert len(result.token_ids) == len(result.logprobs) == len(text)


def test_a_network_that_failed_starts_from_an_empty_cache(tokenizer: CodeTokenizer) -> None:
    model = scripted(tokenizer, "y")
    generator = Generator(model, tokenizer, fim.FALCON)
    prompt = Prompt("a.py", "x@", "")
    generator.generate(prompt, GenerationParams(), CancellationToken())
    model.broken = True
    with pytest.raises(RuntimeError):
        generator.generate(prompt, GenerationParams(), CancellationToken())
    model.broken = False
    result = generator.generate(prompt, GenerationParams(), CancellationToken())
    assert (result.cached_tokens, result.text) == (0, "y")


def test_a_prompt_that_the_model_cannot_read_is_refused_with_the_setting_to_change(
    tokenizer: CodeTokenizer,
) -> None:
    model = ScriptedModel([0], len(tokenizer.pieces), context_length=64)
    generator = Generator(model, tokenizer, fim.FALCON)
    with pytest.raises(EngineError, match=r"falcon\.context\.prefixTokens"):
        generator.generate(Prompt("a.py", LONG, ""), GenerationParams(), CancellationToken())
    assert model.fed == []


def test_drafted_tokens_are_said_in_one_pass(tokenizer: CodeTokenizer) -> None:
    model = scripted(tokenizer, "#%#%#%#%#%")
    generator = Generator(model, tokenizer, fim.FALCON)
    sources = Sources(["unlike\nthe_same_text@#%#%#%!!!\n"])
    prompt = Prompt("a.py", "the_same_text@", "")
    plain = generator.generate(prompt, GenerationParams(), CancellationToken())
    model.fed.clear()
    drafted = generator.generate(prompt, GenerationParams(), CancellationToken(), sources)
    assert (drafted.text, drafted.token_ids) == ("#%#%#%#%#%", plain.token_ids)
    assert (plain.passes, plain.drafted, plain.accepted) == (11, 0, 0)
    assert drafted.passes == len(model.fed) < 11
    assert drafted.accepted == 11 - drafted.passes
    assert model.cache[-len(model.script) + 1 :] == model.script[:-1]
