"""What an episode teaches under each objective: the tokens that were sampled, or texts as such."""

from __future__ import annotations

from dataclasses import replace

from falcon_lsp.learning.dataset import (
    Encoding,
    Reason,
    TrainingExample,
    build_example,
    judgements,
    redacted,
)
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.rewards import reward
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model.adapters import BASE


def build_lesson(
    episode: Episode, encoding: Encoding, objective: Objective
) -> TrainingExample | Reason:
    """Return what ``episode`` teaches under ``objective``, or why it teaches nothing."""
    if objective is Objective.POLICY:
        return build_example(episode, encoding)
    if episode.outcome is None or not episode.outcome.final:
        return Reason.NO_OUTCOME
    if redacted(episode):
        return Reason.REDACTED
    texts = {judged.liked: judged.sequence for judged in judgements(episode, encoding)}
    if True not in texts:
        return Reason.NOTHING_LIKED
    lesson = TrainingExample(
        episode.completion_id,
        episode.language,
        episode.time,
        BASE,
        texts[True],
        reward(episode),
        (1.0,) * len(texts[True].answer),
        (0.0,) * len(texts[True].answer),
    )
    if objective is Objective.SUPERVISED:
        return lesson
    return replace(lesson, refused=texts[False]) if False in texts else Reason.NO_PAIR
