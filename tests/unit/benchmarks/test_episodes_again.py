"""The embedder's task: the past and the questions share no file, and ranks are counted right."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

import falcon_lsp
from evaluation import episodes_again
from evaluation.episodes_again import Place, Workspace, joined, judge

DATA = Path(falcon_lsp.__file__).parent / "data"


def unit(*angles: float) -> np.ndarray:
    return np.array([[np.cos(a), np.sin(a)] for a in angles], np.float32)


def test_ranks_and_likeness() -> None:
    past = (Place("a", "return 1"), Place("b", "return 2"), Place("c", "yield x"))
    asks = (Place("d", "return 2"), Place("e", "yield  x"))
    space = Workspace(past, asks, (frozenset({1}), frozenset({2})))
    answers = joined([judge(space, unit(0.0, 0.1, 1.0), unit(0.0, 1.0))])
    assert answers.ranks.tolist() == [2, 1]
    assert answers.likeness[1] == 1.0
    assert 0.5 < answers.likeness[0] < 1.0
    assert answers.summary()["mrr"] == 0.75


def test_questions_come_from_other_files_and_have_an_answer() -> None:
    space = episodes_again.workspace("markdown-it-py", 400, 20)
    assert space == episodes_again.workspace("markdown-it-py", 400, 20)
    assert 10 < len(space.asks) <= 20
    assert all(space.right)
    assert not {place.context for place in space.past} & {place.context for place in space.asks}


def test_a_place_cuts_a_line_where_a_word_begins() -> None:
    text = "def f(x):\n    return compute(x)\n"
    for seed in range(20):
        for place in episodes_again._places(text, random.Random(seed)):
            assert text[len(place.context) :].startswith(place.text)
            assert text.startswith(place.context)


def test_no_package_was_trained_on_or_is_reported_of() -> None:
    lines = [
        line.partition("==")[0].lower().replace("_", "-")
        for name in ("corpus-packages.txt", "never-train.txt")
        for line in (DATA / name).read_text(encoding="utf-8").splitlines()
    ]
    assert not {*episodes_again.TUNING, *episodes_again.DEVELOPMENT} & set(lines)
    assert not {*episodes_again.TUNING} & {*episodes_again.DEVELOPMENT}
