"""Find corpus files that share runs of 13 words with the evaluation data or its projects.

Two indexes: benchmarks, of which a file may hold no run at all, and evaluation projects, of which
it may hold a small share. For the latter, runs that many unrelated corpus projects hold (licences,
idioms) are boilerplate and count for nothing; which those are is known once all projects were
read, so that matches are gathered first and judged after.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from falcon_lsp.learning.corpus.grams import Hashes, gram_hashes, hash_words, split_words

GRAM_WORDS = 13
_SPOKEN_WORDS = 7
_HEADER = re.compile(r"(?:\s*(?:#[^\n]*\n|//[^\n]*\n|/\*.*?\*/))+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Matches:
    """Where a file's runs stand in an index, ``(found,)``, and how many runs the file has."""

    positions: NDArray[np.uint32]
    runs: int


class OverlapIndex:
    """The runs of 13 words of the texts that may not be trained on: 8 bytes each, and counters.

    A run that occurs in ``boilerplate_projects`` corpus projects or more counts for nothing.
    """

    def __init__(self, texts: Iterable[str], boilerplate_projects: int = sys.maxsize) -> None:
        found = [_telling_grams(without_header(text)) for text in texts]
        grams = np.sort(np.concatenate([*found, np.empty(0, dtype=np.uint64)]))
        self._grams = grams[np.flatnonzero(np.diff(grams, prepend=~grams[:1]))]
        self._projects = np.zeros(len(self._grams), dtype=np.uint16)
        self._last = np.full(len(self._grams), -1, dtype=np.int32)
        self._boilerplate = boilerplate_projects

    def __len__(self) -> int:
        return len(self._grams)

    def find(self, words: Hashes, project: int) -> Matches:
        """Return which runs of a file of ``project`` are in the index, and count the project."""
        grams = gram_hashes(words, GRAM_WORDS)
        if not len(self._grams) or not len(grams):
            return Matches(np.empty(0, dtype=np.uint32), len(grams))
        at = np.minimum(np.searchsorted(self._grams, grams), len(self._grams) - 1)
        positions = at[self._grams[at] == grams]
        fresh = positions[self._last[positions] != project]
        self._projects[fresh] += 1
        self._last[fresh] = project
        return Matches(positions.astype(np.uint32), len(grams))

    def share(self, matches: Matches) -> float:
        """Return the share of a file's runs that are in the index and no boilerplate, 0 to 1."""
        telling = np.count_nonzero(self._projects[matches.positions] < self._boilerplate)
        return float(telling / max(1, matches.runs))


def without_header(text: str) -> str:
    """Return ``text`` without the comments before its first statement: mostly a licence."""
    header = _HEADER.match(text)
    return text[header.end() :] if header else text


def _telling_grams(text: str) -> Hashes:
    """Return the runs of which at least seven words are no numbers: lists of numbers recur."""
    words = split_words(text)
    spoken = np.cumsum([0, *(not word[0].isdigit() for word in words)])
    grams = gram_hashes(hash_words(words), GRAM_WORDS)
    counts = spoken[GRAM_WORDS:] - spoken[:-GRAM_WORDS] if len(grams) else spoken[:0]
    return grams[counts >= _SPOKEN_WORDS]
