"""Which change of a document brought a finding about: the developer's own, or one that was taken.

A finding belongs to the change on whose lines it is; next to several, to the latest. Changes that
the developer made alone take findings away from suggestions, and are put down to nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from falcon_lsp.core.types import Diagnostic, TextEdit
from falcon_lsp.memory.regions import Growth, Region, moved

FINDING_SECONDS = 10.0
"""Findings that change within this time of a change are put down to it."""
MAX_FINDINGS = 100
MAX_OWN = 64


def nearness(region: Region, text: str, line: int) -> int:
    """Return 2 where ``line`` (from 0) is one of the region's, 1 where it is next to it, else 0."""
    first = text.count("\n", 0, region.start)
    last = first + text.count("\n", region.start, region.end)
    if first <= line <= last:
        return 2
    return int(first - 1 <= line <= last + 1)


@dataclass(slots=True)
class _Own:
    region: Region
    time: float


class OwnEdits:
    """Where the developer lately changed one document without taking anything."""

    def __init__(self) -> None:
        self._edits: deque[_Own] = deque(maxlen=MAX_OWN)

    def move(self, pieces: Sequence[TextEdit]) -> None:
        """Follow one edit, given as its minimal parts."""
        for piece in pieces:
            for own in self._edits:
                own.region = moved(own.region, piece)

    def add(self, edit: TextEdit, removed: str, pieces: Sequence[TextEdit], now: float) -> None:
        """Remember an edit that has just been made; blanks and line ends bring nothing about."""
        grown = 0
        for piece in reversed(pieces):
            gone = removed[piece.start - edit.start : piece.end - edit.start]
            start = piece.start + grown
            grown += len(piece.new_text) - len(gone)
            if piece.new_text.strip() or gone.strip():
                end = start + len(piece.new_text)
                self._edits.append(_Own(Region(start, end, Growth.NONE), now))

    def extend(self, other: OwnEdits) -> None:
        """Take over what another one remembers."""
        self._edits += other._edits

    def claim(self, text: str, line: int, now: float) -> tuple[int, float]:
        """Return how near the nearest of the latest edits is to a line, and when it was made."""
        claims = [
            (nearness(own.region, text, line), own.time)
            for own in self._edits
            if now - own.time <= FINDING_SECONDS
        ]
        return max(claims, default=(0, 0.0))


@dataclass(slots=True)
class Caused:
    """The findings that one suggestion brought about and took away, summed up."""

    added: list[Diagnostic] = field(default_factory=list)
    removed: list[Diagnostic] = field(default_factory=list)

    def take(self, added: Sequence[Diagnostic], removed: Sequence[Diagnostic]) -> bool:
        """Count further findings; False when the sum stays the same.

        A finding that comes back, or that goes again, is no difference.
        """
        before = (tuple(self.added), tuple(self.removed))
        self.removed += [finding for finding in removed if not _cancel(finding, self.added)]
        self.added += [finding for finding in added if not _cancel(finding, self.removed)]
        del self.added[MAX_FINDINGS:], self.removed[MAX_FINDINGS:]
        return before != (tuple(self.added), tuple(self.removed))


def _cancel(finding: Diagnostic, opposite: list[Diagnostic]) -> bool:
    """Take the same finding out of ``opposite`` (lines may have moved); False if none is there."""
    wanted = (finding.message, finding.code, finding.source)
    for index, other in enumerate(opposite):
        if (other.message, other.code, other.source) == wanted:
            del opposite[index]
            return True
    return False
