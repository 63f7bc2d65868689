"""Suggestions already offered, found again when the user types, or accepts, their beginning.

A suggestion covers every cursor position inside its own text: as long as what was typed is the
beginning of it, the rest is answered without asking the model. The rest keeps the
``completion_id`` of the suggestion it belongs to: it is the same offer, further along, and feedback
about it is feedback about the text that was sampled.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from falcon_lsp.completion.candidates import Candidate, Rejection
from falcon_lsp.completion.postprocess import placing
from falcon_lsp.core.types import CompletionRequest, Suggestion

Refused = Callable[[str, str, str], bool]
"""Called with workspace, text before the cursor and text offered: was this refused before?"""

_CLOSERS: Final = ")]}\"'`"
_MAX_AUTO_CLOSED: Final = 3


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a suggestion was offered; texts as hashes, so that no entry keeps a document alive."""

    workspace: str
    uri: str
    offset: int
    before: int
    after: int


class SuggestionCache:
    """The latest ``capacity`` offers; may be used from any thread."""

    def __init__(self, capacity: int = 128) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[_Place, tuple[Suggestion, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, request: CompletionRequest, suggestions: tuple[Suggestion, ...]) -> None:
        """Remember what was offered for ``request``; the oldest offer makes room."""
        place = _Place(
            request.workspace,
            request.uri,
            request.offset,
            hash(request.prefix),
            hash(request.suffix),
        )
        with self._lock:
            self._entries[place] = suggestions
            self._entries.move_to_end(place)
            while len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def find(self, request: CompletionRequest, refused: Refused) -> tuple[Suggestion, ...]:
        """Return what of an earlier offer is still ahead of the cursor; empty when nothing is.

        ``refused`` is asked about each offer as it was made, with the text before it.
        """
        with self._lock:
            entries = list(self._entries.items())
        for place, suggestions in reversed(entries):
            typed = request.text[place.offset : request.offset]
            begun = [each for each in suggestions if _continues(each.text, typed)]
            if not begun or not _same_place(place, request):
                continue
            before = request.text[: place.offset]
            begun = [s for s in begun if not refused(request.workspace, before, s.text)]
            rests = [_rest(suggestion, typed, request) for suggestion in begun]
            if found := tuple(rest for rest in rests if rest is not None):
                self._touch(place)
                return found
        return ()

    def clear(self) -> None:
        """Forget everything, for example because settings or the adapter changed."""
        with self._lock:
            self._entries.clear()

    def _touch(self, place: _Place) -> None:
        with self._lock:
            if place in self._entries:
                self._entries.move_to_end(place)


def _continues(text: str, typed: str) -> bool:
    return text.startswith(typed) and text != typed


def _same_place(place: _Place, request: CompletionRequest) -> bool:
    """Whether the text around is the same, but for closers that the editor put in by itself."""
    if (place.uri, place.workspace) != (request.uri, request.workspace):
        return False
    if place.offset > request.offset or hash(request.text[: place.offset]) != place.before:
        return False
    for closed in range(_MAX_AUTO_CLOSED + 1):
        if hash(request.text[request.offset + closed :]) == place.after:
            return True
        if request.text[request.offset + closed : request.offset + closed + 1] not in _CLOSERS:
            return False
    return False


def _rest(suggestion: Suggestion, typed: str, request: CompletionRequest) -> Suggestion | None:
    if not typed:
        return suggestion
    candidate = Candidate(suggestion.text[len(typed) :], suggestion.source)
    trimmed = placing.trim_closers(candidate, request)
    if isinstance(trimmed, Rejection) or not trimmed.text.strip():
        return None
    line = suggestion.line + typed.count("\n")
    return replace(suggestion, text=trimmed.text, offset=request.offset, line=line)
