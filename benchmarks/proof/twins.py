"""Tasks that are nearly the same: MBPP holds many, on either side of its own split.

"Sum of the fourth powers" is trained on where "sum of the fifth powers" is tested. A memory that
returns the one answers the other, so that whoever remembers would seem to have understood.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from evaluation.problems import Problem

RUN = 5
"""Neighbouring tokens that count as one feature."""

ALIKE = 0.5
"""Share of all features of both that are in both: from here on two solutions are twins."""

HELD = 0.8
"""Share of the shorter one's features that the longer one holds: likewise."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_NAME = re.compile(r"def\s+(\w+)")

Features = frozenset[tuple[str, ...]]


def with_twins(tasks: Sequence[Problem], others: Sequence[Problem]) -> set[str]:
    """Return the names of those ``tasks`` that say what one of ``others`` says, or solve it so."""
    words = {_squeezed(words_of(other)) for other in others}
    known = [features(other.solution) for other in others]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for at, theirs in enumerate(known):
        for feature in theirs:
            holders[feature].append(at)
    found = {task.name for task in tasks if _squeezed(words_of(task)) in words}
    for task in tasks:
        mine = features(task.solution)
        shared = Counter(at for feature in mine for at in holders.get(feature, ()))
        if any(alike(len(mine), len(known[at]), both) for at, both in shared.items()):
            found.add(task.name)
    return found


def alike(one: int, other: int, both: int) -> bool:
    """Whether sets of these sizes, with so many features in both, belong to twins."""
    return both >= ALIKE * (one + other - both) or both >= HELD * min(one, other)


def features(code: str) -> Features:
    """Return the runs of tokens of ``code``; what its function is called does not matter."""
    names = set(_NAME.findall(code))
    tokens = ["def" if token in names else token for token in _TOKEN.findall(code)]
    count = max(1, len(tokens) - RUN + 1)
    return frozenset(tuple(tokens[at : at + RUN]) for at in range(count))


def words_of(task: Problem) -> str:
    """Return what a task asks for, in words; for MBPP the line above its asserts."""
    return task.prefix.split("\n")[1].strip() if task.name.startswith("MBPP/") else task.prefix


def _squeezed(text: str) -> str:
    return "".join(text.split()).lower()
