"""How one text becomes another by hand: lines come and go, and a line that stays alike is mended.

Of a mended line only what differs is taken away and written, as somebody does who puts the cursor
there; the rest of the line stays where it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

ALIKE: Final = 0.6
"""Least similarity of two lines (difflib's ratio over their tokens) for one to become the other."""
JOINED: Final = 3
"""What differs with at most so many equal characters between is written in one go."""
_MAX_DIFF_LINES: Final = 3000
_MAX_PAIRS: Final = 2500
"""Larger blocks (old times new lines) are written anew: nobody mends them line by line."""

LINE: Final = re.compile(r"[^\n]*\n|[^\n]+\Z")
_TOKEN: Final = re.compile(r"\w+|[^\S\n]+|[^\w\s]|\s")


@dataclass(frozen=True, slots=True)
class Difference:
    """At offset ``at`` of the file, ``removed`` characters give way to ``text`` and ``ending``.

    ``at`` counts in the file as it reads when the differences before have been written. Of whole
    lines ``text`` lacks the last line end, which is ``ending``; within a line that is ''.
    """

    at: int
    removed: int
    text: str
    ending: str


class _Block(NamedTuple):
    """Old lines ``i1:i2`` become the new lines ``j1:j2``; ``alike``: one line stays itself."""

    i1: int
    i2: int
    j1: int
    j2: int
    alike: bool = False


def differences(before: str, after: str) -> Iterator[Difference]:
    """Yield how ``before`` becomes ``after``, from the top."""
    old, new = LINE.findall(before), LINE.findall(after)
    starts = [0]
    for line in new:
        starts.append(starts[-1] + len(line))
    for block in blocks(old, new):
        for part in _parts(old, new, block):
            if part.alike:
                yield from _mended(old[part.i1], new[part.j1], starts[part.j1])
            else:
                yield _whole(old, new, part, starts[part.j1])


def blocks(old: Sequence[str], new: Sequence[str]) -> Iterator[_Block]:
    """Yield which lines differ; very long stretches are one block."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    a, b = old[head : len(old) - tail], new[head : len(new) - tail]
    if max(len(a), len(b)) > _MAX_DIFF_LINES or not a or not b:
        if a or b:
            yield _Block(head, head + len(a), head, head + len(b))
        return
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            yield _Block(head + i1, head + i2, head + j1, head + j2)


def _parts(old: Sequence[str], new: Sequence[str], block: _Block) -> Iterator[_Block]:
    """Cut a block where an old line becomes a new one; what lies between is taken as a whole."""
    i, j = block.i1, block.j1
    for k, m in _pairs(old[block.i1 : block.i2], new[block.j1 : block.j2]):
        a, b = block.i1 + k, block.j1 + m
        if a > i or b > j:
            yield _Block(i, a, j, b)
        yield _Block(a, a + 1, b, b + 1, alike=True)
        i, j = a + 1, b + 1
    if i < block.i2 or j < block.j2:
        yield _Block(i, block.i2, j, block.j2)


def _pairs(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Return which old line becomes which new one, in order, most alike in all."""
    if len(old) * len(new) > _MAX_PAIRS:
        return []
    alike = {
        (a, b): likeness for a, one in enumerate(old) for b, other in enumerate(new)
        if (likeness := _likeness(one, other)) >= ALIKE
    }  # fmt: skip
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for a in reversed(range(len(old))):
        for b in reversed(range(len(new))):
            paired = alike.get((a, b), 0.0)
            together = paired + best[a + 1][b + 1] if paired else 0.0
            best[a][b] = max(together, best[a + 1][b], best[a][b + 1])
    found: list[tuple[int, int]] = []
    a = b = 0
    while a < len(old) and b < len(new):
        if best[a][b] == best[a + 1][b]:
            a += 1
        elif best[a][b] == best[a][b + 1]:
            b += 1
        else:
            found.append((a, b))
            a, b = a + 1, b + 1
    return found


def _likeness(one: str, other: str) -> float:
    """Return how alike two lines are, 0 to 1, blanks at their ends aside; blank ones are not."""
    if not one.strip() or not other.strip() or _ending(one) != _ending(other):
        return 0.0
    matcher = difflib.SequenceMatcher(None, _tokens(one.strip()), _tokens(other.strip()), False)
    return matcher.ratio() if matcher.quick_ratio() >= ALIKE else 0.0


def _mended(old: str, new: str, start: int) -> Iterator[Difference]:
    """Yield what differs within a line that begins at offset ``start``."""
    one, other = _tokens(old), _tokens(new)
    places = [0]
    for token in other:
        places.append(places[-1] + len(token))
    for part in _joined(one, other):
        removed = sum(map(len, one[part.i1 : part.i2]))
        yield Difference(start + places[part.j1], removed, "".join(other[part.j1 : part.j2]), "")


def _joined(one: Sequence[str], other: Sequence[str]) -> list[_Block]:
    """Return which tokens differ, nearly neighbouring differences as one."""
    found: list[_Block] = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, one, other, False).get_opcodes():
        if tag == "equal":
            continue
        last = found[-1] if found else None
        if last is not None and len("".join(other[last.j2 : j1])) <= JOINED:
            found[-1] = _Block(last.i1, i2, last.j1, j2)
        else:
            found.append(_Block(i1, i2, j1, j2))
    return found


def _whole(old: Sequence[str], new: Sequence[str], block: _Block, start: int) -> Difference:
    text = "".join(new[block.j1 : block.j2])
    ending = _ending(text)
    removed = sum(map(len, old[block.i1 : block.i2]))
    return Difference(start, removed, text.removesuffix(ending), ending)


def _ending(text: str) -> str:
    return "\r\n" if text.endswith("\r\n") else "\n" if text.endswith("\n") else ""


def _tokens(line: str) -> list[str]:
    return _TOKEN.findall(line)
