"""Facts about every objective: by hand where a hand can, and that prompts carry no loss."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from falcon_lsp.learning.objectives import rltf
from falcon_lsp.learning.objectives.memory_shaped import MemoryReward, Scale, closeness, distance
from falcon_lsp.learning.objectives.policy import clipped_loss, group_advantages
from falcon_lsp.learning.objectives.preference import dpo_loss, kto_loss, kto_reference
from falcon_lsp.learning.objectives.supervised import supervised_loss
from falcon_lsp.learning.objectives.tokens import (
    kl_divergence,
    sampled_kl,
    sequence_logprobs,
    token_logprobs,
)

IDS = torch.tensor([[2, 1, 0], [0, 2, 1]])
MASK = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
OPTIONS = {"clip": 0.2, "dual_clip": 3.0, "beta": 0.1, "normaliser": 3.0}


def _supervised(logits):
    return supervised_loss(logits, IDS, MASK, normaliser=3.0)


def _dpo(logits):
    liked, refused = sequence_logprobs(logits, IDS, MASK)
    return dpo_loss(liked, refused, liked.new_tensor(-1.0), refused.new_tensor(-2.0), beta=0.1)


def _kto(logits):
    found = sequence_logprobs(logits, IDS, MASK)
    liked = torch.tensor([True, False])
    return kto_loss(found, torch.tensor([-1.0, -2.0]), liked, torch.tensor(0.3), beta=0.1).sum()


def _policy(logits):
    logprobs = token_logprobs(logits, IDS)
    behaviour = torch.full_like(MASK, -1.0)
    kl = sampled_kl(logprobs, torch.full_like(MASK, -1.2), behaviour)
    weights = torch.tensor([[3.0, 1.0, -1.0], [9.0, 9.0, 0.5]])
    return clipped_loss(logprobs, behaviour, weights, kl, MASK, **OPTIONS).value


@pytest.mark.parametrize("objective", [_supervised, _dpo, _kto, _policy])
@pytest.mark.parametrize("prompt", [5.0, -40.0, math.inf, math.nan])
def test_prompt_tokens_carry_no_loss(objective, prompt) -> None:
    """Whatever stands at the hidden positions: same loss, same gradient, none of it there."""
    torch.manual_seed(0)
    plain = torch.randn(2, 3, 3)
    found = []
    for shift in (0.0, prompt):
        logits = torch.where(MASK.unsqueeze(-1) > 0, plain, plain + torch.tensor([shift, 0.0, 1.0]))
        logits.requires_grad_(True)
        value = objective(logits)
        value.backward()
        found.append((value.item(), logits.grad[MASK > 0]))
        if math.isfinite(shift):
            assert torch.count_nonzero(logits.grad[MASK == 0]) == 0
    assert math.isfinite(found[0][0])
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])
    assert torch.count_nonzero(found[0][1]) > 0


def test_micro_batches_add_up_to_the_step() -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, 3, 3)
    whole = supervised_loss(logits, IDS, MASK, normaliser=3.0)
    parts = sum(
        supervised_loss(logits[[row]], IDS[[row]], MASK[[row]], normaliser=3.0) for row in (0, 1)
    )
    assert whole.item() == pytest.approx(parts.item())


def test_it_is_no_mean_of_logits_times_reward() -> None:
    """The loss of the published code leaves the chosen token out; its gradient is another one."""
    torch.manual_seed(2)
    found = {}
    for name in ("published", "ours"):
        logits = torch.randn(1, 2, 5, generator=torch.Generator().manual_seed(0))
        logits.requires_grad_(True)
        ids, weights = torch.tensor([[3, 1]]), torch.ones(1, 2)
        if name == "published":
            value = (logits * weights.unsqueeze(-1)).mean()
        else:
            logprobs = token_logprobs(logits, ids)
            value = clipped_loss(
                logprobs, logprobs.detach(), weights, torch.zeros(1, 2), torch.ones(1, 2),
                clip=0.2, dual_clip=3.0, beta=0.0, normaliser=2.0,
            ).value  # fmt: skip
        value.backward()
        found[name] = logits.grad
    assert found["published"].unique().numel() == 1
    chosen = found["ours"].gather(-1, torch.tensor([[[3], [1]]]))
    assert (chosen < 0).all()  # descent makes a rewarded token likelier
    assert (found["ours"] < 0).sum() == 2  # and every other one less likely


def test_the_divergence_and_its_gradient_are_those_of_the_plain_formula() -> None:
    torch.manual_seed(3)
    base, weights = torch.randn(3, 11, 7), torch.rand(3, 11)
    found = []
    for at in range(2):
        logits = torch.randn(3, 11, 7, generator=torch.Generator().manual_seed(0))
        logits.requires_grad_(True)
        current = torch.log_softmax(logits, -1)
        plain = (current.exp() * (current - torch.log_softmax(base, -1))).sum(-1)
        divergence = (plain, kl_divergence(logits, base))[at]
        (divergence * weights).sum().backward()
        found.append((divergence.detach(), logits.grad))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_divergence_keeps_nothing_but_the_logits() -> None:
    logits, base = torch.randn(2, 40, 5, requires_grad=True), torch.randn(2, 40, 5)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda x: x):
        kl_divergence(logits, base)
    assert [one.data_ptr() for one in kept] == [logits.data_ptr(), base.data_ptr()]


def test_dpo_by_hand() -> None:
    liked, refused = torch.tensor([-2.0]), torch.tensor([-3.0])
    loss = dpo_loss(liked, refused, torch.tensor([-2.5]), torch.tensor([-2.5]), beta=0.5)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-0.5 * 1.0)))


def test_kto_by_hand_and_its_reference_is_never_negative_nor_learned() -> None:
    logprobs = torch.tensor([-1.0, -1.0], requires_grad=True)
    liked = torch.tensor([True, False])
    loss = kto_loss(
        logprobs,
        torch.tensor([-2.0, -2.0]),
        liked,
        torch.tensor(0.25),
        beta=1.0,
        refused_weight=2.0,
    )
    by_hand = 1 / (1 + math.exp(0.75))
    assert loss.tolist() == pytest.approx([by_hand, 2 * (1 - by_hand)])
    lower = kto_reference(logprobs - 5.0, torch.zeros(2))
    assert lower.item() == 0.0
    assert not kto_reference(logprobs, torch.tensor([-2.0, -2.0])).requires_grad


def test_sampled_kl_is_the_exact_one_on_average_value_and_gradient() -> None:
    """Summed over the whole vocabulary by probability nothing is left to chance."""
    logits = torch.tensor([[[0.5, -1.0, 2.0]]], requires_grad=True)
    base = torch.tensor([[[0.0, 0.3, 1.0]]])
    exact = kl_divergence(logits, base).sum()
    (expected,) = torch.autograd.grad(exact, logits, retain_graph=True)
    ids = torch.tensor([[0, 1, 2]])
    current = token_logprobs(logits.expand(1, 3, 3), ids)
    chances = current.detach().exp()
    estimate = (chances * sampled_kl(current, token_logprobs(base.expand(1, 3, 3), ids),
                                     current.detach())).sum()  # fmt: skip
    (found,) = torch.autograd.grad(estimate, logits)
    assert estimate.item() == pytest.approx(exact.item(), rel=1e-5)
    assert torch.allclose(found, expected, atol=1e-6)


def test_group_advantages_are_relative_to_the_samples_of_one_context() -> None:
    spread = math.sqrt(4 * 0.25 / 3)
    assert group_advantages([1.0, 0.0, 1.0, 0.0]) == pytest.approx(
        [value / (spread + 1e-4) for value in (0.5, -0.5, 0.5, -0.5)]
    )
    assert group_advantages([0.7] * 4) == [0.0] * 4
    assert group_advantages([1.0]) == [0.0]
    assert group_advantages([]) == []


@pytest.mark.parametrize(
    ("error", "passed", "coarse"),
    [
        ("SyntaxError", 0, -1.0),
        ("NameError", 2, -0.6),
        ("AssertionError", 2, -0.3),
        ("TimeoutError", 2, -0.6),
        ("", 3, 1.0),
    ],
)
def test_rltf_looks_at_the_worst_that_happened(error, passed, coarse) -> None:
    assert rltf.coarse(error, passed, 3) == coarse


def test_rltf_counts_every_test() -> None:
    found = [rltf.adaptive(passed, 4) for passed in range(5)]
    assert found == pytest.approx([-0.3, 0.025, 0.35, 0.675, 1.0])


def test_rltf_blames_the_tokens_of_the_line_that_is_named() -> None:
    named = [False, True, True]
    assert rltf.fine("NameError", named) == [0.0, -0.3, -0.3]
    assert rltf.fine("NameError", [False] * 3) == [0.0] * 3
    assert rltf.fine("AssertionError", named) == [-0.3] * 3
    assert rltf.fine("TimeoutError", named) == [0.0] * 3
    assert rltf.fine("", [False] * 3) == [0.0] * 3


def _unit(*values: float) -> np.ndarray:
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


def test_memory_reward_rises_with_closeness_to_success_and_distance_to_failure() -> None:
    memory = MemoryReward(neighbours=1)
    near, far = _unit(1, 0, 0), _unit(0, 1, 0)
    memory.add("a", near, _unit(1, 0, 0.1), success=True)
    memory.add("a", near, _unit(0, 1, 0), success=False)
    memory.add("b", far, _unit(0, 0, 1), success=True)
    like = memory.reward("asked", near, _unit(1, 0, 0))
    unlike = memory.reward("asked", near, _unit(0, 1, 0.1))
    assert like.exploit > unlike.exploit
    assert like.explore > unlike.explore
    assert 0.0 <= unlike.total < like.total <= 0.2


def test_memory_never_meets_the_context_that_asks() -> None:
    memory = MemoryReward()
    context = _unit(1, 0)
    memory.add("same", context, _unit(1, 0), success=True)
    memory.add("same", context, _unit(0, 1), success=False)
    answers = [memory.reward("same", context, answer) for answer in (_unit(1, 0), _unit(0, 1))]
    assert [(one.exploit, one.explore) for one in answers] == [(0.5, 0.5)] * 2


def test_memory_is_bounded_and_comes_back_from_its_state() -> None:
    memory = MemoryReward(capacity=3)
    for number in range(10):
        memory.add(f"c{number}", _unit(1, number), _unit(number, 1), success=True)
    memory.reward("x", _unit(1, 9), _unit(1, 1))
    other = MemoryReward(capacity=3)
    other.restore(memory.state())
    assert other.state() == memory.state()
    assert [entry[0] for entry in memory.state()["sides"]["True"]] == ["c7", "c8", "c9"]


def test_closeness_is_to_the_centroid_and_distance_to_the_nearest() -> None:
    known = np.stack([_unit(1, 0), _unit(0, 1)])
    assert closeness(_unit(1, 1), known) == pytest.approx(1.0)
    assert distance(_unit(1, 0), known) == pytest.approx(0.0)


def test_a_scale_knows_only_what_it_saw() -> None:
    scale = Scale(window=2)
    assert [scale(value) for value in (3.0, 5.0, 4.0, 4.0)] == [0.5, 1.0, 0.0, 0.5]
