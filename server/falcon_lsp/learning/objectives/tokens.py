"""Log-probabilities of given tokens, and how far a policy is from the base."""

from __future__ import annotations

import torch
from torch import Tensor


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
    """Return KL(current || base) of each position, exact over the vocabulary: ``(B, K)``."""
    current = torch.log_softmax(logits.float(), -1)
    base = torch.log_softmax(base_logits.float(), -1)
    return (current.exp() * (current - base)).sum(-1)


def sampled_kl(logprobs: Tensor, base_logprobs: Tensor) -> Tensor:
    """Return the estimate of KL(current || base) that each sampled token gives: ``(B, K)``.

    Never negative, and unbiased for tokens that the current policy sampled (Schulman's k3).
    It needs the log-probabilities of those tokens alone, where the exact one needs all logits.
    """
    shift = base_logprobs - logprobs
    return shift.exp() - shift - 1.0
