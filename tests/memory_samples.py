"""Events and episodes as the memory tests need them: short to write, complete in content."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from falcon_lsp.core.types import Diagnostic, Outcome, Prompt, Snippet, Suggestion, TextEdit
from falcon_lsp.memory import events as ev
from falcon_lsp.memory.edits import Edits

WORKSPACE = "file:///workspace"


def place(
    completion_id: str, workspace: str = WORKSPACE, path: str = "src/a.py", language: str = "python"
) -> ev.Place:
    return ev.Place(completion_id, workspace, path, language)


def change(edits: Edits, path: str, text: str, edit: TextEdit, now: float) -> str:
    """Let ``edits`` know of a change of ``text``; return the text after it."""
    edits.add(path, text, edit, now)
    return text[: edit.start] + edit.new_text + text[edit.end :]


def suggested_event(
    completion_id: str,
    *,
    text: str = "return total",
    prefix: str = "def total(items):\n    ",
    suffix: str = "\n",
    snippets: tuple[Snippet, ...] = (),
    time: float | None = None,
    **where: str,
) -> ev.Event:
    here = place(completion_id, **where)
    suggestion = Suggestion(
        completion_id=completion_id,
        text=text,
        offset=len(prefix),
        prompt=Prompt(here.path, prefix, suffix, snippets),
        source="model",
        model_id="test-model",
        adapter_id="base",
        token_ids=(5, 6, 7),
        logprobs=(-0.5, -0.25, -0.125),
    )
    event = ev.suggested(here, suggestion)
    return event if time is None else replace(event, time=time)


def episode_events(
    completion_id: str,
    *,
    what: Outcome = Outcome.ACCEPTED,
    kept: int | None = None,
    text: str = "return total",
    settled: str | None = None,
    time: float | None = None,
    prefix: str = "def total(items):\n    ",
    suffix: str = "\n",
    **where: Any,
) -> list[ev.Event]:
    """A suggestion, its outcome, a diagnostic and the text that stood after ten seconds."""
    here = place(completion_id, **where)
    kept = len(text) if kept is None else kept
    finding = Diagnostic(2, 1, f"'{text[:20]}' is not defined", "F821", "ruff")
    events = [
        suggested_event(completion_id, text=text, prefix=prefix, suffix=suffix, **where),
        ev.outcome(
            here, what, chars_kept=kept, elapsed_ms=120.0, inferred=False,
            event_id=f"{completion_id}:outcome",
        ),
        ev.diagnostics(here, [finding], []),
        ev.settled(here, 10, text if settled is None else settled),
    ]  # fmt: skip
    return events if time is None else [replace(event, time=time) for event in events]
