"""A decoder in two parts: below the first adapter nothing ever changes, so it is computed once."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from falcon_lsp.learning.policy import attention
from falcon_lsp.learning.policy.attention import Segment
from falcon_lsp.learning.policy.packing import Tree

MOST_CACHED = 256 * 1024 * 1024
"""Bytes of the lower part's outputs that are kept: 110,000 positions of the built-in model."""


class Halves:
    """``body`` (a decoder without its head) cut below layer ``cut``; both parts share its weights.

    Computes in bf16 by autocast; what runs between the layers is fp32.
    """

    def __init__(self, body: nn.Module, cut: int) -> None:
        self.cut = cut
        layers: Any = body.layers
        self._embed: Any = body.get_input_embeddings()  # type: ignore[operator]
        self._lower = _part(body, layers[:cut], nn.Identity())
        self._upper = _part(body, layers[cut:], body.norm)
        self._outputs = Bounded(MOST_CACHED)

    def __call__(self, trees: tuple[Tree, ...]) -> Tensor:
        """Return the last hidden states of all picks, sequence by sequence: ``(N, H)``."""
        states = torch.cat([self._below(tree) for tree in trees], 1)
        starts = [0, *accumulate(map(len, trees))]
        laid = list(zip(trees, starts, strict=False))
        segments = [segment.moved(by) for tree, by in laid for segment in tree.segments]
        positions = [at for tree in trees for at in tree.positions]
        picks = [by + at for tree, by in laid for picked in tree.picks for at in picked]
        hidden = _run(self._upper, states, positions, segments)
        return hidden[0, torch.tensor(picks, device=hidden.device)]

    def release(self) -> None:
        """Forget all outputs of the lower part."""
        self._outputs.clear()

    @torch.no_grad()
    def _below(self, tree: Tree) -> Tensor:
        """Return what the lower part makes of ``tree``: ``(1, T, H)``."""
        found = self._outputs.get(tree)
        if found is None:
            ids = torch.tensor([tree.ids], device=self._embed.weight.device)
            embedded = self._embed(ids).float()
            found = _run(self._lower, embedded, tree.positions, tree.segments)
            self._outputs.put(tree, found)
        return found


class Bounded:
    """Keeps at most ``most`` bytes of tensors; the least recently used leave first."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    def get(self, key: Hashable) -> Tensor | None:
        """Return what is kept under ``key``."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def __getitem__(self, key: Hashable) -> Tensor:
        return self._kept[key]

    def put(self, key: Hashable, value: Tensor) -> None:
        """Keep ``value``, and let others go for it."""
        self._kept[key] = value
        self._size += value.nbytes
        while self._size > self._most:
            self._size -= self._kept.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self._size = 0


def _part(body: nn.Module, layers: Any, norm: Any) -> nn.Module:
    """Return a copy of ``body`` that has only ``layers`` and ends with ``norm``."""
    part = copy.copy(body)
    part._modules = dict(body._modules)  # noqa: SLF001 - a shallow copy shares the very table
    part.layers, part.norm = nn.ModuleList(layers), norm
    return part


def _run(
    part: Any, states: Tensor, positions: Sequence[int], segments: Sequence[Segment]
) -> Tensor:
    with (
        torch.autocast(states.device.type, dtype=torch.bfloat16),
        attention.segmented(part.config),
    ):
        output = part(
            inputs_embeds=states,
            position_ids=torch.tensor([positions], device=states.device),
            use_cache=False,
            segments=segments,
        )
    hidden: Tensor = output.last_hidden_state
    return hidden
