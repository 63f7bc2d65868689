"""The open documents, as the editor last described them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from falcon_lsp.core.text import Position, PositionEncoding, TextSnapshot
from falcon_lsp.core.types import TextEdit

MAX_CHARACTERS = 5_000_000
"""Longer documents are remembered by name only: no completions, no cost per keystroke."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Range(NamedTuple):
    """A span of a document; the end is exclusive. A reversed one is read the right way round."""

    start: Position
    end: Position


class ContentChange(NamedTuple):
    """What an editor says it did: ``text`` replaces ``range``, or everything when it is None."""

    text: str
    range: Range | None = None


class DocumentChange(NamedTuple):
    """``edits`` lead from ``before`` to ``after``, each in the text that the one before it left."""

    before: TextSnapshot
    after: TextSnapshot
    edits: tuple[TextEdit, ...]


class OpenDocument(NamedTuple):
    """A document with the time of its last change (or opening), in seconds since the epoch."""

    uri: str
    language: str
    text: str
    changed_at: float


class DocumentStore:
    """Immutable snapshots by URI. One thread writes, any thread reads.

    ``count`` is called with the name of a counter when the editor says something that cannot be
    followed, such as a change in a document that it never opened.
    """

    def __init__(self, count: Callable[[str], None] = lambda _name: None) -> None:
        self.encoding = PositionEncoding.UTF16
        self._count = count
        self._lock = threading.Lock()
        self._snapshots: dict[str, TextSnapshot | None] = {}
        self._changed_at: dict[str, float] = {}
        self._last: tuple[str, DocumentChange] | None = None

    def get(self, uri: str) -> TextSnapshot | None:
        """Return the document as it is now; None when it is not open or too large."""
        return self._snapshots.get(uri)

    def too_large(self, uri: str) -> bool:
        """Whether the document is open but longer than `MAX_CHARACTERS`."""
        return uri in self._snapshots and self._snapshots[uri] is None

    def uris(self) -> list[str]:
        """Return the names of all open documents, in the order of opening."""
        with self._lock:
            return list(self._snapshots)

    def recent(self) -> list[OpenDocument]:
        """Return every open document that is not too large, the last changed one first."""
        with self._lock:
            found = [
                OpenDocument(uri, snapshot.language, snapshot.text, self._changed_at[uri])
                for uri, snapshot in self._snapshots.items()
                if snapshot is not None
            ]
        return sorted(found, key=lambda document: document.changed_at, reverse=True)

    def last_change(self, uri: str) -> DocumentChange | None:
        """Return what the last call of `change` did, if it was about ``uri`` and had effect."""
        return self._last[1] if self._last and self._last[0] == uri else None

    def open(self, uri: str, language: str, version: int, text: str) -> TextSnapshot | None:
        """Take over a document, also when it was open already; None when it is too large."""
        fits = len(text) <= MAX_CHARACTERS
        snapshot = TextSnapshot(uri, language, version, _well_formed(text)) if fits else None
        return self._put(uri, snapshot)

    def change(
        self, uri: str, version: int, changes: Iterable[ContentChange]
    ) -> DocumentChange | None:
        """Apply the editor's changes in order; None when there is nothing to apply them to.

        Places outside the text are clamped. A document that is, or becomes, too large stays so
        until it is opened again.
        """
        self._last = None
        before = after = self.get(uri)
        if before is None or after is None:
            self._count("document_too_large" if uri in self._snapshots else "document_unknown")
            return None
        edits: list[TextEdit] = []
        for change in changes:
            edits.append(self._edit(after, change))
            after = after.apply((edits[-1],), version)
            if len(after.text) > MAX_CHARACTERS:
                self._count("document_too_large")
                self._put(uri, None)
                return None
        self._put(uri, after)
        done = DocumentChange(before, after, tuple(edits))
        self._last = (uri, done)
        return done

    def save(self, uri: str) -> TextSnapshot | None:
        """Return the document that was saved, None when it is not open; nothing changes."""
        if uri not in self._snapshots:
            self._count("document_unknown")
        return self.get(uri)

    def close(self, uri: str) -> TextSnapshot | None:
        """Forget a document and return its last text; None when it was not open or too large."""
        with self._lock:
            known = uri in self._snapshots
            snapshot = self._snapshots.pop(uri, None)
            self._changed_at.pop(uri, None)
        if not known:
            self._count("document_unknown")
        return snapshot

    def _edit(self, snapshot: TextSnapshot, change: ContentChange) -> TextEdit:
        text = _well_formed(change.text)
        if change.range is None:
            return TextEdit(0, len(snapshot.text), text)
        start, end = sorted(snapshot.offset(place, self.encoding) for place in change.range)
        return TextEdit(start, end, text)

    def _put(self, uri: str, snapshot: TextSnapshot | None) -> TextSnapshot | None:
        with self._lock:
            self._snapshots[uri] = snapshot
            self._changed_at[uri] = time.time()
        return snapshot


def _well_formed(text: str) -> str:
    """Replace lone surrogates, which no encoder downstream accepts; widths stay the same."""
    return _LONE_SURROGATE.sub("\ufffd", text)
