"""A stretch of a document that moves with edits: pure functions on code-point offsets.

One rule decides what belongs to a region: an edit does when it begins inside it. At the two edges
it depends on the region's `Growth`.
"""

from __future__ import annotations

import difflib
import enum
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from falcon_lsp.core.text import common_length
from falcon_lsp.core.types import TextEdit

MAX_COMPARED = 4000
"""Lines, or tokens, of an edit that are compared; a larger one is taken as a whole."""
_LINE_ENDS = ("\n", "\r")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_TOKEN = re.compile(r"\w+|\W")


class Growth(enum.Enum):
    """What typing at the end of a region does to it."""

    ANY = "any"
    """It is included: the developer is writing the region now."""
    LINE = "line"
    """Included up to the next line end: its own end was deleted and is being typed again."""
    NONE = "none"
    """It comes after the region."""


@dataclass(frozen=True, slots=True)
class Region:
    """``text[start:end]``; ``0 <= start <= end <= len(text)`` holds after every `moved`."""

    start: int
    end: int
    growth: Growth = Growth.ANY


def belongs(region: Region, edit: TextEdit) -> bool:
    """Return whether what ``edit`` inserts becomes a part of ``region``."""
    if region.start < edit.start < region.end:
        return True
    if edit.start == region.end:
        if region.growth is Growth.LINE:
            return not edit.new_text.startswith(_LINE_ENDS)
        return region.growth is Growth.ANY
    if edit.start != region.start:
        return False
    pushes_down = edit.start == edit.end and edit.new_text.endswith(_LINE_ENDS)
    return region.growth is Growth.ANY or not pushes_down


def moved(region: Region, edit: TextEdit) -> Region:
    """Return where ``region`` lies after ``edit``, which is given in the text before it.

    An edit that begins ahead of the region and swallows it leaves it empty.
    """
    shift = len(edit.new_text) - (edit.end - edit.start)
    if belongs(region, edit):
        wounded = edit.start < region.end <= edit.end and region.growth is Growth.NONE
        growth = Growth.LINE if wounded else region.growth
        return Region(region.start, max(region.end, edit.end) + shift, growth)
    if edit.start >= region.end:
        return region
    start, end = max(region.start, edit.end), max(region.end, edit.end)
    return Region(start + shift, end + shift, region.growth)


def trimmed(edit: TextEdit, removed: str) -> TextEdit:
    """Return ``edit`` without what ``removed`` and the new text share at both ends."""
    ahead = common_length(removed, edit.new_text)
    removed, new = removed[ahead:], edit.new_text[ahead:]
    behind = common_length(removed[::-1], new[::-1])
    return TextEdit(edit.start + ahead, edit.end - behind, new[: len(new) - behind])


def minimal(edit: TextEdit, removed: str) -> tuple[TextEdit, ...]:
    """Return small edits that together do what ``edit`` does, to be applied in this order.

    Formatters and clients without incremental sync replace whole documents; compared line by line,
    and changed lines token by token, a region in the middle of one stays where it is. The last
    comes first, so that each edit is also valid in the text that the one before left.
    """
    small = trimmed(edit, removed)
    removed = removed[small.start - edit.start : small.end - edit.start]
    return tuple(
        token_piece
        for line_piece, line_removed in _compared(small, removed, _LINE)
        for token_piece, _ in _compared(line_piece, line_removed, _TOKEN)
    )


def _compared(
    edit: TextEdit, removed: str, unit: re.Pattern[str]
) -> Iterator[tuple[TextEdit, str]]:
    """Split an edit where units stay as they are; yield the parts with what they remove."""
    old, new = unit.findall(removed), unit.findall(edit.new_text)
    if not old or not new or len(old) + len(new) > MAX_COMPARED:
        yield edit, removed
        return
    offsets = list(itertools.accumulate(map(len, old), initial=edit.start))
    for tag, a, b, c, d in reversed(difflib.SequenceMatcher(None, old, new).get_opcodes()):
        if tag != "equal":
            yield TextEdit(offsets[a], offsets[b], "".join(new[c:d])), "".join(old[a:b])


def anchored(edit: TextEdit, removed: str, anchor: int, expected: str) -> TextEdit:
    """Return ``edit`` cut down to what it does at ``anchor``, if it reaches over that place.

    Editors that take a suggestion by replacing the whole line (or document) only insert at the
    cursor. Where text was inserted is ambiguous next to equal characters: it is read as
    ``expected`` whenever that is possible, also when it overlaps what followed (a bracket that
    the suggestion closes as well).
    """
    if not removed or not edit.start <= anchor <= edit.end:
        return edit
    head, tail = removed[: anchor - edit.start], removed[anchor - edit.start :]
    if not edit.new_text.startswith(head):
        return trimmed(edit, removed)
    middle = edit.new_text[len(head) :]
    behind = common_length(tail[::-1], middle[::-1])
    inserted = middle[: len(middle) - behind]
    overlaps = middle.startswith(expected) or expected.startswith(middle)
    if len(inserted) < len(expected) and middle and overlaps:
        return TextEdit(anchor, edit.end, middle)
    return TextEdit(anchor, edit.end - behind, inserted)
