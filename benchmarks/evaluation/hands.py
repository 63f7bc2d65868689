"""Hands that type a piece of work into a text and rest where a replay's do."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from falcon_lsp.completion.service import CompletionService
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.text import TextSnapshot
from falcon_lsp.core.types import CompletionRequest, Suggestion, TextEdit
from falcon_lsp.memory.short_term import ShortTermMemory
from falcon_lsp.replay.sources import language_of
from falcon_lsp.replay.strokes import Hunk, Work

OPEN_FILES = 4
PATIENCE_SECONDS = 60.0

Put = Callable[[str, str, TextEdit], str]
"""Called with a path, its text and a change of it; returns the text after."""


class Steady(random.Random):
    """Draws by which the simulated developer never slips: the noise is less than all of them."""

    def random(self) -> float:
        """Return the same number every time."""
        return 1.0


@dataclass(slots=True)
class Stop:
    """The hands rest at ``offset`` of ``text``, ``done`` characters into a hunk.

    Who reads it may set ``taken``: how many characters of what is written next were taken from a
    suggestion; the hands go on behind them.
    """

    work: Work
    hunk: Hunk
    text: str
    offset: int
    done: int
    taken: int = 0

    @property
    def truth(self) -> str:
        """What is written next, to the hunk's end."""
        return self.hunk.text[self.done :]


def stops(work: Work, put: Put) -> Iterator[Stop]:
    """Write one file's work and yield where the hands rest."""
    text, path = work.change.before, work.change.path
    for hunk in work.hunks:
        text = _change(path, text, hunk.at, hunk.at + hunk.removed, hunk.ending, put)
        done = 0
        for at in sorted({at for run in hunk.runs for at in run.stops}):
            if at < done:
                continue
            start = hunk.at + done
            text = _change(path, text, start, start, hunk.text[done:at], put)
            stop = Stop(work, hunk, text, hunk.at + at, at)
            yield stop
            done = at
            if stop.taken:
                rest = hunk.text[done : done + stop.taken]
                text = _change(path, text, hunk.at + done, hunk.at + done, rest, put)
                done += stop.taken
        text = _change(path, text, hunk.at + done, hunk.at + done, hunk.text[done:], put)


class Desk:
    """A developer's open files and short-term memory while work of one ``workspace`` is written.

    Its clock goes on by a second with each change.
    """

    def __init__(
        self, workspace: str, memory: Callable[[Callable[[], float]], ShortTermMemory]
    ) -> None:
        self.workspace = workspace
        self.now = 0.0
        self.memory = memory(lambda: self.now)
        self._open: dict[str, str] = {}

    def write(self, work: Work) -> Iterator[Stop]:
        """Write one file's work, yield where the hands rest, and leave the file open."""
        yield from stops(work, self._put)
        self._open.pop(work.change.path, None)
        self._open[work.change.path] = work.change.after
        while len(self._open) > OPEN_FILES:
            del self._open[next(iter(self._open))]

    def request(self, stop: Stop) -> CompletionRequest:
        """Return the question that the editor asks where the hands rest."""
        path, language = stop.work.change.path, stop.work.change.language
        return CompletionRequest(path, path, self.workspace, language, 0, stop.text, stop.offset)

    def documents(self, _workspace: str) -> Sequence[tuple[str, str, str, float]]:
        """Return what is open, as the completion service asks for it."""
        known = enumerate(self._open.items())
        return [(path, language_of(path), text, float(age)) for age, (path, text) in known]

    def _put(self, path: str, text: str, edit: TextEdit) -> str:
        self.now += 1.0
        before = TextSnapshot(path, language_of(path), 0, text)
        self.memory.edited(self.workspace, path, before, (edit,), self.now)
        return before.apply((edit,), 1).text


def answered(service: CompletionService, request: CompletionRequest) -> Suggestion | None:
    """Return what is suggested first, however long it takes."""
    token = CancellationToken()
    token.deadline = time.monotonic() + PATIENCE_SECONDS
    return next(iter(service.answer(request, token).suggestions), None)


def _change(path: str, text: str, start: int, end: int, new: str, put: Put) -> str:
    return put(path, text, TextEdit(start, end, new)) if new or end > start else text
