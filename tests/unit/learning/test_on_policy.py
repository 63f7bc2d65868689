"""Facts about the on-policy step, on a tiny real model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.types import Prompt
from falcon_lsp.learning.dataset import Encoding, Scored
from falcon_lsp.learning.objectives.policy import group_advantages
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel
from falcon_lsp.learning.policy.packing import collate
from falcon_lsp.learning.practice.on_policy import Credited, Leash, credit_group, take_step
from falcon_lsp.learning.practice.rollouts import Asked, Rollout, Sampler, Sampling

CONTEXT = tuple(range(40, 60))
LOOSE = Leash(beta=0.0, gradient_norm=1e9)


@pytest.fixture
def policy(tiny_model: Path) -> PolicyModel:
    return PolicyModel(tiny_model, None, LoraShape(rank=4, alpha=8), 0)


def _rollout(answer: tuple[int, ...], credit: tuple[float, ...] = ()) -> Rollout:
    logprobs = (-2.0,) * len(answer)
    chosen = credit or (1.0,) * len(answer)
    return Rollout("x", "", Scored(CONTEXT, answer), logprobs, chosen, "line", 0)


def _odds(policy: PolicyModel, answer: tuple[int, ...]) -> float:
    return float(policy.logprobs(collate([Scored(CONTEXT, answer)])).sum())


def _step(policy: PolicyModel, samples: list[Credited], leash: Leash = LOOSE, rate: float = 1e-2):
    optimizer = torch.optim.SGD(policy.parameters, lr=rate)
    return take_step(policy, optimizer, samples, leash, CancellationToken())


def _on_policy(policy: PolicyModel, answers: list[tuple[int, ...]]) -> list[Rollout]:
    batch = collate([Scored(CONTEXT, answer) for answer in answers])
    found = policy.logprobs(batch)
    return [
        Rollout("x", "", Scored(CONTEXT, a), tuple(row[-len(a) :].tolist()), (1.0,) * len(a), "", 0)
        for a, row in zip(answers, found, strict=True)
    ]


def test_what_did_better_than_its_group_becomes_likelier(policy: PolicyModel) -> None:
    good, bad = (70, 71, 72), (80, 81)
    samples = credit_group(_on_policy(policy, [good, bad]), [1.0, 0.0], [(0.0,) * 3, (0.0,) * 2])
    before = _odds(policy, good), _odds(policy, bad)
    measured = _step(policy, samples, rate=1.0)
    assert measured is not None
    assert measured.tokens == 5
    assert measured.computed == len(CONTEXT) + 2 + 1  # the context once; last tokens not at all
    assert measured.ratio == pytest.approx(1.0, abs=1e-2)
    assert _odds(policy, good) > before[0]
    assert _odds(policy, bad) < before[1]


def test_equal_rewards_teach_nothing_unless_a_line_is_blamed() -> None:
    group = [_rollout((70, 71)), _rollout((80, 81))]
    clean = [(0.0, 0.0)] * 2
    assert credit_group(group, [0.4, 0.4], clean) == []
    blamed = credit_group(group, [0.4, 0.4], [(0.0, -0.3), (0.0, 0.0)])
    assert [one.advantages for one in blamed] == [(0.0, -0.3), (0.0, 0.0)]


def test_the_same_answer_is_computed_once_and_counts_as_often_as_it_was_said(
    policy: PolicyModel,
) -> None:
    said = [(70, 71), (80, 81), (70, 71), (70, 71)]
    rollouts, rewards = _on_policy(policy, said), [1.0, 0.0, 1.0, 1.0]
    merged = credit_group(rollouts, rewards, [(0.0, 0.0)] * 4)
    assert [one.weight for one in merged] == [(3.0, 3.0), (1.0, 1.0)]
    plain = [
        Credited(one.sequence, one.logprobs, (advantage,) * 2, (1.0, 1.0))
        for one, advantage in zip(rollouts, group_advantages(rewards), strict=True)
    ]
    start, found = policy.state(), []
    for samples in (merged, plain):
        policy.restore(start)
        assert _step(policy, samples) is not None
        found.append(policy.state())
    assert any(not torch.equal(one, other) for one, other in zip(start, found[0], strict=True))
    for one, other, first in zip(*found, start, strict=True):
        assert torch.allclose(one - first, other - first, atol=2e-2 * float((one - first).norm()))


def test_tokens_without_credit_change_nothing(policy: PolicyModel) -> None:
    group = [_rollout((70, 71), (0.0, 0.0)), _rollout((80, 81), (0.0, 0.0))]
    start = policy.state()
    assert _step(policy, credit_group(group, [1.0, 0.0], [(0.0, 0.0)] * 2)) is not None
    assert all(map(torch.equal, start, policy.state()))


def test_too_far_from_the_base_no_step_is_taken(policy: PolicyModel) -> None:
    with torch.no_grad():
        for parameter in policy.parameters:
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    samples = credit_group(_on_policy(policy, [(70, 71), (80, 81)]), [1.0, 0.0], [(0.0, 0.0)] * 2)
    start = policy.state()
    assert _step(policy, samples, Leash(kl_cap=1e-4)) is None
    assert all(map(torch.equal, start, policy.state()))
    assert _step(policy, samples, Leash(kl_cap=1e9)) is not None


def test_a_cancelled_step_leaves_the_model_as_it_was(policy: PolicyModel) -> None:
    samples = credit_group([_rollout((70,)), _rollout((80,))], [1.0, 0.0], [(0.0,)] * 2)
    token = CancellationToken()
    token.cancel()
    start = policy.state()
    with pytest.raises(Cancelled):
        take_step(policy, torch.optim.SGD(policy.parameters, lr=1.0), samples, LOOSE, token)
    assert all(map(torch.equal, start, policy.state()))


def test_what_was_sampled_is_what_is_trained(policy: PolicyModel, encoding: Encoding) -> None:
    """Sampling with a cache and the training pass agree on the odds: the first ratio is 1."""
    sampler = Sampler(policy.peft, encoding.tokenizer, encoding.fmt)
    asked = Asked("x", Prompt("a.py", "for item in items:\n", "\n"))
    group = sampler.sample([asked], Sampling(6, 8), CancellationToken())[0]
    rewards = [float(at % 2) for at in range(6)]
    penalties = [(0.0,) * len(one.sequence.answer) for one in group]
    measured = _step(policy, credit_group(group, rewards, penalties))
    assert measured is not None
    assert measured.ratio == pytest.approx(1.0, abs=0.02)
    assert measured.clipped < 0.05
