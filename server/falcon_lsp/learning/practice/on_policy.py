"""The on-policy step: each sample of a group against the others, on a leash to the base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.crew import ALONE, Crew
from falcon_lsp.learning.dataset import Scored
from falcon_lsp.learning.objectives.policy import Loss, clipped_loss, group_advantages
from falcon_lsp.learning.objectives.tokens import sampled_kl, token_logprobs
from falcon_lsp.learning.policy.model import PolicyModel
from falcon_lsp.learning.policy.packing import Batch, collate
from falcon_lsp.learning.practice.rollouts import Rollout
from falcon_lsp.learning.samples import chunks


@dataclass(frozen=True, slots=True)
class Leash:
    """How far one step may go. ``rows`` sequences are computed together."""

    clip: float = 0.2
    dual_clip: float = 3.0
    beta: float = 0.02
    kl_cap: float = 0.5
    gradient_norm: float = 1.0
    rows: int = 12


@dataclass(frozen=True, slots=True)
class Credited:
    """A sampled answer with what each of its tokens deserves, all of one length.

    ``weight`` is how often the very same answer was sampled, where the token was a choice.
    """

    sequence: Scored
    behaviour: tuple[float, ...]
    advantages: tuple[float, ...]
    weight: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One step: the loss, and means over the trained tokens; ``kl`` is against the base, before.

    ``computed`` counts the positions of the forward pass: samples of one context share its reading.
    """

    loss: float
    kl: float
    ratio: float
    clipped: float
    tokens: int
    computed: int


def credit_group(
    group: Sequence[Rollout], rewards: Sequence[float], penalties: Sequence[Sequence[float]]
) -> list[Credited]:
    """Return what each *different* answer of one context deserves; none where nothing is learned.

    A token's advantage is the group-relative one of its answer plus its own penalty.
    """
    relative = group_advantages(rewards)
    counts = Counter(one.sequence for one in group)
    found: dict[Scored, Credited] = {}
    for one, advantage, penalty in zip(group, relative, penalties, strict=True):
        deserved = tuple(advantage + part for part in penalty)
        weight = tuple(counts[one.sequence] * credit for credit in one.credit)
        found.setdefault(one.sequence, Credited(one.sequence, one.logprobs, deserved, weight))
    taught = any(any(one.advantages) for one in found.values())
    return list(found.values()) if taught else []


def find_gradient(
    model: PolicyModel,
    passes: Sequence[Sequence[Credited]],
    leash: Leash,
    token: CancellationToken,
    crew: Crew = ALONE,
) -> Measured:
    """Leave the gradient of one step in the model, summed over ``passes``.

    Raises `Cancelled` between two of them.
    """
    model.clear_gradients()
    total = max(1.0, sum(sum(one.weight) for rows in passes for one in rows))
    sums = torch.zeros(5, device=model.device)
    for rows in crew.share(passes):
        token.check()
        batch = collate([one.sequence for one in rows]).to(model.device)
        loss = _loss(model, batch, rows, leash, total)
        loss.value.backward()  # type: ignore[no-untyped-call]
        share = sum(sum(one.weight) for one in rows) / total
        means = [share * each for each in (loss.kl, loss.ratio, loss.clipped)]
        sums += torch.tensor([float(loss.value.detach()), *means, len(batch)], device=model.device)
    crew.add_up([*model.gradients, sums])
    value, kl, ratio, clipped, computed = sums.tolist()
    return Measured(value, kl, ratio, clipped, int(total), int(computed))


def take_step(
    model: PolicyModel,
    optimizer: torch.optim.Optimizer,
    samples: Sequence[Credited],
    leash: Leash,
    token: CancellationToken,
) -> Measured | None:
    """Take one step; None, with the model as it was, where the KL to the base is above its cap.

    Raises `Cancelled` between two micro-batches.
    """
    measured = find_gradient(model, list(chunks(samples, leash.rows)), leash, token)
    if measured.kl > leash.kl_cap:
        return None
    nn.utils.clip_grad_norm_(model.parameters, leash.gradient_norm)
    optimizer.step()
    return measured


def _loss(
    model: PolicyModel, batch: Batch, rows: Sequence[Credited], leash: Leash, normaliser: float
) -> Loss:
    with torch.no_grad(), model.base():
        base = token_logprobs(model.logits(batch), batch.targets)
    behaviour = _aligned(batch, [one.behaviour for one in rows])
    logprobs = token_logprobs(model.logits(batch), batch.targets)
    return clipped_loss(
        logprobs,
        behaviour,
        _aligned(batch, [one.advantages for one in rows]),
        sampled_kl(logprobs, base, behaviour),
        _aligned(batch, [one.weight for one in rows]),
        clip=leash.clip,
        dual_clip=leash.dual_clip,
        beta=leash.beta,
        normaliser=normaliser,
    )


def _aligned(batch: Batch, values: Sequence[Sequence[float]]) -> Tensor:
    """Lay out one number per answer token as the batch's targets are: ``(B, K)``."""
    laid = torch.zeros(batch.targets.shape)
    for row, numbers in enumerate(values):
        laid[row, laid.shape[1] - len(numbers) :] = torch.tensor(numbers)
    return laid.to(batch.targets.device)
