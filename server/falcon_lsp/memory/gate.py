"""What of an episode long-term memory keeps, and why not the rest: it helps only when it is clean.

| kept as | when |
| --- | --- |
| success | taken, at least half of its characters stood, and what settled there is not blank |
| failure | rejected, or taken and undone |
| nothing | no final outcome; silence; under 4 or over 2,000 characters; a secret was taken out |

What passes is bounded a second time: of nearly equal records the latest stays (`Record.key`), and
the least worthy are evicted (`records.worth`).
"""

from __future__ import annotations

from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.records import CONTEXT_CHARS, TIME_DIGITS, Record
from falcon_lsp.memory.redact import MARKER

LEAST_CHARS = 4
"""Texts with fewer characters that are not white space teach nothing."""
MOST_CHARS = 2000
KEPT_SHARE = 0.5
_MAX_DIAGNOSTICS = 8


def refusal(episode: Episode) -> str:
    """Return why nothing is kept of ``episode``, or an empty string."""
    text, what = episode.suggestion.text, episode.outcome
    context = episode.suggestion.prompt.prefix[-CONTEXT_CHARS:]
    settled = episode.settled_text
    if what is None or not what.final or what is Outcome.IGNORED:
        return "no opinion"
    if _dense(text) < LEAST_CHARS or max(len(text), len(settled or "")) > MOST_CHARS:
        return "too short or too long"
    if any(MARKER in part for part in (context, text, settled or "", episode.path)):
        return "held a secret"
    if what.positive and episode.chars_kept < KEPT_SHARE * len(text):
        return "too little was kept"
    if what.positive and settled is not None and _dense(settled) < LEAST_CHARS:
        return "nothing of it is left"
    return ""


def record_of(episode: Episode) -> Record:
    """Return ``episode`` as a record, whether it is to be kept (`refusal`) or not."""
    what = episode.outcome
    return Record(
        completion_id=episode.completion_id,
        outcome="success" if what is not None and what.positive else "failure",
        workspace=episode.workspace,
        language=episode.language,
        path=episode.path,
        time=round(episode.time, TIME_DIGITS),
        context=episode.suggestion.prompt.prefix[-CONTEXT_CHARS:],
        suggested=episode.suggestion.text,
        settled=episode.settled_text,
        label="" if what is None else what.value,
        chars_kept=episode.chars_kept,
        adapter_id=episode.suggestion.adapter_id,
        diagnostics=_findings(episode),
    )


def _dense(text: str) -> int:
    return len("".join(text.split()))


def _findings(episode: Episode) -> str:
    """Return the class and line of each finding added, such as ``F821:12``, one per line."""
    added = episode.diagnostics_added[:_MAX_DIAGNOSTICS]
    return "\n".join(f"{found.code or found.source}:{found.line}" for found in added)
