"""Hands that type a piece of work into a text and rest where a replay's do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from falcon_lsp.core.types import TextEdit
from falcon_lsp.replay.strokes import Hunk, Work

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


def _change(path: str, text: str, start: int, end: int, new: str, put: Put) -> str:
    return put(path, text, TextEdit(start, end, new)) if new or end > start else text
