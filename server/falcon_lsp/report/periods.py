"""Suggestions by day or week: how many were shown and taken, and what was kept of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.rewards import kept_characters
from falcon_lsp.memory.episodes import Episode

DAY = 86_400.0
MOST_DAYS = 21
"""A history up to so many days is told by day, a longer one by week."""


@dataclass(frozen=True, slots=True)
class Period:
    """Suggestions made from ``start`` to ``end`` (seconds) of which is known what became.

    ``taken`` counts those that were accepted whole, in part, or typed out; ``declined`` those that
    were rejected or undone; the others were passed over. Characters are those of shown suggestions,
    and those of taken ones that stood when last looked at.
    """

    start: float
    end: float
    shown: int = 0
    taken: int = 0
    declined: int = 0
    offered_chars: int = 0
    kept_chars: int = 0

    @property
    def acceptance(self) -> float | None:
        """The share that was taken, 0 to 1; None where nothing was shown."""
        return self.taken / self.shown if self.shown else None


def span(episodes: Iterable[Episode], start: float, end: float) -> Period:
    """Return the figures of the suggestions made from ``start`` to ``end``, exclusive."""
    judged = [
        each
        for each in episodes
        if start <= each.time < end and each.outcome is not None and each.outcome.final
    ]
    taken = [each for each in judged if each.outcome is not None and each.outcome.positive]
    return Period(
        start,
        end,
        shown=len(judged),
        taken=len(taken),
        declined=sum(each.outcome in (Outcome.REJECTED, Outcome.UNDONE) for each in judged),
        offered_chars=sum(len(each.suggestion.text) for each in judged),
        kept_chars=round(sum(map(kept_characters, taken))),
    )


def periods(episodes: Sequence[Episode], now: float) -> list[Period]:
    """Return the days, or weeks from Monday, from the first episode to ``now``, oldest first."""
    if not episodes:
        return []
    first, last = _date(min(each.time for each in episodes)), _date(now)
    step = 1 if (last - first).days < MOST_DAYS else 7
    if step == 7:
        first -= dt.timedelta(days=first.weekday())
    by_start: dict[dt.date, list[Episode]] = {}
    for each in episodes:
        by_start.setdefault(_start(_date(each.time), first, step), []).append(each)
    starts = [first + dt.timedelta(days=n) for n in range(0, (last - first).days + 1, step)]
    return [
        span(by_start.get(day, ()), _midnight(day), _midnight(day + dt.timedelta(days=step)))
        for day in starts
    ]


def _start(day: dt.date, first: dt.date, step: int) -> dt.date:
    return first + dt.timedelta(days=(day - first).days // step * step)


def _date(when: float) -> dt.date:
    return dt.datetime.fromtimestamp(when).astimezone().date()


def _midnight(day: dt.date) -> float:
    return dt.datetime.combine(day, dt.time()).astimezone().timestamp()
