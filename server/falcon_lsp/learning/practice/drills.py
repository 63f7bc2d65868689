"""Places of logged episodes to answer in afresh, and what fresh answers are worth there.

Tests of the workspace say so where the user asked for them; else the likeness to what settled
there, with the terms that can be read off the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt
from falcon_lsp.learning.dataset import liked_text
from falcon_lsp.learning.practice.curriculum import hint
from falcon_lsp.learning.rewards import (
    THRESHOLD,
    Appraiser,
    Reward,
    Sample,
    TestOutcome,
    Trial,
    score_all,
)
from falcon_lsp.memory.episodes import Episode

ALIKE: Final = 0.75
"""Without tests, a text passes that is so like the one that settled (`difflib`'s ratio)."""


@dataclass(frozen=True, slots=True)
class Drill:
    """The place of ``episode``, where ``settled`` stands in the end; ``given`` is its beginning."""

    episode: Episode
    settled: str
    given: str = ""

    @classmethod
    def of(cls, episode: Episode) -> Drill:
        """Return the drill of an episode of which it is known what was liked."""
        return cls(episode, liked_text(episode))

    def helped(self, share: float) -> Drill:
        """Return the same with so much of the settled text given."""
        return replace(self, given=hint(self.settled, share))

    @property
    def name(self) -> str:
        """The episode's id."""
        return self.episode.completion_id

    @property
    def prompt(self) -> Prompt:
        """What the model is asked."""
        prompt = self.episode.suggestion.prompt
        return replace(prompt, prefix=prompt.prefix + self.given)

    @property
    def rest(self) -> str:
        """What of the settled text is left to say."""
        return self.settled[len(self.given) :]

    @property
    def single_line(self) -> bool:
        """Whether an answer ends with its line."""
        return "\n" not in self.rest.rstrip()

    def answered(self, text: str) -> Episode:
        """Return the episode as if ``text`` had been suggested, with help, in its place."""
        suggestion = replace(self.episode.suggestion, text=self.given + text)
        return replace(self.episode, suggestion=suggestion, settled={0: self.settled})

    def trial(self, text: str, outcomes: Sequence[TestOutcome]) -> Trial:
        """Return what is known of ``text``."""
        prompt = self.prompt
        sample = Sample(text, prompt.prefix, prompt.suffix, self.episode.language)
        return Trial(sample, outcomes, self.rest)


def score_answers(
    answers: Sequence[tuple[Drill, Sequence[str]]], appraiser: Appraiser, token: CancellationToken
) -> list[list[Reward]]:
    """Return the reward of each text in its place; the same one there is tried once.

    Raises `Cancelled`.
    """
    trials: dict[tuple[str, str], Trial] = {}
    for drill, texts in answers:
        outcomes = _outcomes(drill, texts, appraiser, token)
        trials |= {(drill.name, text): drill.trial(text, outcomes.get(text, ())) for text in texts}
    found = dict(zip(trials, score_all(list(trials.values()), appraiser, token), strict=True))
    return [[found[drill.name, text] for text in texts] for drill, texts in answers]


def passed(reward: Reward) -> bool:
    """Whether a fresh answer is as good as one has to be: all tests pass, or it is much alike."""
    if reward.withheld:
        return False
    return "tests" in reward.terms or reward.terms["similarity"] >= ALIKE - THRESHOLD


def _outcomes(
    drill: Drill, texts: Sequence[str], appraiser: Appraiser, token: CancellationToken
) -> Mapping[str, Sequence[TestOutcome]]:
    """Return what tests say of every text, or of none: within a group all are judged alike."""
    found: dict[str, Sequence[TestOutcome]] = {}
    for text in dict.fromkeys(texts):
        outcomes = appraiser.outcomes(drill.answered(text), token)
        if not outcomes:
            return {}
        found[text] = outcomes
    return found
