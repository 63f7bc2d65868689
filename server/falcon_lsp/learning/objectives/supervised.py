"""Supervised learning on settled text: say what the developer wrote in the end."""

from __future__ import annotations

from torch import Tensor

from falcon_lsp.learning.objectives.tokens import masked, token_logprobs


def supervised_loss(logits: Tensor, ids: Tensor, mask: Tensor, *, normaliser: float) -> Tensor:
    """Return the cross-entropy of the masked ``ids (B, K)`` under ``logits (B, K, V)``.

    Summed over ``normaliser``, the number of trained tokens of the whole step, so that gradients of
    the micro-batches add up to the step's.
    """
    return -masked(token_logprobs(logits, ids), mask).sum() / normaliser
