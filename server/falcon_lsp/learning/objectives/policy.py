"""The policy gradient: clipped, reward-weighted, on a leash to the base model.

Log-probabilities are those *of the sampled tokens*. Sources: PPO (arXiv 1707.06347) for the clipped
ratio, its dual clip (arXiv 1912.09729) because logged data is off-policy, leave-one-out baselines
as in RLOO (arXiv 2402.14740), groups of samples of one context as in GRPO (arXiv 2402.03300),
summed over all tokens of a step as in DAPO (arXiv 2503.14476): no token counts less in a long
answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from falcon_lsp.learning.objectives.tokens import kl_divergence, masked, token_logprobs

LEAST_SPREAD = 0.1
"""Advantages are divided by their spread, but never by less: small differences stay small."""

GROUP_SPREAD = 1e-4
"""Added to a group's spread (standard deviation), as the reference implementation does."""


@dataclass(frozen=True, slots=True)
class Loss:
    """``value`` is to be minimised; the rest are means over the trained tokens, for the log."""

    value: Tensor
    policy: float
    kl: float
    ratio: float
    clipped: float


def advantages(rewards: Sequence[float], groups: Sequence[str]) -> list[float]:
    """Return ``(reward - baseline) / spread`` of each logged episode, one sample a context.

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


def group_advantages(rewards: Sequence[float]) -> list[float]:
    """Return ``(reward - mean) / (deviation + 1e-4)`` of the samples of *one* context.

    The deviation is the unbiased one (over n - 1). Equal rewards teach nothing: all are 0.
    """
    if len(rewards) < 2:
        return [0.0] * len(rewards)
    mean = sum(rewards) / len(rewards)
    squares = sum((reward - mean) ** 2 for reward in rewards)
    deviation = (squares / (len(rewards) - 1)) ** 0.5
    return [(reward - mean) / (deviation + GROUP_SPREAD) for reward in rewards]


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
    """Return the objective of one mini-batch with the KL exact over the vocabulary.

    ``logits`` and ``base_logits`` are ``(B, K, V)``; the rest is as for `clipped_loss`.
    """
    return clipped_loss(
        token_logprobs(logits, ids),
        behaviour_logprobs,
        token_advantages,
        kl_divergence(logits, base_logits),
        mask,
        clip=clip,
        dual_clip=dual_clip,
        beta=beta,
        normaliser=normaliser,
    )


def clipped_loss(
    logprobs: Tensor,
    behaviour_logprobs: Tensor,
    token_advantages: Tensor,
    kl: Tensor,
    mask: Tensor,
    *,
    clip: float,
    dual_clip: float,
    beta: float,
    normaliser: float,
) -> Loss:
    """Return the objective of one mini-batch, summed over masked tokens, over ``normaliser``.

    All tensors are ``(B, K)``. ``behaviour_logprobs`` are of the same tokens under the policy that
    sampled them; ``kl`` is each position's divergence from the base. ``normaliser`` is the number
    of trained tokens of the whole step, so that gradients of the micro-batches add up to the
    step's.
    """
    shift = torch.where(mask > 0, logprobs - behaviour_logprobs, 0.0)
    ratio = shift.clamp(-20.0, 20.0).exp()
    plain = ratio * token_advantages
    bounded = ratio.clamp(1.0 - clip, 1.0 + clip) * token_advantages
    gain = torch.minimum(plain, bounded)
    gain = torch.where(token_advantages < 0, gain.maximum(dual_clip * token_advantages), gain)
    value = masked(beta * kl - gain, mask).sum() / normaliser
    trained = mask.sum().clamp(min=1.0)
    with torch.no_grad():
        return Loss(
            value,
            policy=float(-masked(gain, mask).sum() / trained),
            kl=float(masked(kl, mask).sum() / trained),
            ratio=float((ratio * mask).sum() / trained),
            clipped=float(((plain != gain) * mask).sum() / trained),
        )
