"""The inner loop of one update: the code at work is read, then what was said about it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.learning.crew import ALONE, Crew
from falcon_lsp.learning.dataset import Encoding, TrainingExample
from falcon_lsp.learning.journal import NO_JOURNAL, Journal
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.policy_model import PolicyModel
from falcon_lsp.learning.practice import Practice
from falcon_lsp.learning.rewards import Appraiser
from falcon_lsp.learning.study import Studied, StudyRecipe, study
from falcon_lsp.learning.tasks import Key
from falcon_lsp.learning.trainer import Locate, Recipe, TrainingRun, train
from falcon_lsp.learning.walk import StepStats
from falcon_lsp.memory.episodes import Episode


@dataclass(frozen=True, slots=True)
class Inner:
    """Takes the steps of one task after another, each from where ``model`` stands.

    ``episodes`` are those of all examples by id; ``code`` those of each task that may be read.
    """

    model: PolicyModel
    encoding: Encoding
    recipe: Recipe
    reading: StudyRecipe
    appraiser: Appraiser
    locate: Locate
    episodes: Mapping[str, Episode]
    code: Mapping[Key, Sequence[Episode]]
    emit: Callable[[dict[str, Any]], None]
    token: CancellationToken
    journal: Journal = NO_JOURNAL
    crew: Crew = ALONE

    def __call__(self, examples: Sequence[TrainingExample]) -> TrainingRun:
        """Improve the model in place on one task's examples; raises `Cancelled`."""
        read = self._read(examples)
        learn = self._practise if self.recipe.objective is Objective.ON_POLICY else self._train
        run = learn(examples)
        return replace(run, steps=(*read.steps, *run.steps), read=read.episodes)

    def _read(self, examples: Sequence[TrainingExample]) -> Studied:
        """Study the code of the tasks that ``examples`` belong to."""
        told = [self.episodes[example.completion_id] for example in examples]
        keys = dict.fromkeys((episode.workspace, episode.language) for episode in told)
        code = [episode for key in keys for episode in self.code.get(key, ())]
        return study(
            self.model, code, self.encoding, self.reading,
            self._told, self.token, self.journal, self.crew,
        )  # fmt: skip

    def _train(self, examples: Sequence[TrainingExample]) -> TrainingRun:
        return train(
            self.model, examples, self.locate, self.recipe,
            self._told, self.token, self.journal, self.crew,
        )  # fmt: skip

    def _practise(self, examples: Sequence[TrainingExample]) -> TrainingRun:
        practice = Practice(
            self.model, self.encoding, self.recipe, self.appraiser, self.episodes,
            self.emit, self.token, self.journal, self.crew,
        )  # fmt: skip
        return practice.run(examples)

    def _told(self, step: StepStats) -> None:
        self.emit({"event": "step", **asdict(step)})
