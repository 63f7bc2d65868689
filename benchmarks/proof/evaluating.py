"""How good a policy is: every hole asked greedily and ten times over, every answer tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.objectives.tokens import kl_divergence
from falcon_lsp.learning.policy.packing import collate
from falcon_lsp.learning.practice.rollouts import Asked, Rollout
from falcon_lsp.learning.practice.rollouts import Sampling as Rule
from proof.holes import Hole
from proof.judging import Judge
from proof.training import MAX_TOKENS, Learner

SAMPLES = 10
TEMPERATURE = 0.8
TOGETHER = 40
"""Holes that are asked at a time, after which they are kept."""


@dataclass(frozen=True, slots=True)
class Item:
    """What came of one hole: the greedy answer, and how each of the samples did.

    ``error`` is the class of the greedy answer's first failure, ``tokens`` its length, ``kl`` its
    mean divergence from the base in nats per token.
    """

    name: str
    task: str
    greedy: bool
    sampled: tuple[bool, ...]
    error: str
    tokens: int
    kl: float


def evaluate(
    learner: Learner,
    holes: Sequence[Hole],
    judge: Judge,
    seed: int,
    keep: Callable[[list[Item]], None],
    known: Sequence[Item] = (),
    samples: int = SAMPLES,
) -> list[Item]:
    """Ask every hole, in order; the long-term memory of the arm is there, short-term is not.

    ``known`` are the items of the first holes, from a run that was ended; ``keep`` gets all items
    so far, again and again.
    """
    rule = Rule(samples + 1, MAX_TOKENS, TEMPERATURE, greedy_first=True, seed=seed)
    items = list(known)
    for start in range(len(items), len(holes), TOGETHER):
        some = holes[start : start + TOGETHER]
        asked = [Asked(hole.name, learner.prompt(hole)) for hole in some]
        groups = learner.sampler.sample(asked, rule, CancellationToken())
        divergences = _divergences(learner, [group[0] for group in groups])
        for hole, group, kl in zip(some, groups, divergences, strict=True):
            judged = judge.judge([(hole, one.text) for one in group])
            first = group[0].sequence.answer
            passed = tuple(one.passed for one in judged)
            items.append(
                Item(hole.name, hole.task, passed[0], passed[1:], judged[0].error, len(first), kl)
            )
        keep(items)
    return items


def plain(item: Item) -> dict[str, object]:
    """Return an item as JSON takes it: samples as a row of digits, no blanks in any text."""
    digits = "".join(str(int(one)) for one in item.sampled)
    return asdict(item) | {
        "greedy": int(item.greedy),
        "sampled": digits,
        "error": item.error.replace(" ", "-") or "none",
        "kl": round(item.kl, 5),
    }


def from_plain(stored: dict[str, object]) -> Item:
    """Return the item that `plain` stored."""
    sampled = tuple(digit == "1" for digit in str(stored["sampled"]))
    error = str(stored["error"]).replace("-", " ").removeprefix("none")
    typed = {"greedy": bool(stored["greedy"]), "sampled": sampled, "error": error}
    return Item(**(stored | typed))  # type: ignore[arg-type]


@torch.no_grad()
def _divergences(learner: Learner, answers: Sequence[Rollout]) -> list[float]:
    """Return the exact KL to the base at each answer's tokens, on average: ``(B,)``."""
    batch = collate([one.sequence for one in answers]).to(learner.model.device)
    with learner.model.base():
        base = learner.model.logits(batch)
    found = kl_divergence(learner.model.logits(batch), base)
    means: list[float] = ((found * batch.mask).sum(-1) / batch.mask.sum(-1)).tolist()
    return means
