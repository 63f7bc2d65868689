"""What the ledger holds: small versioned events, all about one suggestion each.

An episode is the fold of its events (`falcon_lsp.memory.episodes`); nothing else is stored.
"""

from __future__ import annotations

import enum
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from falcon_lsp.core.types import Diagnostic, Outcome, Suggestion, new_id

SCHEMA_VERSION = 1


class Kind(enum.StrEnum):
    """What an event says."""

    SUGGESTED = "suggested"
    OUTCOME = "outcome"
    DIAGNOSTICS = "diagnostics"
    SETTLED = "settled"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. ``event_id`` makes recording idempotent; ``payload`` is plain JSON.

    ``workspace`` is a folder URI, ``path`` relative to it.
    """

    kind: Kind
    completion_id: str
    workspace: str
    path: str
    language: str
    payload: Mapping[str, Any]
    event_id: str = field(default_factory=lambda: new_id("evt"))
    time: float = field(default_factory=clock.time)
    version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Place:
    """Where a suggestion was made: the part of an event that its episode's events share."""

    completion_id: str
    workspace: str
    path: str
    language: str


def suggested(place: Place, suggestion: Suggestion) -> Event:
    """A suggestion was offered; carries all that the trainer needs to score it again."""
    payload = asdict(suggestion)
    del payload["completion_id"]
    return _event(Kind.SUGGESTED, place, payload, f"{place.completion_id}:suggested")


def held(place: Place, suggestion: Suggestion) -> Event:
    """A suggestion could have been shown to learn about it, and was not: numbers only, no text."""
    payload = {
        "propensity": suggestion.propensity,
        "features": suggestion.features,
        "features_version": suggestion.features_version,
    }
    return _event(Kind.HELD, place, payload, f"{place.completion_id}:held")


def outcome(
    place: Place,
    what: Outcome,
    *,
    chars_kept: int,
    elapsed_ms: float,
    inferred: bool,
    event_id: str = "",
    never: bool = False,
) -> Event:
    """Something became of it. ``chars_kept`` counts the suggestion's characters that stand.

    ``never``: the developer wants it never to be offered again.
    """
    payload = {
        "outcome": what.value,
        "chars_kept": chars_kept,
        "elapsed_ms": elapsed_ms,
        "inferred": inferred,
        **({"never": True} if never else {}),
    }
    return _event(Kind.OUTCOME, place, payload, event_id)


def diagnostics(place: Place, added: Sequence[Diagnostic], removed: Sequence[Diagnostic]) -> Event:
    """The difference in findings that the developer's taking it made."""
    payload = {"added": [asdict(d) for d in added], "removed": [asdict(d) for d in removed]}
    return _event(Kind.DIAGNOSTICS, place, payload, "")


def settled(place: Place, after_s: int, text: str) -> Event:
    """The text that stands in the suggestion's place ``after_s`` seconds later."""
    payload = {"after_s": after_s, "text": text}
    return _event(Kind.SETTLED, place, payload, f"{place.completion_id}:settled:{after_s}")


def _event(kind: Kind, place: Place, payload: Mapping[str, Any], event_id: str) -> Event:
    return Event(
        kind,
        place.completion_id,
        place.workspace,
        place.path,
        place.language,
        payload,
        event_id or new_id("evt"),
    )
