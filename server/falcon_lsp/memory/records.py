"""What long-term memory keeps of an episode, and how Chroma holds it: a text and flat metadata."""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from falcon_lsp.core.types import Snippet

CONTEXT_CHARS = 600
"""How much of the text before the cursor is compared; a query should be as long."""

TIME_DIGITS = 3
"""Milliseconds: Chroma gives floats back with another last bit."""

HALF_LIFE_S = 90 * 86_400.0
"""A record is worth half as much when it is that much older than another."""

_SNIPPET_CONTEXT_LINES = 4
_KEY_LINES = 3
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Damaged(Exception):
    """What Chroma gave back is not what was put in."""


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

    @property
    def key(self) -> str:
        """Equal for nearly the same suggestion in nearly the same context: blanks do not count.

        The context's last three lines that are not blank count. Of records with one key the latest
        verdict stands (`rank`), so memory holds no near-duplicates and no contradictions.
        """
        lines = [line for line in self.context.splitlines() if line.strip()][-_KEY_LINES:]
        tokens = [_TOKEN.findall("\n".join(lines)), _TOKEN.findall(self.suggested)]
        return hashlib.sha256(repr(tokens).encode("utf-8", "replace")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Recalled:
    """A record and its likeness to the question: cosine, 1.0 is equal."""

    record: Record
    score: float


def rank(time: float, completion_id: str) -> tuple[float, str]:
    """Return what decides between two episodes with one key: the larger one is kept."""
    return round(time, TIME_DIGITS), completion_id


def worth(chars_kept: int, time: float) -> float:
    """Return how much a record deserves its place, in halvings: the least is evicted first.

    Each doubling of the characters that were kept counts as much as `HALF_LIFE_S` of age. As age
    halves everything alike, the order of two records never changes, whenever it is looked at.
    """
    return math.log2(1 + chars_kept) + time / HALF_LIFE_S


def document(record: Record) -> str:
    """Return the record's texts as one; `metadata` says where to cut it again."""
    return record.context + record.suggested + (record.settled or "")


def metadata(record: Record) -> dict[str, str | int | float | bool]:
    """Everything that the document and the collection do not say; lengths cut the document."""
    return {
        **{name: getattr(record, name) for name in _PLAIN},
        "path_hash": hashlib.sha256(record.path.encode("utf-8", "replace")).hexdigest()[:16],
        "context_hash": hashlib.sha256(record.context.encode("utf-8", "replace")).hexdigest()[:16],
        "context_chars": len(record.context),
        "suggested_chars": len(record.suggested),
        "settled": record.settled is not None,
        "checksum": _checksum(record),
    }


def recalled(outcome: str, text: str, fields: Mapping[str, Any], distance: float) -> Recalled:
    """Return the record that `document` and `metadata` were made from, with its likeness.

    Raises `Damaged` when they are not what was made from it.
    """
    try:
        first = int(fields["context_chars"])
        second = first + int(fields["suggested_chars"])
        record = Record(
            outcome=outcome,
            context=text[:first],
            suggested=text[first:second],
            settled=text[second:] if fields["settled"] else None,
            **{name: fields[name] for name in _PLAIN},
        )
        record = replace(record, time=round(record.time, TIME_DIGITS))
    except (KeyError, TypeError, ValueError):
        raise Damaged from None
    if fields.get("checksum") != _checksum(record):
        raise Damaged
    return Recalled(record, 1.0 - float(distance))


def _checksum(record: Record) -> int:
    values = sorted((asdict(record) | {"time": round(record.time, TIME_DIGITS)}).items())
    return zlib.crc32(repr(values).encode("utf-8", "replace"))


_PLAIN = (
    "completion_id", "workspace", "language", "path", "time", "label", "chars_kept", "adapter_id",
    "diagnostics",
)  # fmt: skip
