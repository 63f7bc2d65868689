"""What an update is given: its episodes sorted, and what each of them was worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.caps import surplus
from falcon_lsp.learning.crew import Crew
from falcon_lsp.learning.dataset import (
    Encoding,
    Reason,
    TrainingExample,
    judgements,
    split_by_time,
)
from falcon_lsp.learning.judging.gate import LEAST_LIKED
from falcon_lsp.learning.judging.publishing import Later
from falcon_lsp.learning.lessons import build_lesson
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.rewards import Appraiser, Reward, reward_all
from falcon_lsp.memory.episodes import Episode

HELD_OUT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Material:
    """An update's episodes, sorted: what to train on, what to judge by, and the rest's reasons."""

    examples: list[TrainingExample] = field(default_factory=list)
    later: Later = field(default_factory=Later)
    skipped: dict[str, Reason] = field(default_factory=dict)

    def answers(self, lost: Mapping[str, Reason] | None = None, answer: str = "") -> dict[str, str]:
        """Return the queue's answer for every episode: ``answer`` for those that were trained on.

        ``lost`` are episodes that training could not use after all.
        """
        used = dict.fromkeys((example.completion_id for example in self.examples), answer)
        late = {each: why for each, why in (lost or {}).items() if each in used}
        skipped = {each: f"skipped:{why}" for each, why in (self.skipped | late).items()}
        return used | skipped


def sort_out(
    episodes: Sequence[Episode],
    encoding: Encoding,
    learned: Mapping[str, float],
    objective: Objective = Objective.POLICY,
) -> Material:
    """Hold out the newest episodes and build examples of the others.

    What was ``learned`` already, at a time in seconds, is left out, unless it was undone since
    then: now it teaches the opposite.
    """
    material = Material()
    over = surplus(episodes)
    kept = [episode for episode in episodes if episode.completion_id not in over]
    since = split_by_time(kept, HELD_OUT_SHARE, LEAST_LIKED)
    for episode in sorted(episodes, key=lambda one: (one.time, one.completion_id)):
        found: TrainingExample | Reason
        if _is_learned(episode, learned):
            found = Reason.LEARNED
        elif episode.completion_id in over:
            found = Reason.SURPLUS
        elif episode.time >= since:
            material.later.judgements.extend(judgements(episode, encoding))
            material.later.episodes.append(episode)
            found = Reason.HELD_OUT
        else:
            found = build_lesson(episode, encoding, objective)
        if isinstance(found, Reason):
            material.skipped[episode.completion_id] = found
        else:
            material.examples.append(found)
    return material


def _is_learned(episode: Episode, learned: Mapping[str, float]) -> bool:
    """Whether a version has learned what became of ``episode``."""
    when = learned.get(episode.completion_id)
    if when is None:
        return False
    return episode.outcome is not Outcome.UNDONE or episode.decided <= when


def build_lessons(
    episodes: Sequence[Episode], encoding: Encoding, objective: Objective
) -> list[TrainingExample]:
    """Return what ``episodes`` teach; those that teach nothing are left out."""
    found = (build_lesson(episode, encoding, objective) for episode in episodes)
    return [lesson for lesson in found if isinstance(lesson, TrainingExample)]


def appraised(
    examples: Sequence[TrainingExample],
    episodes: Mapping[str, Episode],
    appraiser: Appraiser,
    token: CancellationToken,
    crew: Crew,
) -> list[TrainingExample]:
    """Add to the rewards the gated terms, which never change a sign, and what tests say.

    The leader of a ``crew`` finds out and tells the others: all have the same rewards, and a judge
    is asked once. Raises `Cancelled`.
    """
    told = [episodes[example.completion_id] for example in examples]
    found = reward_all(told, appraiser, token) if crew.leads else []
    heard = crew.tell([one.as_json() for one in found])
    return [
        replace(example, reward=Reward.from_json(worth))
        for example, worth in zip(examples, heard, strict=True)
    ]
