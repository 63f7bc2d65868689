"""Find files that are nearly the same as one kept before (MinHash, locality-sensitive hashing)."""

from __future__ import annotations

from rensa import RMinHash, RMinHashDeduplicator

from falcon_lsp.learning.corpus.grams import Hashes, gram_hashes

SIMILARITY = 0.7
SHINGLE_WORDS = 5
_PERMUTATIONS = 128
_SEED = 1


class NearDuplicates:
    """Remembers a signature of every file kept: 512 bytes each, and the buckets."""

    def __init__(self) -> None:
        self._kept = RMinHashDeduplicator(SIMILARITY, _PERMUTATIONS, use_lsh=True, seed=_SEED)

    def add(self, key: str, words: Hashes) -> bool:
        """Keep the file of ``words`` under ``key``; False where one like it is there already."""
        packed = gram_hashes(words, SHINGLE_WORDS).tobytes()
        signature = RMinHash(_PERMUTATIONS, _SEED)
        signature.update([packed[at : at + 8] for at in range(0, len(packed), 8)])
        return bool(self._kept.add(key, signature))
