"""Hashes of runs of words, the same on every machine.

Words are runs of letters, digits and underscores, in lower case: layout and punctuation do not
count.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_WORD = re.compile(r"\w+")
_BASE = 0x9E3779B97F4A7C15


def split_words(text: str) -> list[str]:
    """Return the words of ``text`` in order."""
    return _WORD.findall(text.lower())


def hash_words(words: Sequence[str]) -> Hashes:
    """Return the hash of each word, shape ``(words,)``."""
    return np.fromiter(map(_hash_word, words), dtype=np.uint64, count=len(words))


def gram_hashes(words: Hashes, length: int) -> Hashes:
    """Return the hashes of all runs of ``length`` words, ``(words - length + 1,)`` or empty.

    A run's hash is the polynomial of its words' hashes modulo 2**64.
    """
    count = len(words) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    total = np.zeros(count, dtype=np.uint64)
    for offset in range(length):
        total = total * np.uint64(_BASE) + words[offset : offset + count]
    return total


@lru_cache(maxsize=1 << 19)
def _hash_word(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
