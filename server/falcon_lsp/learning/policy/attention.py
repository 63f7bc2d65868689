"""Causal attention over sequences laid end to end, some of which continue a shared beginning.

A packed row needs no padding and no mask: each segment attends to itself, causally, and to the one
segment that it continues. Only blocks on and below the diagonal are computed, and the backward pass
computes the weights again instead of keeping them (FlashAttention-2, arXiv 2307.08691): on a CPU
with bf16 this takes half the time of PyTorch's kernel, whose backward pass was a quarter of a step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME = "falcon_segments"
BLOCK = 160
"""Queries at a time: the largest block of weights stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Positions ``start`` to ``end`` of a row, which continue ``prior`` to ``prior_end``."""

    start: int
    end: int
    prior: int = 0
    prior_end: int = 0

    def moved(self, by: int) -> Segment:
        """Return the same segment further right."""
        return Segment(self.start + by, self.end + by, self.prior + by, self.prior_end + by)


def segment_attention(
    query: Tensor, key: Tensor, value: Tensor, segments: Sequence[Segment], scale: float
) -> Tensor:
    """Return the attended values ``(H, T, D)``.

    ``query`` is ``(H, T, D)``; ``key`` and ``value`` are ``(G, T, D)`` where G divides H.
    """
    answer: Tensor = _Attention.apply(query, key, value, tuple(segments), scale)  # type: ignore[no-untyped-call]
    return answer


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        segments: tuple[Segment, ...],
        scale: float,
    ) -> Tensor:
        groups = query.view(len(key), -1, *query.shape[1:])
        attended = torch.empty_like(groups)
        for segment, rows in _blocks(segments):
            weights = _weights(groups, _seen(key, segment, rows), rows, scale).to(value.dtype)
            mixed = weights.flatten(1, 2) @ _seen(value, segment, rows)
            attended[:, :, rows] = mixed.view(*weights.shape[:-1], -1)
        ctx.save_for_backward(query, key, value, attended)
        ctx.segments, ctx.scale = segments, scale
        return attended.view_as(query)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        query, key, value, attended = ctx.saved_tensors
        groups = query.view_as(attended)
        above = gradients[0].to(value.dtype).reshape(attended.shape)
        to_query = torch.empty_like(groups)
        to_key, to_value = (torch.zeros_like(one, dtype=torch.float32) for one in (key, value))
        for segment, rows in _blocks(ctx.segments):
            keys, values = _seen(key, segment, rows), _seen(value, segment, rows)
            weights = _weights(groups, keys, rows, ctx.scale)
            over = above[:, :, rows]
            mean = (over.float() * attended[:, :, rows].float()).sum(-1, keepdim=True)
            back = over.flatten(1, 2)
            _add(to_value, segment, rows, weights.to(value.dtype).flatten(1, 2).mT @ back)
            slope = (back @ values.mT).view(weights.shape).float().sub_(mean)
            narrow = slope.mul_(weights).mul_(ctx.scale).to(value.dtype).flatten(1, 2)
            to_query[:, :, rows] = (narrow @ keys).view(over.shape)
            _add(to_key, segment, rows, narrow.mT @ groups[:, :, rows].flatten(1, 2))
        to_query = to_query.view_as(query)
        return to_query, to_key.to(key.dtype), to_value.to(value.dtype), None, None


def _blocks(segments: Sequence[Segment]) -> Iterator[tuple[Segment, slice]]:
    """Yield the rows of queries that are computed together, with their segment."""
    for segment in segments:
        for start in range(segment.start, segment.end, BLOCK):
            yield segment, slice(start, min(segment.end, start + BLOCK))


def _seen(tensor: Tensor, segment: Segment, rows: slice) -> Tensor:
    """Return what the queries of ``rows`` may see of ``tensor (G, T, D)``."""
    own = tensor[:, segment.start : rows.stop]
    if segment.prior == segment.prior_end:
        return own
    return torch.cat((tensor[:, segment.prior : segment.prior_end], own), 1)


def _add(total: Tensor, segment: Segment, rows: slice, part: Tensor) -> None:
    """Add ``part``, laid out as `_seen`, to ``total``."""
    shared = segment.prior_end - segment.prior
    total[:, segment.prior : segment.prior_end] += part[:, :shared]
    total[:, segment.start : rows.stop] += part[:, shared:]


def _weights(groups: Tensor, keys: Tensor, rows: slice, scale: float) -> Tensor:
    """Return how much each query attends to each key, ``(G, H / G, rows, keys)`` in fp32."""
    asked = groups[:, :, rows]
    height = asked.shape[2]
    scores = (asked.flatten(1, 2) @ keys.mT).view(*asked.shape[:3], -1).float().mul_(scale)
    future = torch.ones(height, height, dtype=torch.bool, device=keys.device).triu_(1)
    scores[..., -height:].masked_fill_(future, float("-inf"))
    return scores.softmax(-1)


def _attend(
    _module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    *,
    scaling: float,
    segments: Sequence[Segment],
    **_others: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers asks: ``(1, H, T, D)`` in, ``(1, T, H, D)`` out."""
    narrow = value.dtype
    attended = segment_attention(
        query[0].to(narrow).contiguous(), key[0].to(narrow), value[0], segments, scaling
    )
    return attended.transpose(0, 1).unsqueeze(0), None


@contextlib.contextmanager
def segmented(config: Any) -> Iterator[None]:
    """Let the model of ``config`` attend this way inside the block; it is told the segments."""
    before = config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
    config._attn_implementation = NAME  # noqa: SLF001 - as above
    try:
        yield
    finally:
        config._attn_implementation = before  # noqa: SLF001 - as above


AttentionInterface.register(NAME, _attend)
