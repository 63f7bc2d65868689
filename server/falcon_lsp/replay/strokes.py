"""How a change is typed: which lines key by key, which as one paste, and where the hands rest.

Everything follows from the texts and the seed, so that both arms see the same keystrokes.
"""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from falcon_lsp.replay.sources import Change

LINES_PER_STEP = 24
"""Lines typed of one commit or file; the rest of it arrives as pastes."""
RUN_LINES = 4
"""Lines that are typed in one go; runs are what is sampled and what is measured together."""
SHORTEST, LONGEST = 3, 160
"""Characters of a line that is typed; shorter and longer ones are pasted."""
REST_SHARE = 0.25
"""How often the hands rest where a word may begin; at the start of a line they always do."""
_MAX_DIFF_LINES = 3000

_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")
_WORD_BEGINS = re.compile(r"(?<=[\s.(\[{=,:])(?=[^\s)\]}])")


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive lines of a hunk: ``text[start:end]`` is typed, with rests at ``stops``."""

    start: int
    end: int
    lines: int
    stops: frozenset[int]


@dataclass(frozen=True, slots=True)
class Hunk:
    """At offset ``at`` of the file, ``removed`` characters give way to ``text``.

    ``at`` counts in the file as it reads when the hunks before have been written. ``text`` lacks
    the last line end, which is ``ending`` ('' at the end of a file that has none).
    """

    at: int
    removed: int
    text: str
    ending: str
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """What is written into one file in one step."""

    change: Change
    hunks: tuple[Hunk, ...]

    @property
    def lines(self) -> int:
        """How many lines are typed."""
        return sum(run.lines for hunk in self.hunks for run in hunk.runs)


def plan(changes: Sequence[Change], seed: str) -> list[Work]:
    """Return the work of a step; at most `LINES_PER_STEP` lines of it are typed.

    Lines that the same step removes elsewhere (moved or re-indented ones) are not typed.
    """
    rng = random.Random(seed)
    pieces = [(change, list(hunks(change.before, change.after))) for change in changes]
    moved = {line.strip() for change in changes for line in _removed(change)}
    drafts = [
        (change, hunk, run) for change, found in pieces for hunk in found
        for run in _runs(hunk, moved)
    ]  # fmt: skip
    while sum(run.lines for _, _, run in drafts) > LINES_PER_STEP:
        del drafts[rng.randrange(len(drafts))]
    works = []
    for change, found in pieces:
        mine = [
            Hunk(hunk.at, hunk.removed, hunk.text, hunk.ending, tuple(
                _with_stops(hunk, run, rng) for c, h, run in drafts if c is change and h is hunk
            ))
            for hunk in found
        ]  # fmt: skip
        works.append(Work(change, tuple(mine)))
    return works


def hunks(before: str, after: str) -> Iterator[Hunk]:
    """Yield how ``before`` becomes ``after``, from the top."""
    old, new = _LINE.findall(before), _LINE.findall(after)
    starts = [0]
    for line in new:
        starts.append(starts[-1] + len(line))
    for i1, i2, j1, j2 in _opcodes(old, new):
        text = "".join(new[j1:j2])
        ending = "\r\n" if text.endswith("\r\n") else "\n" if text.endswith("\n") else ""
        removed = sum(map(len, old[i1:i2]))
        yield Hunk(starts[j1], removed, text.removesuffix(ending), ending)


def first_line(text: str) -> str:
    """Return ``text`` up to the end of its first line that is not blank, trailing blanks off."""
    found = re.match(r"\s*[^\n]*", text)
    return found[0].rstrip() if found else ""


def _opcodes(old: list[str], new: list[str]) -> Iterator[tuple[int, int, int, int]]:
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    a, b = old[head : len(old) - tail], new[head : len(new) - tail]
    if max(len(a), len(b)) > _MAX_DIFF_LINES or not a or not b:
        if a or b:
            yield head, head + len(a), head, head + len(b)
        return
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            yield head + i1, head + i2, head + j1, head + j2


def _removed(change: Change) -> Iterator[str]:
    old, new = _LINE.findall(change.before), _LINE.findall(change.after)
    for i1, i2, _, _ in _opcodes(old, new):
        yield from old[i1:i2]


def _runs(hunk: Hunk, moved: set[str]) -> Iterator[Run]:
    """Yield the runs of lines that can be typed, without stops."""
    start = end = lines = 0
    for match in _LINE.finditer(hunk.text):
        content = match[0].strip()
        typed = SHORTEST <= len(content) <= LONGEST and content not in moved
        if lines and (not typed or lines == RUN_LINES):
            yield Run(start, end, lines, frozenset())
            lines = 0
        if typed:
            start = start if lines else match.start()
            end, lines = match.end(), lines + 1
    if lines:
        yield Run(start, end, lines, frozenset())


def _with_stops(hunk: Hunk, run: Run, rng: random.Random) -> Run:
    stops: set[int] = set()
    for match in _LINE.finditer(hunk.text, run.start, run.end):
        indent = len(match[0]) - len(match[0].lstrip())
        stops.add(match.start() + indent)
        for word in _WORD_BEGINS.finditer(match[0].rstrip(), indent + 1):
            if rng.random() < REST_SHARE:
                stops.add(match.start() + word.start())
    return Run(run.start, run.end, run.lines, frozenset(stops))
