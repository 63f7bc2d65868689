"""What is declined stays away: until it has faded, was taken after all, or was forgiven."""

from __future__ import annotations

from dataclasses import replace

import pytest

from episodes_factory import episode as factory_episode
from falcon_lsp.core.types import Outcome
from falcon_lsp.memory import rejections as module
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.rejections import HALF_LIFE, Rejections

HERE, THERE = "file:///here", "file:///there"
NOW = 1e9
DAY = 86400.0
BEFORE = "def f(a):\n    "


def judged(
    number: int, outcome: Outcome | None, *, guess: bool = False, text: str = "return a",
    age: float = 0.0, workspace: str = HERE, prefix: str = BEFORE,
) -> Episode:  # fmt: skip
    found = factory_episode(f"#{number}", text, what=outcome, inferred=guess, time=NOW - age)
    prompt = replace(found.suggestion.prompt, prefix=prefix)
    return replace(found, workspace=workspace, suggestion=replace(found.suggestion, prompt=prompt))


def told(*episodes: Episode) -> Rejections:
    rejections = Rejections()
    for each in episodes:
        rejections.take(each)
    return rejections


NO, YES, UNDONE = Outcome.REJECTED, Outcome.ACCEPTED, Outcome.UNDONE
VERDICTS = [
    pytest.param([(NO, False)], True, id="said once"),
    pytest.param([(NO, True)], False, id="guessed once"),
    pytest.param([(NO, True)] * 2, True, id="guessed twice"),
    pytest.param([(NO, True), (UNDONE, True)], True, id="undone later"),
    pytest.param([(Outcome.IGNORED, True)] * 5, False, id="ignored"),
    pytest.param([(Outcome.SUPERSEDED, True)] * 5, False, id="superseded"),
    pytest.param([(None, True)] * 5, False, id="no outcome"),
    pytest.param([(NO, False), (YES, True)], False, id="taken later"),
    pytest.param([(NO, False), (Outcome.TYPED_THROUGH, True)], False, id="typed later"),
    pytest.param([(YES, True), (NO, False)], True, id="no longer"),
]


@pytest.mark.parametrize(("outcomes", "expected"), VERDICTS)
def test_what_was_said_decides(outcomes: list[tuple[Outcome | None, bool]], expected: bool) -> None:
    found = told(*(judged(n, what, guess=guess) for n, (what, guess) in enumerate(outcomes)))
    assert found.block(HERE, BEFORE, "return a", NOW) is expected


def test_never_neither_fades_nor_is_made_good() -> None:
    never = replace(judged(1, NO, age=10 * HALF_LIFE), never=True)
    found = told(never, judged(2, YES))
    assert found.block(HERE, BEFORE, "return a", NOW)
    found.take(judged(1, Outcome.IGNORED))
    assert not found.block(HERE, BEFORE, "return a", NOW)


AGES = [
    pytest.param([(False, 0.0)], 0.99, True, id="said, not yet faded"),
    pytest.param([(False, 0.0)], 1.01, False, id="said, faded"),
    pytest.param([(True, 0.0), (True, 0.0)], 1.01, False, id="two guesses fade like it"),
    pytest.param([(False, 0.0), (False, 0.0)], 1.99, True, id="said twice holds twice as long"),
    pytest.param([(False, 1.0), (True, 0.0)], 0.9, True, id="an old one counts a little"),
]


@pytest.mark.parametrize(("nos", "half_lives", "expected"), AGES)
def test_it_fades(nos: list[tuple[bool, float]], half_lives: float, expected: bool) -> None:
    found = told(
        *(judged(n, NO, guess=guess, age=age * HALF_LIFE) for n, (guess, age) in enumerate(nos))
    )
    assert found.block(HERE, BEFORE, "return a", NOW + half_lives * HALF_LIFE) is expected
    (entry,) = found.entries(NOW)
    assert found.block(HERE, BEFORE, "return a", entry.until - 1)
    assert not found.block(HERE, BEFORE, "return a", entry.until + 1)


def test_workspaces_do_not_know_of_each_other() -> None:
    found = told(judged(1, NO), judged(2, YES, workspace=THERE))
    assert found.block(HERE, BEFORE, "return a", NOW)
    assert not found.block(THERE, BEFORE, "return a", NOW)
    assert found.entries(NOW, THERE) == []


def test_a_canary_of_one_workspace_is_declined_in_no_other() -> None:
    names = [f"file:///w{number}" for number in range(20)] + ["file:///w"]
    found = told(*(judged(n, NO, text=f"canary_{n}()", workspace=w) for n, w in enumerate(names)))
    crossed = [
        (mine, n)
        for n, home in enumerate(names)
        for mine in names
        if found.block(mine, BEFORE, f"canary_{n}()", NOW) != (mine == home)
    ]
    assert crossed == []


def test_an_episode_counts_once_and_as_its_latest_outcome_says() -> None:
    found = told(judged(1, NO, guess=True), judged(1, NO, guess=True))
    assert not found.block(HERE, BEFORE, "return a", NOW)
    found.take(judged(1, NO))
    assert found.block(HERE, BEFORE, "return a", NOW)
    found.take(judged(1, Outcome.IGNORED))
    assert found.entries(NOW) == []


def test_an_accept_makes_good_only_for_what_was_said_before() -> None:
    found = told(judged(1, NO, age=DAY), judged(2, YES, age=2 * DAY))
    assert found.block(HERE, BEFORE, "return a", NOW)
    found.take(judged(3, YES, text="return  a", age=0))
    assert not found.block(HERE, BEFORE, "return a", NOW)


def test_the_list_names_each_text_once_the_latest_first() -> None:
    found = told(
        judged(1, NO, age=3 * DAY),
        judged(2, NO, age=2 * DAY, text="raise ValueError(a)"),
        judged(3, NO, age=DAY, text="return  a"),
    )
    entries = found.entries(NOW)
    assert [(e.id, e.text, set(e.completion_ids)) for e in entries] == [
        ("#3", "return  a", {"#1", "#3"}),
        ("#2", "raise ValueError(a)", {"#2"}),
    ]
    assert all(entry.blocks for entry in entries)
    found.withdraw(entries[0].completion_ids)
    assert not found.block(HERE, BEFORE, "return a", NOW)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REJECTIONS", 20)
    monkeypatch.setattr(module, "MAX_PER_CONTEXT", 5)
    found = told(*(judged(n, NO, text=f"return {'x' * n}", age=-n) for n in range(1, 31)))
    blocked = [n for n in range(1, 31) if found.block(HERE, BEFORE, f"return {'x' * n}", NOW)]
    assert blocked == [26, 27, 28, 29, 30]
    assert len(found._by_id) == 20
    found.withdraw([f"#{n}" for n in range(31)])
    assert found._by_key == {}


def test_no_prompt_is_kept() -> None:
    found = told(judged(1, NO, prefix="secretive = 1\n" * 10_000 + BEFORE, text="x" * 9999))
    (kept,) = found._by_id.values()
    assert len(repr(kept)) < 10_000
