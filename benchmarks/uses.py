"""What does each use of memory gain? The same rests of the hands, answered with and without it.

Histories of projects are typed in time order as `falcon-lsp replay` types them, always the truth,
so that every variant is asked at the same places of the same texts. Memory learns from each place
once it is behind: long-term memory gets what the developer wrote there. Each variant runs alone
over all places; the gains are paired, their intervals drawn over commits.

    .venv/bin/python benchmarks/uses.py --part development --places 60
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluation import commits
from evaluation.hands import Desk, Steady, Stop, answered
from evaluation.intervals import Ratio, difference
from evaluation.results import machine
from falcon_lsp.completion.prompter import RECALL_CHARACTERS, RECENT_EDITS
from falcon_lsp.completion.service import CompletionService
from falcon_lsp.config import CompletionOptions, Config, ContextOptions
from falcon_lsp.core.paths import Store, atomic_write
from falcon_lsp.core.text import common_length
from falcon_lsp.core.types import CompletionRequest, Snippet
from falcon_lsp.memory.edits import Edit
from falcon_lsp.memory.embedder import HashedNgramEmbedder
from falcon_lsp.memory.long_term import LongTermMemory
from falcon_lsp.memory.records import Record
from falcon_lsp.memory.short_term import ShortTermMemory
from falcon_lsp.model.engine import Engine
from falcon_lsp.model.loader import load_engine
from falcon_lsp.replay.git import Git
from falcon_lsp.replay.sampling import stretches
from falcon_lsp.replay.sources import History
from falcon_lsp.replay.strokes import plan
from falcon_lsp.replay.user import decide, is_exact, kept_characters

HERE = Path(__file__).parent
SEED, MINUTES = 11, 8.0
PATIENT = CompletionOptions(threshold=0.0)
MEASURES = ("exact", "wanted", "kept")


@dataclass(frozen=True, slots=True)
class Variant:
    """Which uses are on."""

    prompt: bool = False
    again: bool = False
    recall: bool = False
    examples: bool = False


VARIANTS = {
    "no memory": Variant(),
    "recent edits in the prompt": Variant(prompt=True),
    "edits made again": Variant(again=True),
    "recall as drafts and candidates": Variant(recall=True),
    "recall as examples, drafts and candidates": Variant(recall=True, examples=True),
}


@dataclass(frozen=True, slots=True)
class Answered:
    """What came at one place: ``kept`` characters of what the developer wanted of it."""

    commit: str
    exact: float
    wanted: float
    kept: float


class Uses(ShortTermMemory):
    """Short-term memory that shows its edits to one use only."""

    def __init__(self, variant: Variant, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._variant = variant

    def recent_edits(self, workspace: str, limit: int) -> tuple[Edit, ...]:
        """Return the latest edits; a few are asked for by the prompt, all by what is repeated."""
        used = self._variant.again if limit > RECENT_EDITS else self._variant.prompt
        return super().recent_edits(workspace, limit) if used else ()


class Typist:
    """Types one project and answers at each place as one variant would."""

    def __init__(self, engine: Engine, index: LongTermMemory | None, variant: Variant) -> None:
        self._index = index if variant.recall else None
        self._count = 0
        self._desk = Desk("w", lambda clock: Uses(variant, clock))
        context = ContextOptions(recall_examples=variant.examples)
        self._service = CompletionService(
            engine=lambda: engine,
            memory=self if self._index is not None else None,
            short_term=self._desk.memory,
            config=lambda: Config(completion=PATIENT, context=context),
            open_documents=self._desk.documents,
        )

    def answers(self, folder: Path, places: int) -> Iterator[Answered]:
        """Yield what comes at ``places`` places, a third of them in each part of the history."""
        with Git(folder) as git:
            history = History(git)
            for stretch in stretches(len(history.steps), MINUTES, SEED):
                found = self._stretch(history, range(stretch.start, stretch.end))
                yield from (each for each, _ in zip(found, range(places // 3), strict=False))

    def recall(
        self, text: str, workspace: str, language: str, k: int, _deadline: float,
        exclude: Sequence[str] = (),
    ) -> Sequence[Snippet]:  # fmt: skip
        """Return the nearest successes, without a deadline: each is worth what it says."""
        assert self._index is not None
        found = self._index.query(text, workspace, language, k, exclude)
        return [each.record.snippet for each in found if each.record.outcome == "success"]

    def _stretch(self, history: History, steps: Sequence[int]) -> Iterator[Answered]:
        for step in steps:
            commit = history.steps[step]
            for work in plan(history.changes(step), f"{SEED}:{commit}"):
                for stop in self._desk.write(work):
                    yield self._answer(stop, commit)

    def _answer(self, stop: Stop, commit: str) -> Answered:
        request, truth = self._desk.request(stop), stop.truth
        shown = answered(self._service, request)
        text = shown.text if shown else ""
        taken = decide(text, truth, Steady()).taken if text else 0
        right = common_length(text[:taken], truth)
        self._learn(request, truth)
        return Answered(
            commit, float(bool(text) and is_exact(text, truth)), float(taken > 0),
            float(kept_characters(truth[:right])),
        )  # fmt: skip

    def _learn(self, request: CompletionRequest, truth: str) -> None:
        """Keep what was written here, as an episode would be kept that settled so."""
        line = truth.split("\n", 1)[0]
        if self._index is None or kept_characters(line) < 4:
            return
        self._count += 1
        self._index.upsert([
            Record(
                f"cmp-{self._count}", "success", "w", request.language, request.path,
                self._desk.now, request.prefix[-RECALL_CHARACTERS:], line, line, "accepted",
                len(line), "base",
            )
        ])  # fmt: skip


def main() -> None:
    """Answer everywhere with each variant, and write what each gains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="reported", choices=("development", "reported"))
    parser.add_argument("--places", type=int, default=60, help="in each project")
    parser.add_argument(
        "--checkouts", type=Path, default=Store.default().cache / "benchmarks" / "checkouts"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "uses.json")
    arguments = parser.parse_args()
    engine = load_engine(Config(), Store.default(), lambda _message, _share: None)
    found: dict[str, list[Answered]] = {name: [] for name in VARIANTS}
    for project in commits.projects(arguments.part):
        commits.History(arguments.checkouts, project)  # clones what is missing
        for name, variant in VARIANTS.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name] += answers(engine, variant, arguments, project, Path(folder))
            print(project.name, name, len(found[name]), flush=True)
        body = {
            "part": arguments.part, "places": len(found["no memory"]),
            "variants": {name: figures(found, name) for name in VARIANTS},
            "machine": machine("cpu"),
        }  # fmt: skip
        atomic_write(arguments.out, f"{json.dumps(body, indent=1)}\n".encode())


def answers(
    engine: Engine, variant: Variant, arguments: argparse.Namespace, project: commits.Project,
    folder: Path,
) -> list[Answered]:  # fmt: skip
    """Return the answers of one variant in one project."""
    index = LongTermMemory(folder / "chroma", HashedNgramEmbedder(), folder / "lock", 100_000)
    if not index.open(0):
        raise SystemExit(index.reason)
    typist = Typist(engine, index, variant)
    places = list(typist.answers(arguments.checkouts / project.name, arguments.places))
    index.close()
    return [replace(each, commit=f"{project.name} {each.commit}") for each in places]


def figures(found: dict[str, list[Answered]], name: str) -> dict[str, Any]:
    """Return a variant's figures, and its gains over no memory with 95 % intervals."""
    body: dict[str, Any] = {}
    for measure in MEASURES:
        rows = {each: _ratio(found[each], measure) for each in ("no memory", name)}
        gained, low, high = difference(rows["no memory"], rows[name])
        body[measure] = {
            "mean": round(rows[name].value, 4), "gain": round(gained, 4),
            "low": round(low, 4), "high": round(high, 4),
        }  # fmt: skip
    return body


def _ratio(rows: Sequence[Answered], measure: str) -> Ratio:
    return Ratio(
        [getattr(row, measure) for row in rows], [1.0] * len(rows), [row.commit for row in rows]
    )


if __name__ == "__main__":
    main()
