"""Whatever is suggested and taken, the file becomes what it was; reports say what was done."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falcon_lsp.core.types import Outcome
from falcon_lsp.replay import arm as arm_module
from falcon_lsp.replay.arm import FROZEN, TWO_ARMS, Arm, Terms, Writer
from falcon_lsp.replay.errors import ReplayError
from falcon_lsp.replay.measures import Tally
from falcon_lsp.replay.sources import Change
from falcon_lsp.replay.strokes import plan

LINES = st.lists(
    st.sampled_from(
        ["total = add(one, two)\n", "if \U0001f600 in text:\r\n", "\n", "    go(on)\n"]
    ),
    max_size=10,
)


class SilentClient:
    """Takes everything and answers nothing."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments: None


class Desk(Arm):
    """An arm without a server; ``suggest`` gets the truth's rest and returns what is offered."""

    def __init__(self, suggest: Any) -> None:
        super().__init__("learned", Path.cwd(), TWO_ARMS["learned"])
        self.client: Any = SilentClient()
        self.suggest = suggest
        self.asked = 0
        self.reports: list[tuple[Outcome, int]] = []

    async def ask(self, path: str, offset: int) -> tuple[str, str, float]:
        self.asked += 1
        text = self.suggest(self.asked)
        return (f"cmp-{self.asked}" if text else "", text, 1.0)

    async def accept(self, completion_id: str) -> None:
        self.reports.append((Outcome.ACCEPTED, 0))

    async def report(self, completion_id: str, outcome: Outcome, kept: int = 0) -> None:
        self.reports.append((outcome, kept))


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(arm_module, "READ_SECONDS", 0)


def write(change: Change, desk: Desk, seed: str) -> Tally:
    async def all_of_it() -> Tally:
        total = Tally()
        desk.show(change.path, change.language, change.before)
        for work in plan([change], seed):
            for hunk in work.hunks:
                writer = Writer(desk, change.path, hunk, seed)
                writer.begin()
                for run in hunk.runs:
                    total.add(await writer.type(run))
                writer.finish()
        return total

    return asyncio.run(all_of_it())


@given(LINES, LINES, st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_the_file_becomes_what_it_was_whatever_is_taken(old, new, seed):
    before, after = "".join(old), "".join(new)
    rng = random.Random(seed)

    def suggest(_number: int) -> str:
        return "".join(rng.choices(["add(one, two)\n", "sum = ", "go(on)", "", "\n    "], k=2))

    desk = Desk(suggest)
    tally = write(Change("a.py", "python", before, after), desk, str(seed))
    assert desk.open["a.py"].text == after
    assert tally.accepted <= tally.shown <= desk.asked == len(tally.latencies_ms)
    assert tally.kept_chars <= len("".join(after.split()))


def wrote(text: str, *suggestions: str) -> tuple[Desk, Tally]:
    """Type ``text`` with what is suggested at the first rests; the seed makes no slips."""
    desk = Desk(lambda number: suggestions[number - 1] if number <= len(suggestions) else "")
    return desk, write(Change("a.py", "python", "", text), desk, "1")


def test_an_exact_line_is_accepted_by_its_command_and_counted():
    desk, tally = wrote("total = add(one, two)\n", "total = add(one, two)")
    assert desk.reports == [(Outcome.ACCEPTED, 0)]
    assert (tally.accepted, tally.exact_lines, tally.kept_chars) == (1, 1, 18)
    assert desk.asked == 1  # nothing was left to type


def test_right_words_are_taken_one_by_one_and_reported_with_their_sum():
    desk, tally = wrote("total = add(one, two)\n", "total = add(one, three)")
    assert desk.reports == [
        (Outcome.PARTIAL, kept) for kept in (5, 7, 11, 12, 15, 16)
    ]  # fmt: skip
    assert (tally.accepted, tally.exact_lines, tally.kept_chars) == (1, 0, 14)


def test_wrong_lines_of_an_accepted_block_are_deleted_and_not_kept():
    desk, tally = wrote("first = 1\nsecond = 2\n", "first = 1\nsecond = 3\nthird = 4")
    assert tally.kept_chars == len("first=1second=")
    assert desk.open["a.py"].text == "first = 1\nsecond = 2\n"


async def test_a_server_that_hangs_ends_the_replay_with_a_sentence(monkeypatch):
    async def never(*_arguments: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(arm_module, "ANSWER_SECONDS", 0.01)
    arm = Arm("learned", Path.cwd(), TWO_ARMS["learned"])
    monkeypatch.setattr(arm.client, "request", never)
    with pytest.raises(ReplayError, match="learned server does not answer"):
        await arm.report("cmp-1", Outcome.REJECTED)


def test_a_suggestion_is_decided_about_once():
    desk = Desk(lambda _number: "nothing like it")
    real = desk.ask

    async def same_again(path: str, offset: int) -> tuple[str, str, float]:
        _, text, took = await real(path, offset)
        return "cmp-1", text, took

    desk.ask = same_again  # type: ignore[method-assign]
    tally = write(Change("a.py", "python", "", "one = 1\ntwo = 2\n"), desk, "1")
    assert desk.asked >= 2
    assert tally.shown == 1


async def test_nothing_is_typed_before_the_arms_adapter_answers(monkeypatch):
    said = [("loading", ""), ("ready", "base"), ("ready", "base"), ("ready", "adp-1")]

    async def status(*_arguments: Any) -> dict[str, str]:
        state, adapter = said.pop(0)
        return {"state": state, "adapter": adapter}

    monkeypatch.setattr(arm_module, "_POLL_SECONDS", 0)
    arm = Arm("slow", Path.cwd(), Terms(FROZEN, adapter="adp-1"))
    monkeypatch.setattr(arm.client, "request", status)
    await arm.ready()
    assert said == []
