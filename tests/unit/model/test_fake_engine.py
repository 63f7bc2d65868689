"""The engine without weights behaves as one with weights would."""

from __future__ import annotations

from pathlib import Path

import pytest

from falcon_lsp.core.cancellation import CancellationToken, Cancelled, DeadlineExceeded
from falcon_lsp.core.types import Prompt, Snippet
from falcon_lsp.model.engine import Engine, GenerationParams
from falcon_lsp.model.fake import FakeEngine

EARLIER = "\ntotal = price * count\nprint(total)\n"


def ask(prefix: str, *snippets: str, **params: object) -> tuple[str, str]:
    prompt = Prompt("a.py", prefix, "", tuple(Snippet("b.py", text) for text in snippets))
    engine: Engine = FakeEngine()
    result = engine.generate(prompt, GenerationParams(**params), CancellationToken())  # type: ignore[arg-type]
    assert len(result.token_ids) == len(result.logprobs) == len(result.text.encode())
    assert all(logprob < 0 for logprob in result.logprobs)
    return result.text, result.finish


@pytest.mark.parametrize(
    ("prefix", "snippets", "text", "finish"),
    [
        (EARLIER + "total = pri", (), "ce * count", "line"),
        ("total = pri", (EARLIER,), "ce * count", "line"),
        (EARLIER + "total = price * count\n", (), "print(total)", "line"),
        ("def area(width", (), "):", "stop"),
        ("foo(bar[1", (), "])", "stop"),
        ("width = 3\nheight += ", (), "width", "stop"),
        ("", (), "pass", "stop"),
        ("naïve = 'é'\nnaïve = ", (), "'é'", "line"),
    ],
)
def test_it_copies_what_followed_before_or_makes_a_small_guess(
    prefix: str, snippets: tuple[str, ...], text: str, finish: str
) -> None:
    assert ask(prefix, *snippets) == (text, finish)
    assert ask(prefix, *snippets) == (text, finish)


def test_the_longest_match_wins_over_the_nearest() -> None:
    history = "alpha.beta(one)\ngamma.beta(two)\nalpha.be"
    assert ask(history)[0] == "ta(one)"


def test_bounds_hold() -> None:
    assert ask("total = pri", EARLIER, max_tokens=4) == ("ce *", "length")
    text, _ = ask("total = pri", EARLIER, single_line=False)
    assert text.startswith("ce * count\nprint(total)\n")


class LimitedToken(CancellationToken):
    """Raises ``error`` at the fourth look."""

    def __init__(self, error: type[Exception]) -> None:
        super().__init__()
        self.looks, self.error = 0, error

    def check(self) -> None:
        self.looks += 1
        if self.looks == 4:
            raise self.error


def test_it_is_cancelled_between_two_tokens() -> None:
    token = LimitedToken(Cancelled)
    with pytest.raises(Cancelled):
        FakeEngine().generate(Prompt("a.py", EARLIER + "total", ""), GenerationParams(), token)
    assert token.looks == 4


def test_at_the_deadline_it_returns_what_it_has() -> None:
    result = FakeEngine().generate(
        Prompt("a.py", EARLIER + "total", ""), GenerationParams(), LimitedToken(DeadlineExceeded)
    )
    assert (result.text, result.finish) == (" = ", "deadline")


def test_a_slow_one_runs_into_a_real_deadline() -> None:
    engine = FakeEngine(token_seconds=60.0)
    prompt = Prompt("a.py", EARLIER + "total", "")
    result = engine.generate(prompt, GenerationParams(), CancellationToken(timeout=0.01))
    assert (len(result.text) <= 1, result.finish) == (True, "deadline")


def test_it_notes_what_it_was_asked() -> None:
    engine = FakeEngine()
    engine.load_adapter(Path("somewhere"), "adp-1")
    engine.generate(Prompt("a.py", "", ""), GenerationParams(), CancellationToken())
    assert (engine.calls, engine.adapter_id) == (1, "adp-1")
    assert engine.adapters == [(Path("somewhere"), "adp-1")]


def test_it_finds_likely_what_it_would_say_itself() -> None:
    engine: Engine = FakeEngine()
    prompt = Prompt("a.py", EARLIER + "total = pri", "")
    said, other = (engine.score(prompt, text, CancellationToken()) for text in ("ce", "vate"))
    assert (len(said), len(other)) == (3, 5)
    assert sum(said) > sum(other)
