"""Keeps suggestions out of the ledger until there is something to say about them.

While somebody types, nearly every keystroke brings a suggestion that the next one replaces. Such an
episode says nothing about the developer and would be most of the ledger.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.events import Event, Kind

MOST_DRAFTS = 256
"""Suggestions held back; few of them are open at once, and the oldest is dropped."""


class Drafts:
    """Holds back the beginning of each episode until its first telling event."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, list[Event]] = OrderedDict()

    def pass_on(self, events: Iterable[Event]) -> list[Event]:
        """Return what is worth recording now, each episode's beginning before the rest of it.

        An episode that is superseded before anything else happened goes on waiting: the editor may
        offer it again, and mostly does not.
        """
        passed: list[Event] = []
        for event in events:
            what = event.payload.get("outcome") if event.kind is Kind.OUTCOME else None
            if event.kind is Kind.SUGGESTED and event.payload.get("propensity", 1.0) < 1:
                passed.append(event)  # shown to learn something, so it counts whatever comes
            elif event.kind is Kind.SUGGESTED or (what == Outcome.SHOWN and self._holds(event)):
                self._hold(event)
            elif what != Outcome.SUPERSEDED or event.completion_id not in self._held:
                passed += [*self._held.pop(event.completion_id, ()), event]
        return passed

    def clear(self) -> None:
        """Drop everything that is held back."""
        self._held.clear()

    def _holds(self, event: Event) -> bool:
        return event.completion_id in self._held

    def _hold(self, event: Event) -> None:
        self._held.setdefault(event.completion_id, []).append(event)
        while len(self._held) > MOST_DRAFTS:
            self._held.popitem(last=False)
