"""Which contexts are worth sampling now: those that sometimes pass, and how much help they need.

A group of samples that all pass, or all fail, teaches nothing; the signal is strongest at one half.
What is too hard starts from a prefix of the settled text, which becomes shorter as it succeeds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LEAST_PASSED = 0.2
MOST_PASSED = 0.8

SHARES = (0.0, 0.25, 0.5, 0.75)
"""How much of the settled text is given, by level; 0 is the task itself."""

UNTRIED = 0.5
"""Chance with which a context that nobody tried yet is preferred to one known to be in band."""


@dataclass(slots=True)
class Progress:
    """What is known of one context: its level of help, and whether it is done with."""

    level: int = 0
    tried: int = 0
    rate: float = 0.0
    done: bool = False


class Curriculum:
    """Chooses contexts by name and remembers how they went; plain numbers, so it can be stored."""

    def __init__(self, names: Sequence[str]) -> None:
        self._known = {name: Progress() for name in names}

    def choose(self, count: int, rng: random.Random) -> list[str]:
        """Return up to ``count`` names, each once: known ones that are in band, and new ones."""
        new = [name for name, one in self._known.items() if not one.tried]
        known = [name for name, one in self._known.items() if one.tried and not one.done]
        rng.shuffle(new)
        rng.shuffle(known)
        chosen: list[str] = []
        while len(chosen) < count and (new or known):
            first = new if new and (not known or rng.random() < UNTRIED) else known
            chosen.append(first.pop())
        return chosen

    def share(self, name: str) -> float:
        """Return how much of the settled text to give for ``name``, in [0, 1)."""
        return SHARES[self._known[name].level]

    def record(self, name: str, passed: int, samples: int) -> None:
        """Take in one group's outcome: help more, help less, keep on, or be done with it.

        Too hard with the most help, or too easy without any, is done with.
        """
        one = self._known[name]
        one.tried += 1
        one.rate = passed / samples
        if one.rate < LEAST_PASSED:
            most = len(SHARES) - 1
            one.done = one.level == most
            one.level = most if one.tried == 1 else min(one.level + 1, most)
        elif one.rate > MOST_PASSED:
            one.done = one.level == 0
            one.level = max(0, one.level - 1)

    def state(self) -> dict[str, Any]:
        """Return what is known as plain JSON."""
        return {
            name: [one.level, one.tried, one.rate, one.done]
            for name, one in self._known.items()
            if one.tried
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to an earlier `state`; names that are gone are left out."""
        for name, (level, tried, rate, done) in state.items():
            if name in self._known:
                self._known[name] = Progress(level, tried, rate, done)


def teaches(passed: int, samples: int) -> bool:
    """Whether so many of a group's samples passed that it is neither too hard nor too easy."""
    return LEAST_PASSED <= passed / samples <= MOST_PASSED


def hint(settled: str, share: float) -> str:
    """Return the first ``share`` of ``settled``, cut where a word ends; never all of it."""
    cut = int(len(settled) * share)
    while 0 < cut < len(settled) and settled[cut - 1].isalnum() and settled[cut].isalnum():
        cut -= 1
    return settled[:cut]
