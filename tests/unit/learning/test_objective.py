"""The objective against formulas worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from falcon_lsp.learning.objectives.policy import advantages, policy_loss
from falcon_lsp.learning.objectives.tokens import kl_divergence, token_logprobs

FREE = {"clip": 0.2, "dual_clip": 3.0, "beta": 0.0, "normaliser": 1.0}


def loss_of(logits, ids, weights, mask, *, behaviour=None, base=None, **changes):
    behaviour = token_logprobs(logits, ids).detach() if behaviour is None else behaviour
    base = logits.detach() if base is None else base
    return policy_loss(logits, base, ids, behaviour, weights, mask, **{**FREE, **changes})


def test_gradient_on_policy_is_advantage_times_softmax_minus_one_hot() -> None:
    """At ratio 1 the gradient of the loss is A (softmax - onehot): REINFORCE, by hand."""
    logits = torch.tensor([[[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]], requires_grad=True)
    ids = torch.tensor([[1, 0]])
    weights = torch.tensor([[0.7, -1.3]])
    loss_of(logits, ids, weights, torch.ones(1, 2)).value.backward()
    onehot = torch.nn.functional.one_hot(ids, 3).float()
    expected = weights.unsqueeze(-1) * (torch.softmax(logits.detach(), -1) - onehot)
    assert torch.allclose(logits.grad, expected, atol=1e-6)


def test_off_policy_gradient_is_weighted_by_the_ratio() -> None:
    logits = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
    ids, weights = torch.tensor([[0]]), torch.tensor([[2.0]])
    logprob = token_logprobs(logits.detach(), ids).item()
    behaviour = torch.tensor([[logprob - math.log(1.1)]])
    loss_of(logits, ids, weights, torch.ones(1, 1), behaviour=behaviour).value.backward()
    p = 1 / (1 + math.exp(-1.0))
    assert logits.grad[0, 0, 0].item() == pytest.approx(2.0 * 1.1 * (p - 1), rel=1e-5)


@pytest.mark.parametrize(
    ("advantage", "ratio", "moves"),
    [
        (1.0, 1.5, False),  # already much likelier: no more push
        (1.0, 0.5, True),
        (-1.0, 0.5, False),  # already much less likely
        (-1.0, 1.5, True),
        (-1.0, 5.0, False),  # beyond the dual clip: one stale sample does not blow up
    ],
)
def test_clipping(advantage, ratio, moves) -> None:
    logits = torch.tensor([[[0.3, 0.0]]], requires_grad=True)
    ids = torch.tensor([[0]])
    behaviour = token_logprobs(logits.detach(), ids) - math.log(ratio)
    loss = loss_of(
        logits, ids, torch.full((1, 1), advantage), torch.ones(1, 1), behaviour=behaviour
    )
    loss.value.backward()
    assert (logits.grad.abs().sum() > 0).item() is moves
    assert loss.clipped == (0.0 if moves else 1.0)


def test_prompt_tokens_carry_no_loss() -> None:
    """Whatever the model says about the prompt changes neither the loss nor any gradient."""
    ids = torch.tensor([[2, 1, 0]])
    mask = torch.tensor([[0.0, 1.0, 1.0]])
    weights = torch.tensor([[5.0, 1.0, -1.0]])
    behaviour = torch.tensor([[-9.0, -1.0, -1.2]])
    found = []
    for prompt_logits in ([0.0, 0.0, 0.0], [7.0, -3.0, 40.0]):
        logits = torch.tensor([[prompt_logits, [1.0, 2.0, 3.0], [0.0, 1.0, 0.5]]])
        logits.requires_grad_(True)
        base = torch.zeros(1, 3, 3)
        loss = loss_of(logits, ids, weights, mask, behaviour=behaviour, base=base, beta=0.1)
        loss.value.backward()
        assert torch.count_nonzero(logits.grad[0, 0]) == 0
        found.append((loss.value.item(), loss.kl, logits.grad[0, 1:].clone()))
    assert found[0][:2] == found[1][:2]
    assert torch.equal(found[0][2], found[1][2])


def test_kl_is_exact_and_its_penalty_pulls_back_to_the_base() -> None:
    logits = torch.tensor([[[2.0, 0.0]]], requires_grad=True)
    base = torch.tensor([[[0.0, 0.0]]])
    p = 1 / (1 + math.exp(-2.0))
    by_hand = p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)
    assert kl_divergence(logits, base).item() == pytest.approx(by_hand, rel=1e-5)
    loss = loss_of(
        logits, torch.tensor([[0]]), torch.zeros(1, 1), torch.ones(1, 1), base=base, beta=1.0
    )
    loss.value.backward()
    assert loss.kl == pytest.approx(by_hand, rel=1e-5)
    assert logits.grad[0, 0, 0] > 0 > logits.grad[0, 0, 1]


def test_baseline_leaves_one_out_within_a_language() -> None:
    rewards, groups = [1.0, 0.0, 0.5, -1.0], ["py", "py", "py", "ts"]
    raw = [1.0 - 0.25, 0.0 - 0.75, 0.5 - 0.5, -1.0 - 0.0]
    mean = sum(raw) / 4
    spread = math.sqrt(sum((value - mean) ** 2 for value in raw) / 4)
    assert advantages(rewards, groups) == pytest.approx([value / spread for value in raw])


def test_equal_rewards_teach_nothing_and_small_differences_stay_small() -> None:
    assert advantages([0.75] * 5, ["py"] * 5) == [0.0] * 5
    assert max(map(abs, advantages([0.75, 0.74], ["py", "py"]))) == pytest.approx(0.1)
    assert advantages([], []) == []
