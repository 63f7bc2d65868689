"""An episode: a suggestion and all that became of it, folded from its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from falcon_lsp.core.types import Diagnostic, Outcome, Prompt, Snippet, Suggestion
from falcon_lsp.memory.events import Event, Kind


@dataclass(frozen=True, slots=True)
class Episode:
    """``outcome`` is the last word that counts; ``settled`` maps seconds to the text that stood.

    ``decided`` is when that was said (seconds). ``never``: the developer has said that it shall
    never be offered again.
    """

    completion_id: str
    workspace: str
    path: str
    language: str
    time: float
    suggestion: Suggestion
    outcome: Outcome | None = None
    chars_kept: int = 0
    elapsed_ms: float = 0.0
    inferred: bool = False
    never: bool = False
    diagnostics_added: tuple[Diagnostic, ...] = ()
    diagnostics_removed: tuple[Diagnostic, ...] = ()
    settled: Mapping[int, str] = field(default_factory=dict)
    event_ids: tuple[str, ...] = ()
    decided: float = field(default=0.0, compare=False)

    @property
    def settled_text(self) -> str | None:
        """What stood there at the latest look, or None when nobody has looked yet."""
        return self.settled[max(self.settled)] if self.settled else None


def fold(events: Iterable[Event], start: Episode | None = None) -> Episode | None:
    """Return the episode that ``events`` (of one suggestion, in order) tell, or None.

    None means that the suggestion itself is not among them, for example because it was forgotten.
    ``start`` is what earlier events told.
    """
    episode = start
    for event in events:
        if event.kind is Kind.SUGGESTED:
            episode = episode or _begin(event)
        elif episode is not None:
            episode = replace(
                _apply(episode, event), event_ids=(*episode.event_ids, event.event_id)
            )
    return episode


def fold_all(events: Iterable[Event]) -> list[Episode]:
    """Return every episode that ``events`` (of many suggestions, in order) tell, oldest first."""
    told: dict[str, list[Event]] = {}
    for event in events:
        told.setdefault(event.completion_id, []).append(event)
    return [episode for each in told.values() if (episode := fold(each)) is not None]


def _begin(event: Event) -> Episode:
    payload = dict(event.payload)
    prompt = dict(payload.pop("prompt"))
    snippets = tuple(Snippet(**snippet) for snippet in prompt.pop("snippets", ()))
    payload["token_ids"] = tuple(payload.get("token_ids", ()))
    payload["logprobs"] = tuple(payload.get("logprobs", ()))
    payload["features"] = tuple(payload.get("features", ()))
    suggestion = Suggestion(
        completion_id=event.completion_id, prompt=Prompt(**prompt, snippets=snippets), **payload
    )
    return Episode(
        event.completion_id,
        event.workspace,
        event.path,
        event.language,
        event.time,
        suggestion,
        event_ids=(event.event_id,),
    )


def _apply(episode: Episode, event: Event) -> Episode:
    payload: Mapping[str, Any] = event.payload
    if event.kind is Kind.OUTCOME:
        return _apply_outcome(episode, event)
    if event.kind is Kind.DIAGNOSTICS:
        return replace(
            episode,
            diagnostics_added=tuple(Diagnostic(**d) for d in payload["added"]),
            diagnostics_removed=tuple(Diagnostic(**d) for d in payload["removed"]),
        )
    return replace(episode, settled={**episode.settled, int(payload["after_s"]): payload["text"]})


def _apply_outcome(episode: Episode, event: Event) -> Episode:
    """A later outcome replaces an earlier one, but a guess never replaces what was reported."""
    payload: Mapping[str, Any] = event.payload
    what = Outcome(payload["outcome"])
    reported = episode.outcome is not None and episode.outcome.final and not episode.inferred
    if reported and payload["inferred"] and what is not Outcome.UNDONE:
        return episode
    if what is Outcome.SHOWN and episode.outcome is not None:
        return episode
    return replace(
        episode,
        outcome=what,
        chars_kept=int(payload["chars_kept"]),
        elapsed_ms=float(payload["elapsed_ms"]),
        inferred=bool(payload["inferred"]),
        never=payload.get("never") is True,
        decided=event.time,
    )
