"""Types the recorded keys at the recorded times, whoever answers, and notes what came when.

Keys do not wait for answers: a question that is still open when the next key comes is withdrawn.
Every time is counted from the keystroke that asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Protocol

from keystrokes.recording import Part, Step

LAST_PATIENCE = 3.0
"""Seconds that the last question of a file may stay open."""
REST = 0.1
"""Seconds after which a cursor that stays is at rest, as in the extension."""
GRACE = 10.0
"""Longest wait for the end of what was withdrawn."""


@dataclass(slots=True)
class Sample:
    """What became of one keystroke; times in milliseconds.

    ``took`` runs from the keystroke to the answer, None when the question was withdrawn first;
    ``given`` from the keystroke to the withdrawal, ``ended`` from there to its confirmation.
    ``exact`` says whether the line is then as it stood in the original, None where a slip is in it
    or nothing was offered. ``offer`` identifies an offer that may come again, further along.
    """

    part: int
    step: int
    first: bool
    moved: bool
    took: float | None = None
    given: float | None = None
    ended: float | None = None
    text: str = ""
    offer: str = ""
    exact: bool | None = None
    tokens: int = 0

    @property
    def answered(self) -> bool:
        """Whether text came in time."""
        return self.took is not None and bool(self.text)


@dataclass(frozen=True, slots=True)
class Moment:
    """The document as it is at one keystroke; ``before`` is the text that ``step`` changed."""

    part: Part
    number: int
    step: Step
    before: str
    text: str

    @property
    def place(self) -> tuple[int, int]:
        """Line and column of the cursor."""
        return place(self.text, self.step.cursor)

    def is_exact(self, offered: str, replaced: int = 0) -> bool | None:
        """Whether ``offered`` (for ``replaced`` characters after the cursor) ends the line right.

        Of several lines the first counts. None where the cursor has no place in the original.
        """
        source = self.step.source
        if source is None:
            return None
        before, after = _line_around(self.text, self.step.cursor)
        first, newline, _ = offered.partition("\n")
        line = before + first + ("" if newline else after[replaced:])
        return line.rstrip() == "".join(_line_around(self.part.original, source)).rstrip()


class Asked(Protocol):
    """A question on its way."""

    async def answer(self) -> tuple[str, str, bool | None, int]:
        """Wait for text, offer, exactness and tokens; raises `Withdrawn` when it was withdrawn."""

    def withdraw(self) -> None:
        """Say that the answer is not wanted any more."""


class Withdrawn(Exception):
    """A question ended without an answer because it had been withdrawn."""


class System(Protocol):
    """Something that answers keystrokes."""

    name: str

    def open(self, part: Part) -> None:
        """Show a file."""

    def close(self, part: Part) -> None:
        """Take it away."""

    def rest(self, part: Part, text: str, cursor: int) -> None:
        """Say that the cursor has come to rest at an offset of ``text`` without an edit."""

    def ask(self, moment: Moment) -> Asked | None:
        """Pass on the keystroke and ask; None where this system is asked nothing."""


async def replay(system: System, part: Part, number: int) -> list[Sample]:
    """Type one file; returns a sample for each question, in order."""
    system.open(part)
    document, moved, questions = part.opened, False, list[_Question]()
    due = time.perf_counter() + part.pause
    await asyncio.sleep(min(REST, part.pause))
    system.rest(part, document, part.steps[0].at)
    for at, step in enumerate(part.steps):
        due += step.delay
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if step.is_move:
            moved = True
            await asyncio.sleep(REST)
            system.rest(part, document, step.cursor)
            continue
        if questions:
            questions[-1].withdraw()
        before, document = document, step.apply(document, part.original)
        sample = Sample(number, at, first=not questions, moved=moved)
        question = _Question(sample)
        if (asked := system.ask(Moment(part, at, step, before, document))) is not None:
            question.start(asked)
            questions.append(question)
        moved = False
    if questions:
        await questions[-1].wait(LAST_PATIENCE)
        questions[-1].withdraw()
    for question in questions:
        await question.wait(GRACE)
    system.close(part)
    return [question.sample for question in questions]


class _Question:
    """Fills a sample while the answer to it is awaited."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.begun = time.perf_counter()

    def start(self, asked: Asked) -> None:
        self.asked = asked
        self.task = asyncio.create_task(self._await())

    def withdraw(self) -> None:
        if not self.task.done():
            self.sample.given = self._since(self.begun)
            self.asked.withdraw()

    async def wait(self, seconds: float) -> None:
        """Wait, but not for ever, and raise what went wrong."""
        await asyncio.wait({self.task}, timeout=seconds)
        if self.task.done():
            self.task.result()

    async def _await(self) -> None:
        sample = self.sample
        with contextlib.suppress(Withdrawn):
            text, offer, exact, tokens = await self.asked.answer()
            if sample.given is None:
                sample.took = self._since(self.begun)
                sample.text, sample.offer, sample.tokens = text, offer, tokens
                sample.exact = exact if text else None
        if sample.given is not None:
            sample.ended = self._since(self.begun) - sample.given

    def _since(self, begun: float) -> float:
        return (time.perf_counter() - begun) * 1000


def place(text: str, offset: int) -> tuple[int, int]:
    """Return line and column of an offset, both from 0."""
    return text.count("\n", 0, offset), offset - text.rfind("\n", 0, offset) - 1


def _line_around(text: str, offset: int) -> tuple[str, str]:
    end = text.find("\n", offset)
    return text[text.rfind("\n", 0, offset) + 1 : offset], text[offset : end if end >= 0 else None]
