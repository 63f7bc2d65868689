"""What a sample is worth to each arm: one number for all of it, and one for each of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from falcon_lsp.learning.objectives import rltf
from falcon_lsp.learning.objectives.memory_shaped import MemoryReward
from falcon_lsp.learning.practice.rollouts import Rollout
from falcon_lsp.learning.rewards.appraisal import Appraiser
from falcon_lsp.learning.rewards.asserts import NOT_REACHED
from falcon_lsp.learning.rewards.execution import Verdict
from falcon_lsp.learning.rewards.mask import token_penalty
from falcon_lsp.learning.rewards.scoring import Trial, score_all
from falcon_lsp.model.tokenizer import CodeTokenizer
from proof.arms import Arm, Worth
from proof.holes import Hole
from proof.judging import Judged
from proof.memories import EMBEDDER

REMEMBERED = 512
"""Successes, and failures, that the memory-shaped reward looks back on."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A sample and what its tests said."""

    rollout: Rollout
    judged: Judged


class Valuer:
    """Values the samples of one context at a time; the memory-shaped reward learns as it goes."""

    def __init__(self, arm: Arm, tokenizer: CodeTokenizer) -> None:
        self._arm, self._tokenizer = arm, tokenizer
        self._shaped = arm.worth is Worth.MEMORY or (arm.worth is Worth.FALCON and arm.long_term)
        self.memory = MemoryReward(capacity=REMEMBERED)

    def value(
        self, hole: Hole, group: Sequence[Tried]
    ) -> tuple[list[float], list[tuple[float, ...]]]:
        """Return the reward of each sample, and what each of its tokens pays."""
        if self._arm.worth is Worth.RLTF:
            rewards, penalties = self._rltf(group)
        elif self._arm.worth is Worth.FALCON:
            rewards, penalties = self._falcon(group)
        else:
            rewards = [float(one.judged.passed) for one in group]
            penalties = [self._penalty(one, frozenset()) for one in group]
        if self._shaped:
            shaped = self._from_memory(hole, group)
            rewards = [one + other for one, other in zip(rewards, shaped, strict=True)]
        return rewards, penalties

    def _rltf(self, group: Sequence[Tried]) -> tuple[list[float], list[tuple[float, ...]]]:
        rewards, penalties = [], []
        for one in group:
            judged, error = one.judged, _error(one.judged)
            tests = len(judged.outcomes)
            coarse = rltf.coarse(error, judged.passes, tests)
            rewards.append(coarse + rltf.adaptive(judged.passes, tests))
            lines = judged.sample.own_lines({judged.error_line})
            named = [pays < 0.0 for pays in self._penalty(one, lines)]
            penalties.append(tuple(rltf.fine(error, named)))
        return rewards, penalties

    def _falcon(self, group: Sequence[Tried]) -> tuple[list[float], list[tuple[float, ...]]]:
        trials = [Trial(one.judged.sample, one.judged.outcomes) for one in group]
        found = score_all(trials, Appraiser())
        lines = [one.error_lines if self._arm.short_term else frozenset() for one in found]
        penalties = [self._penalty(one, named) for one, named in zip(group, lines, strict=True)]
        return [one.total for one in found], penalties

    def _from_memory(self, hole: Hole, group: Sequence[Tried]) -> list[float]:
        """Reward by what is remembered of other contexts, then remember these answers."""
        texts = [f"{hole.prefix[-200:]}{one.judged.sample.text}" for one in group]
        (context,) = EMBEDDER.embed([hole.about])
        answers = EMBEDDER.embed(texts)
        found = [self.memory.reward(hole.task, context, answer).total for answer in answers]
        for one, answer in zip(group, answers, strict=True):
            self.memory.add(hole.task, context, answer, success=one.judged.passed)
        return found

    def _penalty(self, one: Tried, lines: frozenset[int]) -> tuple[float, ...]:
        ids = one.rollout.sequence.answer
        decode = self._tokenizer.decode
        starts = [len(decode(ids[:at]).rstrip("\ufffd")) for at in range(len(ids))]
        return token_penalty(one.rollout.text, starts, lines, one.rollout.healed_chars)


def _error(judged: Judged) -> str:
    """Return the class of the first error as RLTF names it."""
    fault = judged.fault
    if fault is None:
        return ""
    if fault.verdict is Verdict.FAILED:
        return "AssertionError"
    return "TimeoutError" if fault.error == NOT_REACHED else fault.error
