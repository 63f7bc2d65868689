"""Sequences laid end to end in one row: no padding, and a shared beginning is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from falcon_lsp.learning.dataset import Scored
from falcon_lsp.learning.policy.attention import Segment

LEAST_SHARED = 0.5
"""Neighbours that share so much of the shorter one's context continue one beginning."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Neighbouring sequences that begin alike: the beginning, then what each goes on with.

    The last token of each is left out, for nothing is predicted from it. ``picks`` has, for each
    sequence, the places from which its answer's tokens are predicted.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    segments: tuple[Segment, ...]
    picks: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences of one forward pass, in the order given.

    ``targets`` and ``mask`` are ``(B, K)``: the answers' tokens, aligned at their ends, and 1.0
    where they stand; K is the longest answer.
    """

    trees: tuple[Tree, ...]
    targets: Tensor
    mask: Tensor

    def __len__(self) -> int:
        """Return how many positions are computed."""
        return sum(map(len, self.trees))

    def spread(self, picked: Tensor) -> Tensor:
        """Lay out ``picked (N, ...)``, one entry per answer token, as ``(B, K, ...)``."""
        spread = picked.new_zeros(*self.mask.shape, *picked.shape[1:])
        spread[self.mask.bool()] = picked
        return spread

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on ``device``."""
        return Batch(self.trees, self.targets.to(device), self.mask.to(device))


def collate(sequences: Sequence[Scored]) -> Batch:
    """Lay ``sequences`` out; neighbours with the same context share it."""
    last = max(len(sequence.answer) for sequence in sequences)
    targets = torch.zeros(len(sequences), last, dtype=torch.long)
    mask = torch.zeros(len(sequences), last)
    for row, sequence in enumerate(sequences):
        start = last - len(sequence.answer)
        targets[row, start:] = torch.tensor(sequence.answer)
        mask[row, start:] = 1.0
    return Batch(tuple(map(plant, families(sequences))), targets, mask)


def families(sequences: Sequence[Scored]) -> list[list[Scored]]:
    """Split ``sequences`` into runs of neighbours that share their contexts' beginning."""
    found: list[list[Scored]] = []
    for sequence in sequences:
        if found and _alike(found[-1][0].context, sequence.context):
            found[-1].append(sequence)
        else:
            found.append([sequence])
    return found


def plant(family: Sequence[Scored]) -> Tree:
    """Return the tree of sequences that begin alike."""
    whole = [(sequence.context + sequence.answer)[:-1] for sequence in family]
    shared = min(_common(whole[0], other) for other in whole)
    ids, positions = list(whole[0][:shared]), list(range(shared))
    segments, picks = [Segment(0, shared)] if shared else [], []
    for sequence, tokens in zip(family, whole, strict=True):
        start = len(ids)
        ids += tokens[shared:]
        positions += range(shared, len(tokens))
        if len(ids) > start:
            segments.append(Segment(start, len(ids), 0, shared))
        first = len(sequence.context) - 1
        asked = range(first, first + len(sequence.answer))
        picks.append(tuple(at if at < shared else start + at - shared for at in asked))
    return Tree(tuple(ids), tuple(positions), tuple(segments), tuple(picks))


def _alike(one: Sequence[int], other: Sequence[int]) -> bool:
    return _common(one, other) >= LEAST_SHARED * min(len(one), len(other))


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    shortest = min(len(one), len(other))
    return next((at for at in range(shortest) if one[at] != other[at]), shortest)
