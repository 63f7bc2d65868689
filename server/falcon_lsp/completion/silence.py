"""Why nothing came, and what to do about it: one sentence for each reason.

A reason is a few words that `CompletionService` or the session gives, some with a particular behind
a colon (``filtered: syntax``). What is not in the table is what an engine said of its failure.
"""

from __future__ import annotations

from typing import Final

ADVICE: Final = {
    "loading": "The model is still being loaded: go on typing, it will answer when it is ready.",
    "switched off": "Suggestions are switched off here: set falcon.enable to true.",
    "paused": "falcon-lsp is paused: resume it from the status bar.",
    "language off": "This language is off here: add it to falcon.languages.",
    "ignored": "Nothing is suggested in this file: take it out of falcon.ignore, unless its name "
    "is one of a file that holds secrets.",
    "snoozed": "Suggestions are snoozed: ask for one explicitly, or end the snooze.",
    "quiet": "It was too unlikely to be taken: ask for it explicitly, lower "
    "falcon.completion.threshold, or set falcon.completion.aggressiveness to eager.",
    "rejected before": "You declined nearly the same here: `falcon-lsp memory rejected` lists it, "
    "and `--undo` lets it be offered again.",
    "timed out": "The model was too slow: raise falcon.completion.deadlineMs, or leave it more of "
    "the processor.",
    "cancelled": "The editor withdrew the request, mostly because you typed on: wait a moment.",
    "superseded": "You typed something else than what was being said: wait a moment.",
    "stopped": "The server was ending: wait until it has started again.",
    "no model": "There is no model: run `falcon-lsp doctor`, which says what is missing.",
    "nothing to add": "The model ended at once: type a little more, or ask explicitly.",
    "the list shows something else": "The editor's list of completions shows something else: take "
    "its entry, or close it with Escape.",
    "filtered": "What the model said did not fit in here: type a little more.",
    "the adapter changed": "What was learned was being put to use: go on typing.",
    "the document is not open or too large": "The editor has not opened this document, or it is "
    "longer than 5 million characters: open it again, or split it.",
    "the model failed; the log says why": "The model failed: open the log, and restart the server.",
}
"""By the words before a reason's colon."""

ENGINE: Final = "engine"
"""Stands for all that engines say of their failures."""

_ENGINE_ADVICE: Final = "The engine could not answer: run `falcon-lsp doctor`, which says why."


def kind(reason: str) -> str:
    """Return what a reason is counted as: itself, or `ENGINE`."""
    return reason if reason.partition(":")[0] in ADVICE else ENGINE


def advice(reason: str) -> str:
    """Return one sentence that says what to do."""
    return ADVICE.get(reason.partition(":")[0], _ENGINE_ADVICE)
