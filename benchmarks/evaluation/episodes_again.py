"""Asking memory in a place for what was once written in a place like it, over real packages.

Each package is a workspace. Its files are put in a random order; places in the first three quarters
are *past* episodes (a context, and the rest of the line as it was written), places in the last
quarter *ask*. An answer is right when its text equals what was really written there, blanks aside.
"""

from __future__ import annotations

import importlib.metadata
import random
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from falcon_lsp.memory.records import CONTEXT_CHARS

TUNING = ("pathspec", "markdown-it-py", "httpcore2", "packaging")
DEVELOPMENT = ("chromadb", "huggingface-hub", "mpmath", "pygls", "websocket-client", "datasketch")
"""Packages that are neither in ``corpus-packages.txt`` nor in ``never-train.txt``."""

LEAST_CHARS = 8
FIRST = 10


@dataclass(frozen=True, slots=True)
class Place:
    """The text before a cursor, and what was written there."""

    context: str
    text: str


@dataclass(frozen=True, slots=True)
class Workspace:
    """A package's places; ``right[i]`` holds the numbers of the past ones that answer ``asks[i]``.

    Questions that nothing in the past answers are not asked.
    """

    past: tuple[Place, ...]
    asks: tuple[Place, ...]
    right: tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """``ranks`` of each question's first right answer, from 1 (0: none).

    ``likeness`` of the first answer to what was written: 0 to 1.
    """

    ranks: NDArray[np.int64]
    likeness: NDArray[np.float64]

    def summary(self) -> dict[str, float]:
        """Return hit@1, hit@10, mean reciprocal rank and the mean likeness."""
        found = self.ranks > 0
        return {
            "questions": len(self.ranks),
            "hit@1": float((self.ranks == 1).mean()),
            "hit@10": float((found & (self.ranks <= FIRST)).mean()),
            "mrr": float(np.where(found, 1 / np.maximum(self.ranks, 1), 0.0).mean()),
            "likeness": float(self.likeness.mean()),
        }


def workspace(package: str, past: int, asks: int, seed: int = 0) -> Workspace:
    """Return at most that many places of an installed package."""
    rng = random.Random(f"{package}-{seed}")
    files = _sources(package)
    rng.shuffle(files)
    border = len(files) * 3 // 4
    before = _sample(files[:border], past, rng)
    wanted: dict[str, list[int]] = {}
    for number, place in enumerate(before):
        wanted.setdefault(_plain(place.text), []).append(number)
    after = [p for p in _sample(files[border:], 10 * asks, rng) if _plain(p.text) in wanted][:asks]
    right = tuple(frozenset(wanted[_plain(place.text)]) for place in after)
    return Workspace(tuple(before), tuple(after), right)


def places_of(package: str, rng: random.Random) -> list[Place]:
    """Return a place in every line of an installed package that is long enough."""
    return [place for text in _sources(package) for place in _places(text, rng)]


def judge(space: Workspace, past: NDArray[np.float32], asks: NDArray[np.float32]) -> Answers:
    """Rank by cosine; ``past`` (N, D) and ``asks`` (M, D) are unit vectors."""
    order = np.argsort(-(asks @ past.T), axis=1, kind="stable")
    ranks = [
        next((i for i, n in enumerate(row, 1) if n in right), 0)
        for row, right in zip(order, space.right, strict=True)
    ]
    likeness = [
        SequenceMatcher(None, _plain(space.past[row[0]].text), _plain(ask.text)).ratio()
        for row, ask in zip(order, space.asks, strict=True)
    ]
    return Answers(np.array(ranks), np.array(likeness))


def joined(answers: Sequence[Answers]) -> Answers:
    """Return the answers of several workspaces as one."""
    return Answers(
        np.concatenate([a.ranks for a in answers]), np.concatenate([a.likeness for a in answers])
    )


def _sources(package: str) -> list[str]:
    listed = importlib.metadata.distribution(package).files or []
    paths = sorted(Path(str(f.locate())) for f in listed if str(f).endswith(".py"))
    return [p.read_text(encoding="utf-8", errors="replace") for p in paths if p.is_file()]


def _sample(files: Sequence[str], count: int, rng: random.Random) -> list[Place]:
    places = [place for text in files for place in _places(text, rng)]
    rng.shuffle(places)
    return places[:count]


def _places(text: str, rng: random.Random) -> list[Place]:
    """Return a cursor in every line: at its first character, or anywhere behind a blank in it."""
    found, start = [], 0
    for line in text.splitlines(keepends=True):
        body = line.rstrip()
        stops = [i for i in range(len(body)) if not body[:i].strip() or body[i - 1].isspace()]
        stops = [i for i in stops if not body[i].isspace()]
        at = rng.choice(stops) if stops else 0
        if len(_plain(body[at:])) >= LEAST_CHARS:
            found.append(Place(text[max(0, start + at - CONTEXT_CHARS) : start + at], body[at:]))
        start += len(line)
    return found


def _plain(text: str) -> str:
    return "".join(text.split())
