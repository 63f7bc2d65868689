"""How a change is typed: which lines key by key, which as one paste, and where the hands rest.

Everything follows from the texts and the seed, so that both arms see the same keystrokes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from falcon_lsp.replay.differences import LINE, Difference, blocks, differences
from falcon_lsp.replay.sources import Change

LINES_PER_STEP = 24
"""Lines typed of one commit or file; the rest of it arrives as pastes."""
RUN_LINES = 4
"""Lines that are typed in one go; runs are what is sampled and what is measured together."""
SHORTEST, LONGEST = 3, 160
"""Characters of a line that is typed; shorter and longer ones are pasted."""
REST_SHARE = 0.25
"""How often the hands rest where a word may begin; at the start of a line they always do."""

_WORD_BEGINS = re.compile(r"(?<=[\s.(\[{=,:])(?=[^\s)\]}])")


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive lines of a hunk: ``text[start:end]`` is typed, with rests at ``stops``."""

    start: int
    end: int
    lines: int
    stops: frozenset[int]


@dataclass(frozen=True, slots=True)
class Hunk(Difference):
    """A difference, and what of its text is typed; the rest is pasted."""

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
    for found in differences(before, after):
        yield Hunk(found.at, found.removed, found.text, found.ending)


def first_line(text: str) -> str:
    """Return ``text`` up to the end of its first line that is not blank, trailing blanks off."""
    found = re.match(r"\s*[^\n]*", text)
    return found[0].rstrip() if found else ""


def _removed(change: Change) -> Iterator[str]:
    old, new = LINE.findall(change.before), LINE.findall(change.after)
    for block in blocks(old, new):
        yield from old[block.i1 : block.i2]


def _runs(hunk: Hunk, moved: set[str]) -> Iterator[Run]:
    """Yield the runs of lines that can be typed, without stops."""
    start = end = lines = 0
    for match in LINE.finditer(hunk.text):
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
    for match in LINE.finditer(hunk.text, run.start, run.end):
        indent = len(match[0]) - len(match[0].lstrip())
        stops.add(match.start() + indent)
        for word in _WORD_BEGINS.finditer(match[0].rstrip(), indent + 1):
            if rng.random() < REST_SHARE:
                stops.add(match.start() + word.start())
    return Run(run.start, run.end, run.lines, frozenset(stops))
