"""What a simulated developer would do with each suggestion, recorded as numbers.

The product's own pipeline answers where the hands rest in the history of a project, typed in time
order as `falcon-lsp replay` types it; nothing is held back. What is kept of a suggestion is what
the quiet policy sees of it and what the developer does: no text.
"""

from __future__ import annotations

import json
import random
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.commits import Project
from falcon_lsp.completion.service import CompletionService
from falcon_lsp.config import CompletionOptions, Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.text import common_length
from falcon_lsp.core.types import CompletionRequest, Outcome, Suggestion
from falcon_lsp.memory import events
from falcon_lsp.memory.events import Place
from falcon_lsp.memory.short_term import ShortTermMemory
from falcon_lsp.model.engine import Engine
from falcon_lsp.replay.git import Git
from falcon_lsp.replay.sampling import stretches
from falcon_lsp.replay.sources import History, language_of
from falcon_lsp.replay.strokes import Hunk, Run, Work, plan
from falcon_lsp.replay.user import Decision, Reaction, decide, kept_characters

SEED = 5
MINUTES = 8.0
"""The budget whose draw of commits is followed, as in a replay."""
OPEN_FILES = 4
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
        self._now = 0.0
        self._memory = ShortTermMemory(lambda: self._now)
        self._open: dict[str, str] = {}
        self._service = CompletionService(
            engine=lambda: engine,
            memory=None,
            short_term=self._memory,
            config=lambda: Config(completion=PATIENT),
            open_documents=self._documents,
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
        text = work.change.before
        path = work.change.path
        for hunk in work.hunks:
            text = text[: hunk.at] + hunk.ending + text[hunk.at + hunk.removed :]
            for run in hunk.runs:
                yield from self._type(work, hunk, run, text, step)
            text = text[: hunk.at] + hunk.text + text[hunk.at :]
        self._open.pop(path, None)
        self._open[path] = text
        while len(self._open) > OPEN_FILES:
            del self._open[next(iter(self._open))]

    def _type(self, work: Work, hunk: Hunk, run: Run, around: str, step: int) -> Iterator[Sighting]:
        done = run.start
        for stop in sorted(run.stops):
            if stop < done:
                continue
            at = hunk.at + stop
            text = around[: hunk.at] + hunk.text[:stop] + around[hunk.at :]
            shown = self._ask(work, text, at)
            if shown is None:
                continue
            truth = hunk.text[stop:]
            seed = f"{SEED}:{work.change.path}:{hunk.at}:{len(hunk.text)}:{stop}"
            decision = decide(shown.text, truth, random.Random(seed))
            wanted = decide(shown.text, truth, _NoSlip()).taken > 0
            taken = shown.text[: decision.taken]
            right = common_length(taken, truth)
            self._learn(work, shown, decision)
            file = zlib.crc32(work.change.path.encode())
            said = decision.reaction is not Reaction.TYPE_ON
            yield Sighting(
                self._project.name, step, file, shown.features, wanted, decision.taken > 0,
                said, kept_characters(taken[:right]), len(shown.text),
            )  # fmt: skip
            done = stop + right

    def _ask(self, work: Work, text: str, at: int) -> Suggestion | None:
        change = work.change
        request = CompletionRequest(
            change.path, change.path, self._project.name, change.language, 0, text, at
        )
        token = CancellationToken()
        token.deadline = time.monotonic() + 60.0
        self._now += 1.0
        suggestions = self._service.answer(request, token).suggestions
        return suggestions[0] if suggestions else None

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
            self._memory.observe(event)

    def _documents(self, _workspace: str) -> Sequence[tuple[str, str, str, float]]:
        known = enumerate(self._open.items())
        return [(path, language_of(path), text, float(age)) for age, (path, text) in known]


class _NoSlip(random.Random):
    """Draws that never turn a decision round, the noise being less than all of them."""

    def random(self) -> float:
        return 1.0


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
