"""Text as vectors, on this machine, with nothing to download."""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into unit vectors; the same ``id`` means the same vectors, for ever."""

    @property
    def id(self) -> str:
        """Name and version; vectors of different ids are never compared."""

    @property
    def dimension(self) -> int:
        """Length D of every vector."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return an array of shape (N, D), float32, each row of length 1."""


class HashedNgramEmbedder:
    """Signed feature hashing of code (Weinberger et al. 2009, arXiv 0902.2206).

    Features are names and their parts (``parse_json`` also counts as ``parse`` and ``json``), pairs
    of neighbouring tokens, and runs of three and four characters. Each falls into one of
    ``dimension`` buckets with a sign of its own; counts enter by their square root. What stands
    ``half`` characters further from the end of the text counts half as much: the end is the cursor.
    The same on every platform up to rounding.
    """

    def __init__(self, dimension: int = 256, half: int = 8) -> None:
        self.dimension = dimension
        self.id = f"hashed-ngrams-2-{dimension}-{half}"
        self._half = half

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return an array of shape (N, D), float32, each row of length 1."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        return np.stack([self._embed_one(text) for text in texts])

    def _embed_one(self, text: str) -> Vectors:
        vector = np.zeros(self.dimension, np.float64)
        distance = len(text) - np.arange(len(text) + 1, dtype=np.float64)
        nearness = np.exp2(-distance / self._half) if self._half else np.ones(len(text) + 1)
        for seed, (weight, hashes, ends) in enumerate(_features(text)):
            distinct, place = np.unique(_mix(hashes, seed), return_inverse=True)
            mass = np.bincount(place, nearness[ends], len(distinct))
            sign = np.where(distinct >> np.uint64(63), -1.0, 1.0)
            bucket = (distinct % np.uint64(self.dimension)).astype(np.intp)
            vector += np.bincount(bucket, weight * sign * np.sqrt(mass), self.dimension)
        if not vector.any():
            vector[0] = 1.0  # no features: a fixed direction, since zero has none
        return (vector / np.linalg.norm(vector)).astype(np.float32)


_TOKEN = re.compile(r"[^\W\d]\w*|\d+|[^\w\s]")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_PRIME = np.uint64(0x100000001B3)


Family = tuple[float, NDArray[np.uint64], NDArray[np.intp]]
"""A weight, 64-bit values before mixing, and the offset at which each feature ends."""


def _features(text: str) -> list[Family]:
    """Return the features of ``text``, family by family."""
    found = list(_TOKEN.finditer(text))
    names = np.array([_hash(token[0]) for token in found], np.uint64)
    ends = np.array([token.end() for token in found], np.intp)
    parts = [(part, token.end()) for token in found for part in _parts(token[0])]
    points = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    return [
        (1.0, names, ends),
        (1.0, np.array([p for p, _ in parts], np.uint64), np.array([e for _, e in parts], np.intp)),
        (0.7, names[:-1] * _PRIME ^ names[1:], ends[1:]),
        (0.5, *_runs(points, 3)),
        (0.5, *_runs(points, 4)),
    ]


def _runs(points: NDArray[np.uint64], size: int) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """Return one value for each run of ``size`` characters, and where it ends."""
    count = max(0, len(points) - size + 1)
    value = np.zeros(count, np.uint64)
    for offset in range(size):
        value = value * _PRIME + points[offset : offset + count]
    return value, np.arange(size, size + count, dtype=np.intp)


def _mix(values: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Spread values over 64 bits (the finaliser of SplitMix64), differently for each seed."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15 * (seed + 1) & 0xFFFFFFFFFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@functools.lru_cache(maxsize=65_536)
def _hash(token: str) -> int:
    return zlib.crc32(token.encode("utf-8", "replace"))


@functools.lru_cache(maxsize=65_536)
def _parts(token: str) -> tuple[int, ...]:
    parts = _PART.findall(token)
    return tuple(_hash(part.lower()) for part in parts) if len(parts) > 1 else ()
