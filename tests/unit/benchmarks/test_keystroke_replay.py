"""Facts about the replay: who is asked when, what is withdrawn, what counts as exact."""

from __future__ import annotations

import asyncio

import pytest

from keystrokes.recording import Part, Step
from keystrokes.replay import Moment, Sample, Withdrawn, place, replay

ORIGINAL = "def f(a):\n    return a + 1\n"
AT = ORIGINAL.index("return")


def part(*steps: Step) -> Part:
    end = ORIGINAL.index("\n", AT)
    return Part("package", "m.py", ORIGINAL, ((AT, end),), 0.0, steps)


def key(at: int, delay: float = 0.0) -> Step:
    return Step(delay, at, 0, (at, at + 1), at + 1, at + 1)


class Asked:
    def __init__(self, text: str | None) -> None:
        self.text, self.withdrawn = text, asyncio.Event()

    async def answer(self) -> tuple[str, str, bool | None, int]:
        if self.text is None:
            await self.withdrawn.wait()
            raise Withdrawn
        return self.text, f"offer-{self.text}", self.text == "x", 1

    def withdraw(self) -> None:
        assert not self.withdrawn.is_set()
        self.withdrawn.set()


class Answering:
    """Answers with these texts in turn; None waits for the withdrawal, ``skip`` asks nothing."""

    name = "answering"

    def __init__(self, *texts: str | None) -> None:
        self.texts, self.asked, self.documents = list(texts), list[Asked](), list[str]()
        self.shown: list[str] = []
        self.rested: list[int] = []

    def open(self, part: Part) -> None:
        self.shown.append(part.opened)

    def close(self, part: Part) -> None:
        self.shown.append("closed")

    def rest(self, part: Part, text: str, cursor: int) -> None:
        self.rested.append(cursor)

    def ask(self, moment: Moment) -> Asked | None:
        self.documents.append(moment.text)
        if (text := self.texts.pop(0)) == "skip":
            return None
        self.asked.append(Asked(text))
        return self.asked[-1]


async def typed(system: Answering, *steps: Step) -> list[Sample]:
    return await replay(system, part(*steps), 7)


async def test_a_question_that_is_open_at_the_next_key_is_withdrawn() -> None:
    system = Answering(None, "x")
    first, second = await typed(system, key(AT), key(AT + 1, 0.02))
    assert system.asked[0].withdrawn.is_set()
    assert not system.asked[1].withdrawn.is_set()
    assert first.took is None
    assert first.given >= 20
    assert first.ended >= 0
    assert not first.answered
    assert second.given is None
    assert second.answered


async def test_an_answer_is_taken_with_its_time_offer_and_judgement() -> None:
    (sample,) = await typed(Answering("x"), key(AT))
    assert (sample.part, sample.step, sample.text, sample.offer) == (7, 0, "x", "offer-x")
    assert sample.exact is True
    assert sample.took >= 0


async def test_silence_is_no_answer() -> None:
    (sample,) = await typed(Answering(""), key(AT))
    assert sample.took is not None
    assert not sample.answered
    assert sample.exact is None


async def test_the_first_question_and_the_one_after_a_move_are_known() -> None:
    move = Step(0.0, AT, 0, "", AT + 1, AT + 1)
    samples = await typed(Answering("a", "b", "c"), key(AT), move, key(AT + 1), key(AT + 2))
    assert [sample.first for sample in samples] == [True, False, False]
    assert [sample.moved for sample in samples] == [False, True, False]
    assert [sample.step for sample in samples] == [0, 2, 3]


async def test_where_the_cursor_comes_to_rest_is_told_after_opening_and_after_a_move() -> None:
    move = Step(0.0, AT, 0, "", AT + 1, AT + 1)
    system = Answering("a", "b")
    await typed(system, key(AT), move, key(AT + 1))
    assert system.rested == [AT, AT + 1]


async def test_the_document_grows_with_each_key() -> None:
    system = Answering("a", "skip")
    samples = await typed(system, key(AT), key(AT + 1))
    assert [text[AT : AT + 2] for text in system.documents] == ["r\n", "re"]
    assert system.shown == ["def f(a):\n    \n", "closed"]
    assert len(samples) == 1


async def test_what_a_system_raises_is_not_lost() -> None:
    class Broken(Asked):
        async def answer(self) -> tuple[str, str, bool | None, int]:
            raise RuntimeError("broken")

    class System(Answering):
        def ask(self, moment: Moment) -> Asked:
            return Broken(None)

    with pytest.raises(RuntimeError, match="broken"):
        await typed(System(), key(AT))


@pytest.mark.parametrize(
    ("before", "offered", "replaced", "after", "expected"),
    [
        ("    ret", "urn a + 1", 0, "", True),
        ("    ret", "urn a + 1  ", 0, "", True),
        ("    ret", "urn a + 2", 0, "", False),
        ("    ret", "urn a + 1\n    more", 0, "", True),
        ("    ret", "urn a", 0, " + 1", True),
        ("    ret", "urn a + 1", 4, " + 1", True),
        ("    ret", "urn a + 1", 0, " + 1", False),
    ],
)
def test_a_line_is_exact_when_it_is_then_the_original(
    before: str, offered: str, replaced: int, after: str, expected: bool
) -> None:
    text = f"def f(a):\n{before}{after}\n"
    cursor = text.index(before) + len(before)
    step = Step(0.0, cursor, 0, "", cursor, AT + 3)
    moment = Moment(part(), 0, step, text, text)
    assert moment.is_exact(offered, replaced) is expected


def test_with_a_slip_in_it_no_line_is_judged() -> None:
    moment = Moment(part(), 0, Step(0.0, 0, 0, "q", 1, None), "", "q")
    assert moment.is_exact("anything") is None


def test_places_count_from_nought() -> None:
    assert [place("ab\ncd\n", at) for at in (0, 2, 3, 6)] == [(0, 0), (0, 2), (1, 0), (2, 0)]
