"""Cross-entropy of a tied head without ever holding the logits of a whole batch.

A vocabulary of 49,152 makes the logits the largest thing in a training step of a small model: 2,048
positions are 400 MB in fp32, written and read five times. Here they come in pieces that stay in the
cache, and the gradient is taken on the way forward. The idea is that of Liger Kernel's fused linear
cross-entropy (arXiv 2410.10989).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK = 128
"""Positions at a time: 128 x 49,152 logits in fp32 are 25 MB."""


class _FusedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        trained: Tensor,
        head: Tensor,
        rows: Tensor,
        targets: Tensor,
        weights: Tensor,
    ) -> Tensor:
        shares = weights / weights.sum()
        grad_hidden = torch.empty_like(hidden)
        grad_trained = torch.zeros_like(trained)
        loss = torch.zeros((), device=hidden.device)
        for start in range(0, len(hidden), CHUNK):
            at = slice(start, start + CHUNK)
            logits = (hidden[at] @ head.T).float()
            normaliser = logits.logsumexp(-1)
            right = targets[at, None]
            loss += ((normaliser - logits.gather(1, right)[:, 0]) * shares[at]).sum()
            gradient = logits.sub_(normaliser[:, None]).exp_()
            gradient.scatter_add_(1, right, torch.full_like(right, -1.0, dtype=torch.float32))
            narrow = gradient.mul_(shares[at, None]).to(hidden.dtype)
            grad_hidden[at] = narrow @ head
            grad_trained += (narrow[:, rows].T @ hidden[at]).float()
        ctx.save_for_backward(grad_hidden, grad_trained)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        grad_hidden, grad_trained = ctx.saved_tensors
        (scale,) = gradients
        return grad_hidden * scale, grad_trained * scale, None, None, None, None


def fused_cross_entropy(
    hidden: Tensor, trained: Tensor, head: Tensor, rows: Tensor, targets: Tensor, weights: Tensor
) -> Tensor:
    """Return the weighted mean cross-entropy, nats.

    ``hidden`` is ``(N, H)``, ``head`` ``(V, H)`` and frozen but for ``rows`` ``(R,)``, which stand
    in ``trained`` ``(R, H)`` and are copied into it here; ``targets`` and ``weights`` are ``(N,)``.
    Gradients reach ``hidden`` and ``trained``.
    """
    with torch.no_grad():
        head[rows] = trained.to(head.dtype)
    loss: Tensor = _FusedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden.to(head.dtype), trained, head, rows, targets, weights
    )
    return loss
