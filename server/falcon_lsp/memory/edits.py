"""Recent edits: what gave way to what, between which texts; what is done in one go is one edit."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from falcon_lsp.core.types import Snippet, TextEdit

MAX_CHARACTERS: Final = 400
"""Longer edits (files pasted or formatted) say nothing about what the developer is at."""
MERGE_SECONDS: Final = 60.0
"""Who goes on after a longer rest is at something else."""
AROUND: Final = 80
"""Characters on each side of an edit that are remembered."""
SAME_PLACE: Final = 24
"""Characters on the left by which a place is known again after edits elsewhere have moved it."""


@dataclass(frozen=True, slots=True)
class Edit(Snippet):
    """At ``offset`` of ``path``, ``removed`` became ``added`` between ``left`` and ``right``.

    ``time`` is that of the last keystroke. As a snippet, its ``text`` is the lines that were
    edited as they read afterwards.
    """

    offset: int = 0
    removed: str = ""
    added: str = ""
    time: float = 0.0
    left: str = ""
    right: str = ""

    def stands_in(self, text: str) -> bool:
        """Whether it is still where it was made: a paste or another program may have moved it."""
        start, end = self.offset, self.offset + len(self.added)
        return text[start:end] == self.added and text[max(0, start - AROUND) : start] == self.left


class Edits:
    """At most ``limit`` edits of one workspace. Not safe from several threads."""

    def __init__(self, limit: int) -> None:
        self._kept: deque[Edit] = deque(maxlen=limit)

    def __iter__(self) -> Iterator[Edit]:
        """Iterate from the latest edit to the oldest."""
        return reversed(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, path: str, before: str, edit: TextEdit, now: float) -> None:
        """Remember a change of ``before``.

        What touches the last edit goes on with it; what takes an edit back undoes it.
        """
        made = Edit(path, "", edit.start, before[edit.start : edit.end], edit.new_text, now)
        last = self._kept[-1] if self._kept else None
        whole = _joined(last, made, before) if last is not None else None
        if whole is not None:
            self._kept.pop()
        found = whole or made
        if not _telling(found):
            return
        found = _placed(found, before, edit)
        for old in [old for old in self._kept if _takes_back(found, old)]:
            self._kept.remove(old)
        self._kept.append(found)


def by_hand(text: str, edits: Sequence[TextEdit]) -> tuple[str, TextEdit] | None:
    """Return which of the edits made at once is remembered, with the text before it.

    Where several write the same, several cursors do; the last stands for all of them (editors
    name the topmost last, so that it stays where it is). Else a formatter does: None.
    """
    if len({edit.new_text for edit in edits}) != 1:
        return None
    for edit in edits[:-1]:
        text = text[: edit.start] + edit.new_text + text[edit.end :]
    return text, edits[-1]


def _joined(last: Edit, made: Edit, text: str) -> Edit | None:
    """Return both as one edit where ``made``, a change of ``text``, touches what ``last`` wrote.

    None where it does not, or comes late and does not take it back.
    """
    begin, end = last.offset, last.offset + len(last.added)
    start, stop = made.offset, made.offset + len(made.removed)
    if made.path != last.path or start > end or stop < begin or not last.stands_in(text):
        return None
    before = made.removed[: max(0, begin - start)]
    behind = made.removed[len(made.removed) - max(0, stop - end) :] if stop > end else ""
    added = last.added[: max(0, start - begin)] + made.added + last.added[max(0, stop - begin) :]
    removed = before + last.removed + behind
    late = made.time - last.time > MERGE_SECONDS
    if max(len(removed), len(added)) > MAX_CHARACTERS or (late and removed != added):
        return None
    return replace(made, offset=min(begin, start), removed=removed, added=added)


def _telling(edit: Edit) -> bool:
    return edit.removed != edit.added and len(edit.removed) <= MAX_CHARACTERS >= len(edit.added)


def _takes_back(edit: Edit, old: Edit) -> bool:
    """Whether ``edit`` undoes what ``old``, perhaps long ago, did in the same place."""
    swapped = edit.removed.strip() == old.added.strip() != ""
    if not swapped or edit.added.strip() != old.removed.strip() or edit.path != old.path:
        return False
    one, other = (each.left.rstrip()[-SAME_PLACE:] for each in (edit, old))
    return one.endswith(other) or other.endswith(one)


def _placed(edit: Edit, before: str, change: TextEdit) -> Edit:
    """Return the edit, which ends with or behind ``change``, with what stands around it.

    Read from the text before the change, of which nothing outside the edit has become other text.
    """
    start = edit.offset
    end = start + len(edit.added) - len(change.new_text) + change.end - change.start
    first = max(before.rfind("\n", 0, start) + 1, start - MAX_CHARACTERS // 2)
    last = before.find("\n", end, end + MAX_CHARACTERS)
    lines = (
        before[first:start] + edit.added + before[end : last if last >= 0 else end + MAX_CHARACTERS]
    )
    return replace(
        edit,
        text=lines[:MAX_CHARACTERS],
        left=before[max(0, start - AROUND) : start],
        right=before[end : end + AROUND],
    )
