"""Keeps `Rejections` as the ledger has them, which is the truth about them.

What happens in this process counts at once. What was recorded before the start, and what other
processes record, forgive or forget, counts when `catch_up` is called next.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from falcon_lsp.core.types import Outcome
from falcon_lsp.memory import events
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.events import Event, Place
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.memory.rejections import MAX_AGE, Rejections

BATCH = 200
"""Episodes read at a time: each carries its prompt."""


class RejectionLog:
    """Follows one ledger with a cursor of its own; one thread at a time."""

    def __init__(self, rejections: Rejections) -> None:
        self.rejections = rejections
        self._seq = 0
        self._forgotten = 0

    def catch_up(self, ledger: Ledger) -> None:
        """Take over what is new; begin anew when anything was forgotten."""
        forgotten = ledger.cursor("forgotten")
        if forgotten != self._forgotten:
            self._forgotten, self._seq = forgotten, 0
            self.rejections.clear()
        since = time.time() - MAX_AGE
        while True:
            seq, episodes = ledger.judged(self._seq, since, BATCH)
            if seq == self._seq:
                return
            for episode in episodes:
                self.rejections.take(episode)
            self._seq = seq


def forgiving(episodes: Iterable[Episode]) -> list[Event]:
    """Return what says that these were no rejections: silence, as the developer reports it."""
    return [_said(episode, Outcome.IGNORED) for episode in episodes]


def refusing(episodes: Iterable[Episode]) -> list[Event]:
    """Return what says that these shall never be offered again."""
    return [_said(episode, Outcome.REJECTED, never=True) for episode in episodes]


def _said(episode: Episode, what: Outcome, *, never: bool = False) -> Event:
    return events.outcome(
        Place(episode.completion_id, episode.workspace, episode.path, episode.language),
        what,
        chars_kept=0,
        elapsed_ms=episode.elapsed_ms,
        inferred=False,
        never=never,
    )
