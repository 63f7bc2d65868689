"""One micro-batch under one of the objectives: what is minimised, and what is measured beside."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from falcon_lsp.learning.objectives.policy import Loss, policy_loss
from falcon_lsp.learning.objectives.preference import dpo_loss, kto_loss
from falcon_lsp.learning.objectives.supervised import supervised_loss
from falcon_lsp.learning.objectives.tokens import kl_divergence, masked, sequence_logprobs


class Objective(enum.StrEnum):
    """What an update learns from.

    `POLICY`: what was sampled, by its reward. `SUPERVISED`: what the developer liked.
    `PREFERENCE`: what was liked before what was disliked in the same place (DPO). `KTO`: each text
    by itself, liked or not. `ON_POLICY`: what the model says now in the same places, by its reward
    (`falcon_lsp.learning.practice.rounds`).
    """

    POLICY = "policy"
    SUPERVISED = "supervised"
    PREFERENCE = "preference"
    KTO = "kto"
    ON_POLICY = "on-policy"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far and how fast a policy may go; see `falcon_lsp.learning.trainer.Recipe`."""

    clip: float = 0.2
    dual_clip: float = 3.0
    beta: float = 0.05
    preference_beta: float = 0.1


@dataclass(frozen=True, slots=True)
class View:
    """A micro-batch as the model sees it now. Logits are ``(B, K, V)``, all else ``(B, K)``.

    But for ``reference``, a scalar: `objectives.preference.kto_reference` of the whole step.
    """

    logits: Tensor
    base_logits: Tensor
    ids: Tensor
    behaviour: Tensor
    advantages: Tensor
    credit: Tensor
    reference: Tensor


def policy(view: View, bounds: Bounds, normaliser: float) -> Loss:
    """Return the clipped, reward-weighted policy gradient, per trained token."""
    return policy_loss(
        view.logits,
        view.base_logits,
        view.ids,
        view.behaviour,
        view.advantages,
        view.credit,
        clip=bounds.clip,
        dual_clip=bounds.dual_clip,
        beta=bounds.beta,
        normaliser=normaliser,
    )


def supervised(view: View, _bounds: Bounds, normaliser: float) -> Loss:
    """Return the cross-entropy per trained token."""
    value = supervised_loss(view.logits, view.ids, view.credit, normaliser=normaliser)
    return _measured(value, view)


def preference(view: View, bounds: Bounds, normaliser: float) -> Loss:
    """Return DPO's loss per pair; liked and disliked text of a place take turns in the batch."""
    said = sequence_logprobs(view.logits, view.ids, view.credit)
    base = sequence_logprobs(view.base_logits, view.ids, view.credit)
    losses = dpo_loss(said[::2], said[1::2], base[::2], base[1::2], beta=bounds.preference_beta)
    return _measured(losses.sum() / normaliser, view)


def kto(view: View, bounds: Bounds, normaliser: float) -> Loss:
    """Return KTO's loss per text; the sign of its advantages says whether it is liked."""
    said = sequence_logprobs(view.logits, view.ids, view.credit)
    base = sequence_logprobs(view.base_logits, view.ids, view.credit)
    liked = (view.advantages * view.credit).sum(-1) > 0
    losses = kto_loss(said, base, liked, view.reference, beta=bounds.preference_beta)
    return _measured(losses.sum() / normaliser, view)


LOSSES: Mapping[Objective, Callable[[View, Bounds, float], Loss]] = MappingProxyType(
    {
        Objective.POLICY: policy,
        Objective.SUPERVISED: supervised,
        Objective.PREFERENCE: preference,
        Objective.KTO: kto,
    }
)


@torch.no_grad()
def _measured(value: Tensor, view: View) -> Loss:
    kl = masked(kl_divergence(view.logits, view.base_logits), view.credit)
    mean = float(kl.sum() / view.credit.sum().clamp(min=1.0))
    return Loss(value, policy=float(value), kl=mean, ratio=1.0, clipped=0.0)
