"""What long-term memory keeps of an episode, and how Chroma holds it: a text and flat metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from falcon_lsp.core.types import Snippet

CONTEXT_CHARS = 600
"""How much of the text before the cursor is compared; a query should be as long."""


_SNIPPET_CONTEXT_LINES = 4


@dataclass(frozen=True, slots=True)
class Record:
    """One finished episode as memory keeps it; ``outcome`` is ``success`` or ``failure``.

    ``settled`` is what stood in the end (None: nobody looked), ``label`` the developer's verdict,
    ``diagnostics`` the findings that taking it added, one per line.
    """

    completion_id: str
    outcome: str
    workspace: str
    language: str
    path: str
    time: float
    context: str
    suggested: str
    settled: str | None
    label: str
    chars_kept: int
    adapter_id: str
    diagnostics: str = ""

    @property
    def snippet(self) -> Snippet:
        """The last lines of the context with what came of it, as an example for a prompt."""
        lines = self.context.splitlines(keepends=True)[-_SNIPPET_CONTEXT_LINES:]
        text = self.suggested if self.settled is None else self.settled
        return Snippet(self.path, "".join(lines) + text)


@dataclass(frozen=True, slots=True)
class Recalled:
    """A record and its likeness to the question: cosine, 1.0 is equal."""

    record: Record
    score: float


def document(record: Record) -> str:
    """Return the record's texts as one; `metadata` says where to cut it again."""
    return record.context + record.suggested + (record.settled or "")


def metadata(record: Record) -> dict[str, str | int | float | bool]:
    """Everything that the document and the collection do not say; lengths cut the document."""
    return {
        "workspace": record.workspace,
        "language": record.language,
        "path": record.path,
        "path_hash": hashlib.sha256(record.path.encode("utf-8", "replace")).hexdigest()[:16],
        "context_hash": hashlib.sha256(record.context.encode("utf-8", "replace")).hexdigest()[:16],
        "time": record.time,
        "context_chars": len(record.context),
        "suggested_chars": len(record.suggested),
        "settled": record.settled is not None,
        "label": record.label,
        "chars_kept": record.chars_kept,
        "adapter_id": record.adapter_id,
        "diagnostics": record.diagnostics,
    }


def recalled(
    outcome: str, key: str, text: str, fields: Mapping[str, Any], distance: float
) -> Recalled:
    """Return the record that `document` and `metadata` were made from, with its likeness."""
    first = int(fields["context_chars"])
    second = first + int(fields["suggested_chars"])
    record = Record(
        completion_id=key,
        outcome=outcome,
        context=text[:first],
        suggested=text[first:second],
        settled=text[second:] if fields["settled"] else None,
        **{name: fields[name] for name in _PLAIN},
    )
    return Recalled(record, 1.0 - float(distance))


_PLAIN = (
    "workspace", "language", "path", "time", "label", "chars_kept", "adapter_id", "diagnostics",
)  # fmt: skip
