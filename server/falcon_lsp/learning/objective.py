"""The learning signal: a clipped, reward-weighted policy gradient with a leash to the base model.

Everything here works on tensors alone, so each formula can be checked by hand. Shapes: B sequences,
K last positions of each (sampled tokens and, left of them, prompt tokens that the mask hides), V
words of the vocabulary.

Sources: PPO (arXiv 1707.06347) for the clipped ratio, its dual clip (arXiv 1912.09729) because the
data is off-policy, leave-one-out baselines as in RLOO (arXiv 2402.14740).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_SPREAD = 0.1
"""Advantages are divided by their spread, but never by less: small differences stay small."""


@dataclass(frozen=True, slots=True)
class Loss:
    """``value`` is to be minimised; the rest are means over the trained tokens, for the log."""

    value: Tensor
    policy: float
    kl: float
    ratio: float
    clipped: float


def advantages(rewards: Sequence[float], groups: Sequence[str]) -> list[float]:
    """Return ``(reward - baseline) / spread`` of each episode.

    The baseline is the mean of the *other* episodes of the same group (language), so that no reward
    hides itself; an only one has baseline 0. The spread is over the whole batch.
    """
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for value, group in zip(rewards, groups, strict=True):
        sums[group] += value
        counts[group] += 1
    raw = [
        value - (sums[group] - value) / max(1, counts[group] - 1)
        for value, group in zip(rewards, groups, strict=True)
    ]
    mean = sum(raw) / max(1, len(raw))
    spread = (sum((value - mean) ** 2 for value in raw) / max(1, len(raw))) ** 0.5
    return [value / max(spread, LEAST_SPREAD) for value in raw]


def token_logprobs(logits: Tensor, ids: Tensor) -> Tensor:
    """Return the log-probability (nats) of ``ids (B, K)`` under ``logits (B, K, V)``."""
    return torch.log_softmax(logits.float(), -1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)


def kl_divergence(logits: Tensor, base_logits: Tensor) -> Tensor:
    """Return KL(current || base) of each position, exact over the vocabulary: ``(B, K)``."""
    current = torch.log_softmax(logits.float(), -1)
    base = torch.log_softmax(base_logits.float(), -1)
    return (current.exp() * (current - base)).sum(-1)


def policy_loss(
    logits: Tensor,
    base_logits: Tensor,
    ids: Tensor,
    behaviour_logprobs: Tensor,
    token_advantages: Tensor,
    mask: Tensor,
    *,
    clip: float,
    dual_clip: float,
    beta: float,
    normaliser: float,
) -> Loss:
    """Return the objective of one mini-batch, summed over masked tokens, over ``normaliser``.

    ``behaviour_logprobs (B, K)`` are of the same ids under the adapter that sampled them.
    ``normaliser`` is the number of trained tokens of the whole step, so that gradients of the
    micro-batches add up to the step's.
    """
    logprobs = token_logprobs(logits, ids)
    shift = torch.where(mask > 0, logprobs - behaviour_logprobs, 0.0)
    ratio = shift.clamp(-20.0, 20.0).exp()
    plain = ratio * token_advantages
    bounded = ratio.clamp(1.0 - clip, 1.0 + clip) * token_advantages
    gain = torch.minimum(plain, bounded)
    gain = torch.where(token_advantages < 0, gain.maximum(dual_clip * token_advantages), gain)
    kl = kl_divergence(logits, base_logits)
    value = ((beta * kl - gain) * mask).sum() / normaliser
    trained = mask.sum().clamp(min=1.0)
    with torch.no_grad():
        return Loss(
            value,
            policy=float(-(gain * mask).sum() / trained),
            kl=float((kl * mask).sum() / trained),
            ratio=float((ratio * mask).sum() / trained),
            clipped=float(((plain != gain) * mask).sum() / trained),
        )
