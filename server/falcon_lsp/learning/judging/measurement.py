"""What the gate needs to know of a candidate, measured with the model that was just trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.dataset import Encoding, Judgement, Scored, encode_text
from falcon_lsp.learning.judging.gate import Measurements
from falcon_lsp.learning.judging.regression import Hole
from falcon_lsp.learning.judging.replays import Replay
from falcon_lsp.learning.objectives.tokens import kl_divergence
from falcon_lsp.learning.policy.model import PolicyModel, collate


def measure(
    model: PolicyModel,
    current: Path | None,
    held_out: Sequence[Judgement],
    holes: Sequence[Hole],
    encoding: Encoding,
    token: CancellationToken,
    rows: int = 4,
) -> Measurements:
    """Compare the candidate in ``model`` with the adapter in ``current`` and with the base."""
    places = [judgement for judgement in held_out if judgement.liked]
    liked = [judgement.sequence.text for judgement in places]
    disliked = [judgement.sequence.text for judgement in held_out if not judgement.liked]
    encoded = (encode_text(encoding, hole.prompt, hole.middle) for hole in holes)
    frozen = [sequence for sequence in encoded if sequence is not None]
    score = _Scorer(model, token, rows)
    liked_candidate, disliked_candidate = score(liked), score(disliked)
    frozen_candidate = score(frozen)
    with model.behaviour(current):
        liked_current, disliked_current = score(liked), score(disliked)
    with model.base():
        frozen_base = score(frozen)
    return Measurements(
        liked_current,
        liked_candidate,
        disliked_current,
        disliked_candidate,
        frozen_base,
        frozen_candidate,
        kl=mean_kl(model, [*liked, *disliked], token, rows),
        finite=model.finite(),
        files=[f"{place.workspace}\n{place.path}" for place in places],
        workspaces=[place.workspace for place in places],
    )


def with_replays(
    measured: Measurements, current: Sequence[Replay], candidate: Sequence[Replay]
) -> Measurements:
    """Add what either side answered to the same prompts."""
    return replace(
        measured,
        kept_current=[each.kept for each in current],
        kept_candidate=[each.kept for each in candidate],
        broken_current=sum(each.broken for each in current),
        broken_candidate=sum(each.broken for each in candidate),
        tokens_current=sum(each.tokens for each in current),
        tokens_candidate=sum(each.tokens for each in candidate),
    )


class _Scorer:
    """Mean log-likelihood per answer token of each sequence, in the order given."""

    def __init__(self, model: PolicyModel, token: CancellationToken, rows: int) -> None:
        self._model, self._token, self._rows = model, token, rows

    def __call__(self, sequences: Sequence[Scored]) -> list[float]:
        means: list[float] = []
        for start in range(0, len(sequences), self._rows):
            self._token.check()
            batch = collate(sequences[start : start + self._rows]).to(self._model.device)
            sums = (self._model.logprobs(batch) * batch.mask).sum(-1)
            means += (sums / batch.mask.sum(-1)).tolist()
        return means


def mean_kl(
    model: PolicyModel, sequences: Sequence[Scored], token: CancellationToken, rows: int
) -> float:
    """Return the mean KL(candidate || base) in nats per answer token; 0.0 without sequences."""
    total = tokens = 0.0
    for start in range(0, len(sequences), rows):
        token.check()
        batch = collate(sequences[start : start + rows]).to(model.device)
        with torch.no_grad():
            with model.base():
                base_logits = model.logits(batch)
            kl = kl_divergence(model.logits(batch), base_logits)
        total += float((kl * batch.mask).sum())
        tokens += float(batch.mask.sum())
    return total / tokens if tokens else 0.0
