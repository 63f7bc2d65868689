"""Episodes as the server would have recorded them, for tests of memory and learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from falcon_lsp.core.types import Diagnostic, Outcome, Prompt, Suggestion
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.events import Event, Place, outcome, settled, suggested

PROMPT = Prompt("pkg/mod.py", "def add(a, b):\n    return ", "\n")


def suggestion(completion_id: str = "cmp-1", text: str = "a + b", **changes: Any) -> Suggestion:
    """Return a suggestion; token ids are empty unless given."""
    fields: dict[str, Any] = {
        "offset": 26,
        "prompt": PROMPT,
        "source": "model",
        "model_id": "tiny",
        "adapter_id": "base",
    }
    return Suggestion(completion_id, text, **{**fields, **changes})


def episode(
    completion_id: str = "cmp-1",
    text: str = "a + b",
    *,
    what: Outcome | None = Outcome.ACCEPTED,
    kept: int | None = None,
    inferred: bool = False,
    added: Sequence[Diagnostic] = (),
    stands: str | None = None,
    time: float = 1000.0,
    language: str = "python",
    **changes: Any,
) -> Episode:
    """Return a finished episode; ``kept`` defaults to all of a text that was taken."""
    everything = len(text) if what is not None and what.positive else 0
    settled_texts: Mapping[int, str] = {} if stands is None else {10: stands}
    return Episode(
        completion_id,
        "file:///ws",
        "pkg/mod.py",
        language,
        time,
        suggestion(completion_id, text, **changes),
        outcome=what,
        chars_kept=everything if kept is None else kept,
        inferred=inferred,
        diagnostics_added=tuple(added),
        settled=settled_texts,
    )


def events_of(episode: Episode) -> list[Event]:
    """Return the events of which ``episode`` is the fold (diagnostics left out)."""
    place = Place(episode.completion_id, episode.workspace, episode.path, episode.language)
    events = [suggested(place, episode.suggestion)]
    if episode.outcome is not None:
        events.append(
            outcome(
                place,
                episode.outcome,
                chars_kept=episode.chars_kept,
                elapsed_ms=5.0,
                inferred=episode.inferred,
                event_id=f"{episode.completion_id}:outcome",
            )
        )
    events += [settled(place, after, text) for after, text in episode.settled.items()]
    return events
