"""What an adapter could learn: how gains are counted, and what is read of a workspace."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import headroom
import tiny_model
from evaluation import phases
from falcon_lsp.learning.dataset import Encoding, Scored
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer

WORDS = [f"price_{number}" for number in range(300)]


@pytest.fixture(scope="module")
def encoding(tmp_path_factory: pytest.TempPathFactory) -> Encoding:
    base = tiny_model.build_tiny_model(tmp_path_factory.mktemp("tiny"))
    return Encoding(CodeTokenizer.from_folder(base), fim.FALCON, "tiny")


@pytest.fixture
def trial(tmp_path: Path) -> phases.Trial:
    source: Any = SimpleNamespace(steps=["0", "1"])
    made = phases.Trial(tmp_path, tmp_path / "cache", source, 1, 1.0, 1.0)
    (made.workspace / "shop").mkdir(parents=True)
    half = len(WORDS) // 2
    (made.workspace / "shop" / "one.py").write_text("\n".join(WORDS[:half]), "utf-8")
    (made.workspace / "two.py").write_text("\n".join(WORDS[half:]), "utf-8")
    (made.workspace / "notes.txt").write_text("no code", "utf-8")
    return made


def line(commit: str, tokens: int) -> headroom.Line:
    return headroom.Line(commit, Scored((1,), (2,) * tokens))


def test_gains_are_per_token_and_zero_lies_inside_where_signs_differ() -> None:
    lines = [line("a", 4), line("b", 1), line("c", 5)]
    found = headroom.compared(lines, [-4.0, -1.0, -5.0], [-2.0, -2.0, -5.0])
    assert found["before"] == pytest.approx(-1.0)
    gain, low, high = found["nats_per_token"]
    assert gain == pytest.approx(0.1)
    assert low < 0 < high
    assert (found["lines"], found["likelier"]) == (3, 1)


def test_what_helps_every_line_excludes_zero() -> None:
    lines = [line(str(n), 2) for n in range(20)]
    found = headroom.compared(lines, [-2.0] * 20, [-1.0 - n % 2 / 2 for n in range(20)])
    assert found["nats_per_token"][1] > 0


def test_every_token_of_a_workspace_but_a_windows_first_teaches_once(trial, encoding) -> None:
    windows = headroom.read(trial, encoding)
    text = "".join(
        encoding.tokenizer.decode([*one.sequence.context, *one.sequence.answer]) for one in windows
    )
    cut = [word for word in WORDS if text.count(word) == 0]
    assert len(cut) <= 4 * len(windows)  # by the hole's two ends and the window's
    assert "no code" not in text
    for one in windows:
        assert len(one.sequence.context) == 1
        assert one.credit == (1.0,) * len(one.sequence.answer)


def test_no_more_is_read_than_was_asked_for(trial, encoding, monkeypatch) -> None:
    whole = sum(len(one.sequence) for one in headroom.read(trial, encoding))
    monkeypatch.setattr(headroom, "MOST_READ", whole // 2)
    windows = headroom.read(trial, encoding)
    assert 0 < sum(len(one.sequence) for one in windows) <= whole // 2
