"""Key-value caches that outlive a request: one sequence per document, a few at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

from falcon_lsp.core.text import count_common
from falcon_lsp.model.decoding import Logits

KEPT = 3
"""Sequences kept; with 1,100 tokens each takes about 70 MB in the built-in model."""

WORTH = 4
"""A sequence is cut down for a prompt only if at least one part in so many of it stays."""


class CausalModel(Protocol):
    """A network with a key-value cache that holds one sequence of tokens."""

    @property
    def context_length(self) -> int:
        """Most tokens that the cache may hold."""

    def feed(self, ids: Sequence[int]) -> Logits:
        """Append ``ids`` to the cache; return the logits ``(V,)`` of what follows."""

    def feed_each(self, ids: Sequence[int], last: int = 0) -> Logits:
        """Append ``ids`` to the cache in one pass; return the logits ``(n, V)`` after each.

        With ``last`` only after so many of them at the end, ``(last, V)``.
        """

    def truncate(self, length: int) -> None:
        """Forget all but the first ``length`` tokens of the cache."""

    def fork(self) -> Self:
        """Return the same network with an empty cache of its own; weights are shared."""


class CachedSequence:
    """A model's cache together with the tokens in it."""

    def __init__(self, model: CausalModel) -> None:
        self._model = model
        self._ids: list[int] = []

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> list[int]:
        """A copy of the tokens in the cache."""
        return list(self._ids)

    def common(self, ids: Sequence[int]) -> int:
        """Return how many tokens ``ids`` begins with that are in the cache already."""
        return count_common(self._ids, ids)

    def cut(self, length: int) -> None:
        """Forget all but the first ``length`` tokens."""
        self._model.truncate(length)
        del self._ids[length:]

    def feed(self, ids: Sequence[int], last: int = 1) -> Logits:
        """Append ``ids``; return the logits ``(last, V)`` after the ``last`` of them.

        A failure empties it.
        """
        try:
            logits = self._model.feed_each(ids, last)
        except BaseException:
            self.cut(0)
            raise
        self._ids += ids
        return logits


class KeptSequences:
    """The sequences over one network, the one used last at the end."""

    def __init__(self, model: CausalModel) -> None:
        self._model = model
        self._sequences = [CachedSequence(model)]

    def reset(self) -> None:
        """Forget everything."""
        for sequence in self._sequences:
            sequence.cut(0)
        self._sequences = [CachedSequence(self._model)]

    @property
    def latest(self) -> list[int]:
        """The tokens of the sequence used last; may be asked for on any thread."""
        return self._sequences[-1].ids

    def hold(self, ids: Sequence[int]) -> bool:
        """Whether a sequence begins with all but the last of ``ids``."""
        wanted = ids[:-1]
        return any(sequence.common(wanted) == len(wanted) for sequence in self._sequences)

    def resume(self, ids: Sequence[int]) -> CachedSequence:
        """Return a sequence cut to what it shares with ``ids``; at least one id is not in it.

        The one that shares most is taken, unless little of it would stay: then it belongs to
        another document, and a new one or the one used longest ago is taken instead.
        """
        wanted = ids[:-1]
        chosen = max(self._sequences, key=lambda sequence: sequence.common(wanted))
        if chosen.common(wanted) * WORTH < len(chosen):
            if len(self._sequences) < KEPT:
                self._sequences.insert(0, CachedSequence(self._model.fork()))
            chosen = self._sequences[0]
        others = [sequence for sequence in self._sequences if sequence is not chosen]
        self._sequences = [*others, chosen]  # in one step: another thread may ask for the latest
        chosen.cut(chosen.common(wanted))
        return chosen
