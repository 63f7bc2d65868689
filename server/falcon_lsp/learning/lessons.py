"""What an episode teaches under each objective: the tokens that were sampled, or texts as such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from falcon_lsp.learning.dataset import (
    Encoding,
    Reason,
    Scored,
    TrainingExample,
    build_example,
    judgements,
    liked_text,
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
    if objective is Objective.KTO:
        return _lesson(episode, texts) if texts else Reason.NO_OPINION
    if True not in texts:
        return Reason.NOTHING_LIKED
    if objective is Objective.PREFERENCE:
        return _lesson(episode, texts) if False in texts else Reason.NO_PAIR
    return _without_end(_lesson(episode, {True: texts[True]}), episode)


def _without_end(lesson: TrainingExample, episode: Episode) -> TrainingExample:
    """Give no credit for the token that ends a single line.

    Nobody has said that nothing follows the line: learned, it would be to say one line everywhere.
    """
    if "\n" in liked_text(episode):
        return lesson
    return replace(lesson, credit=(*lesson.credit[:-1], 0.0))


def _lesson(episode: Episode, texts: Mapping[bool, Scored]) -> TrainingExample:
    """Return the example of what was liked and what was not, of which there may be one alone."""
    liked = True in texts
    length = len(texts[liked].answer)
    return TrainingExample(
        episode.completion_id,
        episode.language,
        episode.time,
        BASE,
        texts[liked],
        reward(episode),
        (1.0,) * length,
        (0.0,) * length,
        texts.get(False) if liked else None,
        liked,
    )
