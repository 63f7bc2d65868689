"""Healing, stopping and sampling, without any model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from falcon_lsp.model.decoding import Answer, Pieces, choose, split_for_healing
from falcon_lsp.model.tokenizer import CodeTokenizer
from tiny_model import build_tiny_tokenizer

VOCABULARY = [
    b"r",
    b"e",
    b"t",
    b"u",
    b"n",
    b" ",
    b"re",
    b"return",
    b" return",
    None,
    b"\xc3",
    b"\xa9",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CodeTokenizer:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    build_tiny_tokenizer(folder)
    return CodeTokenizer.from_folder(folder)


def spelled(ids: list[int]) -> set[bytes | None]:
    return {VOCABULARY[i] for i in ids}


def test_tokens_are_found_by_how_they_start() -> None:
    pieces = Pieces(VOCABULARY)
    assert spelled(pieces.starting_with(b"re")) == {b"re", b"return"}
    assert spelled(pieces.starting_with(b"\xc3")) == {b"\xc3"}
    assert pieces.starting_with(b"x") == []


def test_the_same_bytes_may_be_several_tokens() -> None:
    assert sorted(Pieces((b"r", b"r", b"re")).spelling(b"re")) == [0, 1, 2]
    assert Pieces((b"r", b"r", b"re")).bridges(b"r")
    assert not Pieces((b"r", b"r")).bridges(b"r")


def test_what_may_be_sampled_spells_the_owed_text_or_a_beginning_of_it() -> None:
    assert spelled(Pieces(VOCABULARY).spelling(b"ret")) == {b"return", b"re", b"r"}


@pytest.mark.parametrize(
    ("text", "bridged"),
    [(b"ret", True), (b"return", False), (b"\xc3\xa9", False), (b" ", True), (b"x", False)],
)
def test_only_text_that_a_longer_token_continues_is_worth_healing(
    text: bytes, bridged: bool
) -> None:
    assert Pieces(VOCABULARY).bridges(text) is bridged


@pytest.mark.parametrize(
    ("prefix", "dropped"),
    [
        ("", ""),
        ("x = a + b\n    ret", " ret"),
        ("é😀", ""),
        ("from pathlib imp", " imp"),
        ("from pathlib ", " "),
    ],
)
def test_the_prefix_is_opened_where_one_token_could_bridge_the_cursor(
    tokenizer: CodeTokenizer, prefix: str, dropped: str
) -> None:
    kept, opened = split_for_healing(tokenizer, Pieces(tokenizer.pieces), prefix)
    assert kept + opened == prefix
    assert opened == dropped


@pytest.mark.parametrize(
    ("prefix", "dropped", "single_line", "pieces", "text", "ended"),
    [
        ("x = ", "", True, [b"1", b"\n", b"y"], "1", True),
        ("x = ", "", True, [b"1)\r\ny"], "1)", True),
        ("x = ", "", True, [b"\n"], "", True),
        ("a:\n", "", True, [b"\n", b"  b", b"\n"], "\n  b", True),
        ("a:\n", "", True, [b"  b"], "  b", False),
        ("x = ", "", False, [b"1\n", b"2"], "1\n2", False),
        ("x re", " re", True, [b" return", b" y"], "turn y", False),
        ("x re", " re", True, [b" r"], "", False),
        ("x\n", "\n", True, [b"\n", b"a", b"\n"], "a", True),
        ("", "", True, [b"\xc3"], "", False),
        ("", "", True, [b"\xc3", b"\xa9"], "é", False),
        ("", "", True, [b"\xff", b"a"], "\ufffda", False),
        ("é", "é", True, [b"\xc3", b"\xa9", b"!"], "!", False),
    ],
)
def test_an_answer_starts_at_the_cursor_and_ends_with_its_line(
    prefix: str, dropped: str, single_line: bool, pieces: list[bytes], text: str, ended: bool
) -> None:
    answer = Answer(prefix, dropped, single_line)
    assert [answer.add(piece) for piece in pieces][-1] is ended
    assert answer.text == text


def test_greedy_takes_the_likeliest_allowed_token_and_reports_its_true_probability() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.2], dtype=np.float32)) + 7
    rng = np.random.default_rng(0)
    assert choose(logits, 0.0, rng)[0] == 0
    token, logprob = choose(logits, 0.0, rng, allowed=[2, 1])
    assert token == 1
    assert logprob == pytest.approx(np.log(0.3), abs=1e-6)


def test_sampling_follows_the_tempered_distribution_and_reports_the_untempered_one() -> None:
    logits = np.log(np.array([0.64, 0.32, 0.04], dtype=np.float32))
    rng = np.random.default_rng(0)
    drawn = [choose(logits, 2.0, rng) for _ in range(4000)]
    share = sum(token == 0 for token, _ in drawn) / len(drawn)
    assert share == pytest.approx(0.8 / (0.8 + 0.32**0.5 + 0.2), abs=0.03)
    assert {token: round(logprob, 4) for token, logprob in drawn} == {
        token: round(float(np.log(p)), 4) for token, p in enumerate([0.64, 0.32, 0.04])
    }
