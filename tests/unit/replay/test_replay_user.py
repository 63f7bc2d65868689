"""What the simulated developer does, case by case."""

from __future__ import annotations

import random

import pytest

from falcon_lsp.replay import user
from falcon_lsp.replay.user import Reaction, decide, is_exact, words

TAKE, WORDS, NO = Reaction.ACCEPT, Reaction.WORDS, Reaction.TYPE_ON


class Steady(random.Random):
    """Draws the same number always: 0.9 makes no slip and does not press Escape."""

    def __init__(self, value: float = 0.9) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(
    ("suggestion", "truth", "reaction", "taken"),
    [
        ("sum(items)", "sum(items)\nreturn x", TAKE, 10),
        ("sum(items)", "sum(items)", TAKE, 10),
        ("sum(items)  ", "sum(items)\n", TAKE, 12),
        ("sum(items)\nwrong = 1", "sum(items)\nreturn x", TAKE, 20),
        ("\n    return x\n    y", "\n    return x\nz", TAKE, 19),
        ("    return x", "\n    return x\nz", NO, 0),
        ("sum(items)", "sum(items) + 1", TAKE, 10),
        ("sum(items, 2)", "sum(items, 3)", WORDS, 10),
        ("sum(other)", "sum(items)", NO, 0),
        ("compute_total(a)", "compute_totals(a)", NO, 0),
        ("x = add(first)", "x = add(other)", WORDS, 8),
        ("a.b", "a.c", NO, 0),
        ("return", "raise ValueError", NO, 0),
        ("", "x", NO, 0),
    ],
)
def test_a_decision_without_noise(suggestion, truth, reaction, taken):
    decision = decide(suggestion, truth, Steady())
    assert (decision.reaction, decision.taken) == (reaction, taken)


def test_an_unwanted_suggestion_is_dismissed_as_often_as_stated():
    drawn = [decide("a", "b", random.Random(seed)).reaction for seed in range(4000)]
    share = drawn.count(Reaction.ESCAPE) / len(drawn)
    assert share == pytest.approx(user.ESCAPE_SHARE * (1 - user.NOISE), abs=0.02)


def test_a_decision_is_the_wrong_way_round_as_often_as_stated():
    wrong_yes = sum(decide("a", "b", random.Random(s)).reaction is TAKE for s in range(4000))
    wrong_no = sum(decide("a", "a", random.Random(s)).reaction is not TAKE for s in range(4000))
    for count in (wrong_yes, wrong_no):
        assert count / 4000 == pytest.approx(user.NOISE, abs=0.01)


def test_every_decision_draws_equally_often():
    left = []
    for suggestion, truth in (("a", "a"), ("a", "b"), ("abcd efgh", "abcd xyz"), ("", "")):
        rng = random.Random(5)
        decide(suggestion, truth, rng)
        left.append(rng.random())
    assert len(set(left)) == 1


@pytest.mark.parametrize(
    ("suggestion", "truth", "exact"),
    [("x", "x\ny", True), ("x\nz", "x\ny", True), ("x", "x y", False), (" \n", "\n", False)],
)
def test_a_line_is_exact_when_its_rest_is(suggestion, truth, exact):
    assert is_exact(suggestion, truth) is exact


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("add(first, second)", ["add", "(", "first", ",", " second", ")"]),
        ("  x = 1", ["  x", " =", " 1"]),
        ("", []),
    ],
)
def test_words_are_taken_as_an_editor_takes_them(text, pieces):
    assert words(text) == pieces
    assert "".join(pieces) == text
