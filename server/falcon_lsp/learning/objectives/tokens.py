"""Log-probabilities of given tokens, and how far a policy is from the base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

PIECE = 16
"""Positions compared at a time: of a vocabulary of 49,152 those are 3 MB in fp32."""


def token_logprobs(logits: Tensor, ids: Tensor) -> Tensor:
    """Return the log-probability (nats) of ``ids (B, K)`` under ``logits (B, K, V)``."""
    return torch.log_softmax(logits.float(), -1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)


def sequence_logprobs(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Return the summed log-probability of each sequence's masked tokens: ``(B,)``."""
    return masked(token_logprobs(logits, ids), mask).sum(-1)


def masked(values: Tensor, mask: Tensor) -> Tensor:
    """Return ``values * mask`` where nothing hidden, not even an infinity, can reach a gradient."""
    return torch.where(mask > 0, values, 0.0) * mask


def kl_divergence(logits: Tensor, base_logits: Tensor) -> Tensor:
    """Return KL(current || base) of each position, exact over the vocabulary: ``(B, K)``.

    The base is constant: no gradient reaches it.
    """
    divergence: Tensor = _Divergence.apply(logits, base_logits)  # type: ignore[no-untyped-call]
    return divergence


class _Divergence(torch.autograd.Function):
    """Goes piece by piece, and again on the way back: nothing of ``(B, K, V)`` is kept.

    With a vocabulary such as 49,152 each of those is the largest tensor of a pass.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, base_logits: Tensor) -> Tensor:
        ctx.save_for_backward(logits, base_logits)
        pieces = zip(_pieces(logits), _pieces(base_logits), strict=True)
        return torch.cat([_compared(*piece)[2] for piece in pieces]).view(logits.shape[:-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        logits, base_logits = ctx.saved_tensors
        gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        whole = map(_pieces, (gradient, logits, base_logits, gradients[0].unsqueeze(-1)))
        for into, current, base, scale in zip(*whole, strict=True):
            shares, ratios, divergence = _compared(current, base)
            into.copy_(shares.mul_(ratios.sub_(divergence[:, None])).mul_(scale))
        return gradient, None


def _pieces(values: Tensor) -> Sequence[Tensor]:
    """Split ``(B, K, X)`` into ``(PIECE, X)``: views, where ``values`` is contiguous."""
    return torch.split(values.reshape(-1, values.shape[-1]), PIECE)


def _compared(logits: Tensor, base_logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the probabilities and log-ratios ``(N, V)``, and what they add up to, ``(N,)``."""
    current = torch.log_softmax(logits.float(), -1)
    ratios = current - torch.log_softmax(base_logits.float(), -1)
    shares = current.exp_()
    return shares, ratios, (shares * ratios).sum(-1)


def sampled_kl(logprobs: Tensor, base_logprobs: Tensor, behaviour_logprobs: Tensor) -> Tensor:
    """Return the estimate of KL(current || base) that each sampled token gives: ``(B, K)``.

    It needs the log-probabilities of the sampled tokens alone, where the exact one needs all
    logits. Never negative (Schulman's k3); weighted by how much likelier the token has become since
    ``behaviour`` sampled it, so that value and gradient are unbiased (arXiv 2512.02556).
    """
    shift = base_logprobs - logprobs
    weight = (logprobs - behaviour_logprobs).clamp(-20.0, 20.0).exp()
    return weight * (shift.exp() - shift - 1.0)
