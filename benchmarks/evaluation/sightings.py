"""What a simulated developer would do with each suggestion, recorded as numbers.

The product's own pipeline answers where the hands rest in the history of a project, typed in time
order as `falcon-lsp replay` types it; nothing is held back. What is kept of a suggestion is what
the quiet policy sees of it and what the developer does: no text.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.commits import Project
from evaluation.hands import Desk, Steady, Stop, answered
from falcon_lsp.completion.service import CompletionService
from falcon_lsp.config import CompletionOptions, Config
from falcon_lsp.core.text import common_length
from falcon_lsp.core.types import Outcome, Suggestion
from falcon_lsp.memory import events
from falcon_lsp.memory.events import Place
from falcon_lsp.memory.short_term import ShortTermMemory
from falcon_lsp.model.engine import Engine
from falcon_lsp.replay.git import Git
from falcon_lsp.replay.sampling import stretches
from falcon_lsp.replay.sources import History
from falcon_lsp.replay.strokes import Work, plan
from falcon_lsp.replay.user import Decision, Reaction, decide, kept_characters

SEED = 6
MINUTES = 8.0
"""The budget whose draw of commits is followed, as in a replay."""
PATIENT = CompletionOptions(threshold=0.0)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A suggestion that would have been shown. ``wanted``: the developer takes (part of) it.

    ``took`` and ``said`` are what they do and report, with the noise of the simulated user; of
    ``length`` characters ``kept`` stay. ``step`` orders commits, ``file`` tells files apart.
    """

    project: str
    step: int
    file: int
    features: tuple[float, ...]
    wanted: bool
    took: bool
    said: bool
    kept: int
    length: int


class Typist:
    """Types the history of one project and yields what is suggested on the way."""

    def __init__(self, engine: Engine, folder: Path, project: Project) -> None:
        self._project = project
        self._folder = folder / project.name
        self._desk = Desk(project.name, ShortTermMemory)
        self._service = CompletionService(
            engine=lambda: engine,
            memory=None,
            short_term=self._desk.memory,
            config=lambda: Config(completion=PATIENT),
            open_documents=self._desk.documents,
        )

    def sightings(self, first: int = 0) -> Iterator[Sighting]:
        """Yield what is suggested from the draw's commit ``first`` on, in time order."""
        with Git(self._folder) as git:
            history = History(git)
            for step in _drawn(len(history.steps)):
                if step < first:
                    continue
                works = plan(history.changes(step), f"{SEED}:{history.steps[step]}")
                for work in works:
                    if work.lines:
                        yield from self._write(work, step)

    def _write(self, work: Work, step: int) -> Iterator[Sighting]:
        for stop in self._desk.write(work):
            shown = answered(self._service, self._desk.request(stop))
            if shown is not None:
                yield self._judge(stop, shown, step)

    def _judge(self, stop: Stop, shown: Suggestion, step: int) -> Sighting:
        """Let the developer decide; what they take is written."""
        path, truth = stop.work.change.path, stop.truth
        seed = f"{SEED}:{path}:{stop.hunk.at}:{len(stop.hunk.text)}:{stop.done}"
        decision = decide(shown.text, truth, random.Random(seed))
        wanted = decide(shown.text, truth, Steady()).taken > 0
        stop.taken = common_length(shown.text[: decision.taken], truth)
        self._learn(stop.work, shown, decision)
        return Sighting(
            self._project.name, step, zlib.crc32(path.encode()), shown.features, wanted,
            decision.taken > 0, decision.reaction is not Reaction.TYPE_ON,
            kept_characters(truth[: stop.taken]), len(shown.text),
        )  # fmt: skip

    def _learn(self, work: Work, shown: Suggestion, decision: Decision) -> None:
        """Let the short-term memory know, as an observer of the edits would."""
        change = work.change
        place = Place(shown.completion_id, self._project.name, change.path, change.language)
        taken = decision.taken > 0
        told = events.outcome(
            place, Outcome.ACCEPTED if taken else Outcome.REJECTED, chars_kept=decision.taken,
            elapsed_ms=0.0, inferred=decision.reaction is Reaction.TYPE_ON,
        )  # fmt: skip
        for event in (events.suggested(place, shown), told):
            self._desk.memory.observe(event)


def _drawn(steps: int) -> list[int]:
    found = stretches(steps, MINUTES, SEED)
    return [step for each in found for step in range(each.start, each.end)]


def read(path: Path) -> list[Sighting]:
    """Return what was recorded in a file of JSON lines."""
    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return [Sighting(**{**row, "features": tuple(row["features"])}) for row in rows]


def append(path: Path, sighting: Sighting) -> None:
    """Add one line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(sighting)) + "\n")
