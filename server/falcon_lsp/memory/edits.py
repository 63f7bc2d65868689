"""Recent edits: what gave way to what, between which texts; what is done in one go is one edit."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from falcon_lsp.core.types import Snippet, TextEdit

MAX_CHARACTERS: Final = 400
"""Longer edits (files pasted or formatted) say nothing about what the developer is at."""
MERGE_SECONDS: Final = 60.0
"""Who goes on after a longer rest is at something else."""
AROUND: Final = 80
"""Characters on each side of an edit that are remembered."""


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


class Edits:
    """At most ``limit`` edits of one workspace. Not safe from several threads."""

    def __init__(self, limit: int) -> None:
        self._kept: deque[Edit] = deque(maxlen=limit)

    def __iter__(self) -> Iterator[Edit]:
        """Iterate from the latest edit to the oldest."""
        return reversed(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, path: str, before: str, edit: TextEdit, now: float) -> str:
        """Remember a change of ``before`` and return the text after it.

        What touches the last edit goes on with it; what takes it back undoes it.
        """
        after = before[: edit.start] + edit.new_text + before[edit.end :]
        made = Edit(path, "", edit.start, before[edit.start : edit.end], edit.new_text, now)
        last = self._kept[-1] if self._kept else None
        whole = _joined(last, made) if last is not None else None
        if whole is not None:
            self._kept.pop()
        found = whole or made
        if _telling(found):
            self._kept.append(_placed(found, after))
        return after


def _joined(last: Edit, made: Edit) -> Edit | None:
    """Return both as one edit where ``made`` touches what ``last`` wrote, else None."""
    begin, end = last.offset, last.offset + len(last.added)
    start, stop = made.offset, made.offset + len(made.removed)
    near = made.path == last.path and made.time - last.time <= MERGE_SECONDS
    if not near or start > end or stop < begin:
        return None
    before = made.removed[: max(0, begin - start)]
    behind = made.removed[len(made.removed) - max(0, stop - end) :] if stop > end else ""
    added = last.added[: max(0, start - begin)] + made.added + last.added[max(0, stop - begin) :]
    removed = before + last.removed + behind
    if max(len(removed), len(added)) > MAX_CHARACTERS:
        return None
    return replace(made, offset=min(begin, start), removed=removed, added=added)


def _telling(edit: Edit) -> bool:
    return edit.removed != edit.added and len(edit.removed) <= MAX_CHARACTERS >= len(edit.added)


def _placed(edit: Edit, text: str) -> Edit:
    """Return the edit with what stands around it in ``text``."""
    start, end = edit.offset, edit.offset + len(edit.added)
    return replace(
        edit,
        text=_lines_around(text, start, end),
        left=text[max(0, start - AROUND) : start],
        right=text[end : end + AROUND],
    )


def _lines_around(text: str, start: int, end: int) -> str:
    """Return the whole lines that hold ``text[start:end]``, at most `MAX_CHARACTERS`."""
    first = max(text.rfind("\n", 0, start) + 1, start - MAX_CHARACTERS // 2)
    last = text.find("\n", end)
    return text[first : len(text) if last < 0 else last][:MAX_CHARACTERS]
