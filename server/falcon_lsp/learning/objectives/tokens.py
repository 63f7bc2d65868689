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


def sampled_kl(logprobs: Tensor, base_logprobs: Tensor, behaviour_logprobs: Tensor) -> Tensor:
    """Return the estimate of KL(current || base) that each sampled token gives: ``(B, K)``.

    It needs the log-probabilities of the sampled tokens alone, where the exact one needs all
    logits. Never negative (Schulman's k3); weighted by how much likelier the token has become since
    ``behaviour`` sampled it, so that value and gradient are unbiased (arXiv 2512.02556).
    """
    shift = base_logprobs - logprobs
    weight = (logprobs - behaviour_logprobs).clamp(-20.0, 20.0).exp()
    return weight * (shift.exp() - shift - 1.0)
