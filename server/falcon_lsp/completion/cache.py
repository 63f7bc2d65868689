"""Suggestions already offered, found again when the user types, or accepts, their beginning.

A suggestion covers every cursor position inside its own text: as long as what was typed is the
beginning of it, the rest is answered without asking the model. The rest keeps the
``completion_id`` of the suggestion it belongs to: it is the same offer, further along, and feedback
about it is feedback about the text that was sampled.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
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
class Place:
    """Where something was asked; texts as hashes, so that no place keeps a document alive."""

    workspace: str
    uri: str
    offset: int
    before: int
    after: int

    @classmethod
    def of(cls, request: CompletionRequest) -> Place:
        """Return the place of a request."""
        before, after = hash(request.prefix), hash(request.suffix)
        return cls(request.workspace, request.uri, request.offset, before, after)

    def distance(self, request: CompletionRequest) -> int:
        """Return how far ``request`` is behind it, in characters; -1 in another document."""
        if (self.uri, self.workspace) != (request.uri, request.workspace):
            return -1
        return max(-1, request.offset - self.offset)

    def surrounds(self, request: CompletionRequest) -> bool:
        """Whether the text around is the same, but for closers that the editor put in by itself.

        Reads the whole document: to be asked last.
        """
        if self.distance(request) < 0 or hash(request.text[: self.offset]) != self.before:
            return False
        for closed in range(_MAX_AUTO_CLOSED + 1):
            if hash(request.text[request.offset + closed :]) == self.after:
                return True
            if request.text[request.offset + closed : request.offset + closed + 1] not in _CLOSERS:
                return False
        return False


@dataclass(frozen=True, slots=True)
class Offer:
    """Suggestions for one place; ``ahead`` says that they were made before anybody asked."""

    suggestions: tuple[Suggestion, ...]
    ahead: bool = False


class SuggestionCache:
    """The latest ``capacity`` offers; may be used from any thread."""

    def __init__(self, capacity: int = 128) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Place, Offer] = OrderedDict()
        self._lock = threading.Lock()

    def add(
        self,
        request: CompletionRequest,
        suggestions: tuple[Suggestion, ...],
        *,
        ahead: bool = False,
    ) -> None:
        """Remember what was offered for ``request``; the oldest offer makes room."""
        place = Place.of(request)
        with self._lock:
            self._entries[place] = Offer(suggestions, ahead)
            self._entries.move_to_end(place)
            while len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def find(self, request: CompletionRequest, refused: Refused) -> Offer | None:
        """Return what of an earlier offer is still ahead of the cursor; None when nothing is.

        ``refused`` is asked about each offer as it was made, with the text before it.
        """
        for place, offer, typed in self._near(request):
            begun = [each for each in offer.suggestions if _continues(each.text, typed)]
            if not begun or not place.surrounds(request):
                continue
            before = request.text[: place.offset]
            begun = [s for s in begun if not refused(request.workspace, before, s.text)]
            rests = [_rest(suggestion, typed, request) for suggestion in begun]
            if found := tuple(rest for rest in rests if rest is not None):
                self._touch(place)
                return Offer(found, offer.ahead)
        return None

    def completed(self, request: CompletionRequest) -> bool:
        """Whether the cursor stands at the end of an offer that now stands in the document."""
        return any(
            typed and typed == suggestion.text and place.surrounds(request)
            for place, offer, typed in self._near(request)
            for suggestion in offer.suggestions
        )

    def _near(self, request: CompletionRequest) -> Iterator[tuple[Place, Offer, str]]:
        """Yield offers that begin at most their own length before the cursor, the latest first.

        With what stands between. Decided by offsets alone: a document may be long.
        """
        with self._lock:
            entries = list(self._entries.items())
        for place, offer in reversed(entries):
            longest = max((len(each.text) for each in offer.suggestions), default=0)
            if 0 <= place.distance(request) <= longest:
                yield place, offer, request.text[place.offset : request.offset]

    def _touch(self, place: Place) -> None:
        with self._lock:
            if place in self._entries:
                self._entries.move_to_end(place)


def _continues(text: str, typed: str) -> bool:
    return text.startswith(typed) and text != typed


def _rest(suggestion: Suggestion, typed: str, request: CompletionRequest) -> Suggestion | None:
    if not typed:
        return suggestion
    candidate = Candidate(suggestion.text[len(typed) :], suggestion.source)
    trimmed = placing.trim_closers(candidate, request)
    if isinstance(trimmed, Rejection) or not trimmed.text.strip():
        return None
    line = suggestion.line + typed.count("\n")
    return replace(suggestion, text=trimmed.text, offset=request.offset, line=line)
