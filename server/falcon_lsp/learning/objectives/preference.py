"""Learning from preferences without sampling: pairs (DPO), or single texts liked or not (KTO).

All arguments are log-probabilities of whole answers, ``(B,)``, from `tokens.sequence_logprobs`.
Sources: DPO (arXiv 2305.18290, equation 7), KTO (arXiv 2402.01306, equations 7 and 8).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo_loss(
    preferred: Tensor,
    refused: Tensor,
    base_preferred: Tensor,
    base_refused: Tensor,
    *,
    beta: float,
) -> Tensor:
    """Return the loss of each pair ``(B,)``: settled text preferred to what was suggested.

    ``beta`` is the strength of the leash to the base: the larger, the shorter.
    """
    margin = (preferred - base_preferred) - (refused - base_refused)
    return -logsigmoid(beta * margin)


def kto_loss(
    logprobs: Tensor,
    base_logprobs: Tensor,
    liked: Tensor,
    reference: Tensor,
    *,
    beta: float,
    liked_weight: float = 1.0,
    refused_weight: float = 1.0,
) -> Tensor:
    """Return the loss of each text ``(B,)``; ``liked (B,)`` is boolean.

    ``reference`` (scalar) is `kto_reference`: a text is judged by how much more it gained than
    texts gain anyway.
    """
    gained = logprobs - base_logprobs - reference
    signed = torch.where(liked, gained, -gained)
    weights = torch.where(liked, liked_weight, refused_weight)
    return weights * (1.0 - torch.sigmoid(beta * signed))


def kto_reference(mismatched: Tensor, base_mismatched: Tensor) -> Tensor:
    """Estimate KL(current || base) from answers put behind other examples' prompts: a scalar.

    Never below 0 and without a gradient.
    """
    return (mismatched - base_mismatched).mean().detach().clamp(min=0.0)
