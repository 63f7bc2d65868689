"""What became of each suggestion, inferred from the traffic that every LSP client sends anyway.

A pure state machine: no clock, no I/O, one caller at a time. Times are seconds on any one scale.
The rules and the reasons for them are in docs/episodes.md; those about one suggestion are code in
`falcon_lsp.memory.tracking`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from falcon_lsp.core.text import TextSnapshot
from falcon_lsp.core.types import Diagnostic, Outcome, Suggestion, TextEdit
from falcon_lsp.memory import events
from falcon_lsp.memory.causes import OwnEdits
from falcon_lsp.memory.events import Event, Place
from falcon_lsp.memory.regions import Region, minimal
from falcon_lsp.memory.tracking import Stage, Track

MAX_DOCUMENTS = 64
MAX_TRACKS = 64
"""Suggestions followed in one document."""
MAX_KNOWN = 1024
"""Suggestions about which a report is still understood."""
MAX_REPORTS = 4096
SAME_ANSWER_SECONDS = 0.1


@dataclass(slots=True)
class _Document:
    text: str
    tracks: list[Track] = field(default_factory=list)
    own: OwnEdits = field(default_factory=OwnEdits)
    _answer: tuple[int, int] = (-1, -1)
    _answered_at: float = 0.0

    def starts_answer(self, version: int, offset: int, now: float) -> bool:
        """Whether an offer is the first of its answer, which is the one that the editor shows."""
        same = self._answer == (version, offset)
        first = not same or now - self._answered_at > SAME_ANSWER_SECONDS
        self._answer, self._answered_at = (version, offset), now
        return first


class EpisodeObserver:
    """Turns edits, reports, findings and time into events; each method returns what to record.

    A guess is held back for ``grace`` seconds, so that a report about the same suggestion, which
    comes just before or just after the change, takes its place: one outcome, not two.
    """

    def __init__(self, *, grace: float = 0.5) -> None:
        self._grace = grace
        self._documents: OrderedDict[str, _Document] = OrderedDict()
        self._known: OrderedDict[str, Track] = OrderedDict()
        self._reports: OrderedDict[str, None] = OrderedDict()

    def offered(
        self, suggestion: Suggestion, place: Place, uri: str, snapshot: TextSnapshot, now: float
    ) -> list[Event]:
        """Follow a suggestion that was sent to the editor as an answer about ``snapshot``.

        Of several in one answer the first counts as shown. The same id may be offered again, for
        the rest of a text that is being typed: it remains one offer.
        """
        found = self._collect(now)
        document = self._documents.setdefault(uri, _Document(snapshot.text))
        self._documents.move_to_end(uri)
        first = document.starts_answer(snapshot.version, suggestion.offset, now)
        track = self._known.get(suggestion.completion_id)
        if track is None:
            track = self._track(suggestion, place, document, snapshot, now)
            found.append(events.suggested(place, suggestion))
        elif not track.reopen(_plain(suggestion.text), suggestion.offset, document.text, now):
            return found
        if first and not track.visible:
            track.visible, track.offered_at = True, now
            found.append(_shown(track.place))
        if first:
            _replace([other for other in document.tracks if other is not track], track, now)
        if track not in document.tracks:
            document.tracks.append(track)
        return found + self._collect(now) + self._evict(now)

    def changed(
        self,
        before: TextSnapshot,
        after: TextSnapshot,
        edits: tuple[TextEdit, ...],
        now: float,
    ) -> list[Event]:
        """Take in one ``didChange``: ``edits`` in order, each in the text the one before left."""
        found = self._collect(now)
        document = self._documents.get(after.uri)
        if document is None:
            return found
        tracks = [track for track in document.tracks if track.live]
        for track in tracks:
            track.begin(document.text)
        changed = document.text != after.text
        own = OwnEdits()
        for edit, removed, text in _steps(document.text, before.text, edits, after.text):
            pieces = minimal(edit, removed)
            for track in tracks:
                track.follow(edit, removed, pieces, text, now)
            own.move(pieces)
            own.add(edit, removed, pieces, now)
            document.own.move(pieces)
        document.text = after.text
        if any(track.just_taken for track in tracks):
            _replace_rivals(tracks, now)
        else:
            document.own.extend(own)
        for track in tracks:
            found += track.finish(after.text, now, changed=changed)
        return found + self._collect(now)

    def reported(
        self,
        completion_id: str,
        outcome: Outcome,
        chars_kept: int | None,
        now: float,
        event_id: str,
    ) -> list[Event]:
        """Take over an explicit report; it outranks guesses. Repeated ``event_id``s do nothing.

        ``chars_kept`` None or 0 means all of it where the outcome is about the whole.
        Nothing but the report is returned, so an empty list means that it changed nothing.
        """
        track = self._known.get(completion_id)
        if track is None or event_id in self._reports:
            return []
        if event_id:
            self._reports[event_id] = None
            _shorten(self._reports, MAX_REPORTS)
        return track.report(outcome, chars_kept, now, event_id)

    def diagnostics_changed(
        self, uri: str, added: Sequence[Diagnostic], removed: Sequence[Diagnostic], now: float
    ) -> list[Event]:
        """Put changed findings down to the accept in ``uri`` that caused each, if one did.

        Lines are those of the document as it is now, of removed findings too.
        """
        found = self._collect(now)
        document = self._documents.get(uri)
        if document is None:
            return found
        caused: dict[str, tuple[Track, list[Diagnostic], list[Diagnostic]]] = {}
        for index, findings in enumerate((added, removed)):
            for finding in findings:
                track = _cause(document, finding.line, now)
                if track is not None:
                    entry = caused.setdefault(track.place.completion_id, (track, [], []))
                    (entry[1], entry[2])[index].append(finding)
        for track, new, gone in caused.values():
            found += track.attribute(new, gone)
        return found

    def tick(self, now: float) -> list[Event]:
        """Return what time has brought; due whenever `next_due` has passed."""
        return self._collect(now)

    def closed(self, uri: str, now: float) -> list[Event]:
        """Say what is known about a document's suggestions and forget the document."""
        found = self._collect(now)
        document = self._documents.pop(uri, None)
        for track in document.tracks if document else ():
            found += track.close(document.text if document else "", now)
        return found

    def next_due(self) -> float | None:
        """Return when `tick` next has something to say, None when it never will."""
        times = [track.due() for _, track in self._tracks()]
        return min((time for time in times if time is not None), default=None)

    def _tracks(self) -> Iterator[tuple[_Document, Track]]:
        for document in self._documents.values():
            for track in document.tracks:
                yield document, track

    def _collect(self, now: float) -> list[Event]:
        """Return what is due, while every document still reads as it did at that time."""
        found: list[Event] = []
        for document, track in self._tracks():
            found += track.collect(document.text, now)
        for uri, document in list(self._documents.items()):
            document.tracks = [track for track in document.tracks if track.live]
            if not document.tracks:
                del self._documents[uri]
        return found

    def _track(
        self,
        suggestion: Suggestion,
        place: Place,
        document: _Document,
        snapshot: TextSnapshot,
        now: float,
    ) -> Track:
        offset = min(max(0, suggestion.offset), len(snapshot.text))
        region = Region(offset, offset)
        track = Track(place, _plain(suggestion.text), now, region, self._grace)
        self._known[suggestion.completion_id] = track
        _shorten(self._known, MAX_KNOWN)
        _catch_up(track, snapshot.text, document.text, now)
        return track

    def _evict(self, now: float) -> list[Event]:
        found: list[Event] = []
        for document in self._documents.values():
            while len(document.tracks) > MAX_TRACKS:
                found += document.tracks.pop(0).close(document.text, now)
        while len(self._documents) > MAX_DOCUMENTS:
            found += self.closed(next(iter(self._documents)), now)
        return found


def _plain(text: str) -> str:
    """Return ``text`` with LF line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _shown(place: Place) -> Event:
    return events.outcome(
        place,
        Outcome.SHOWN,
        chars_kept=0,
        elapsed_ms=0.0,
        inferred=True,
        event_id=f"{place.completion_id}:shown",
    )


def _replace(tracks: Sequence[Track], new: Track, now: float) -> None:
    """End what was offered before: without blame where it agrees with all that was typed since."""
    for old in tracks:
        if old.stage is Stage.OFFERED:
            same_place = old.region.start <= new.region.start <= old.region.end
            old.leave(Outcome.SUPERSEDED if same_place else Outcome.IGNORED, now, now)


def _replace_rivals(tracks: Sequence[Track], now: float) -> None:
    """End the other suggestions of an answer of which one was taken, without blame."""
    for track in tracks:
        if track.stage is Stage.OFFERED:
            track.leave(Outcome.SUPERSEDED, now, now)


def _catch_up(track: Track, seen: str, current: str, now: float) -> None:
    """Lead a suggestion for a text that is no longer current through what happened since."""
    if seen != current:
        track.begin(seen)
        for edit, removed, text in _steps(seen, seen, (), current):
            track.follow(edit, removed, (), text, now)
        track.finish(current, now, changed=True)


def _cause(document: _Document, line: int, now: float) -> Track | None:
    """Return what was taken nearest to ``line``, unless the developer's own edit is the cause."""
    own = document.own.claim(document.text, line, now)
    claims = [(track.claim(document.text, line, now), track) for track in document.tracks]
    best, track = max(claims, key=lambda claim: claim[0], default=(own, None))
    return track if best[0] > 0 and best > own else None


def _steps(
    known: str, before: str, edits: Sequence[TextEdit], after: str
) -> Iterator[tuple[TextEdit, str, str]]:
    """Yield each edit with what it removes and the text after it, from ``known`` to ``after``.

    Changes that were missed are made up for by one replacement of the whole text.
    """
    text = known
    missed = () if known == before else (TextEdit(0, len(known), before),)
    for edit in (*missed, *edits):
        start = min(max(0, edit.start), len(text))
        end = min(max(start, edit.end), len(text))
        removed, text = text[start:end], text[:start] + edit.new_text + text[end:]
        yield TextEdit(start, end, edit.new_text), removed, text
    if text != after:
        yield TextEdit(0, len(text), after), text, after


def _shorten(ordered: OrderedDict[str, Any], limit: int) -> None:
    while len(ordered) > limit:
        ordered.popitem(last=False)
