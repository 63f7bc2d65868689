"""The fused loss is the plain one, and so are its gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from falcon_lsp.learning.policy.fused_loss import CHUNK, fused_cross_entropy

VOCABULARY, WIDTH, ROWS = 40, 16, [3, 7]


@pytest.mark.parametrize("positions", [1, CHUNK - 1, CHUNK, 2 * CHUNK + 5])
def test_loss_and_gradients_are_those_of_cross_entropy(positions: int) -> None:
    torch.manual_seed(positions)
    hidden = torch.randn(positions, WIDTH, requires_grad=True)
    trained = torch.randn(len(ROWS), WIDTH, requires_grad=True)
    head = torch.randn(VOCABULARY, WIDTH)
    targets = torch.randint(VOCABULARY, (positions,))
    weights = torch.rand(positions) + 0.1

    whole = head.index_copy(0, torch.tensor(ROWS), trained)
    losses = functional.cross_entropy(hidden @ whole.T, targets, reduction="none")
    plain = (losses * weights).sum() / weights.sum()
    expected = torch.autograd.grad(plain, [hidden, trained])

    fused = fused_cross_entropy(hidden, trained, head, torch.tensor(ROWS), targets, weights)
    gradients = torch.autograd.grad(fused, [hidden, trained])

    torch.testing.assert_close(fused, plain)
    for found, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_positions_without_weight_do_not_count() -> None:
    hidden = torch.randn(6, WIDTH, requires_grad=True)
    trained = torch.zeros(len(ROWS), WIDTH, requires_grad=True)
    weights = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    loss = fused_cross_entropy(
        hidden,
        trained,
        torch.randn(VOCABULARY, WIDTH),
        torch.tensor(ROWS),
        torch.randint(VOCABULARY, (6,)),
        weights,
    )
    (gradient,) = torch.autograd.grad(loss, [hidden])
    assert (gradient.abs().sum(1) > 0).tolist() == (weights > 0).tolist()
