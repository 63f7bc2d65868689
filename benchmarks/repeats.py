"""How often does a developer do the same edit again, and how surely is it known?

Types the histories of projects without any model, remembers each edit as the product does, and asks
wherever the hands rest what would follow if an earlier edit were made again. ``fit`` makes the
shipped weights from the development projects, ``report`` measures them on the reported ones.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import commits
from evaluation.hands import Steady, Stop, stops
from evaluation.intervals import Ratio
from evaluation.results import machine
from falcon_lsp.core.paths import Store, atomic_write
from falcon_lsp.core.text import common_length
from falcon_lsp.core.types import TextEdit
from falcon_lsp.memory import repeats
from falcon_lsp.memory.edits import Edits
from falcon_lsp.memory.short_term import MAX_EDITS
from falcon_lsp.replay.git import Git
from falcon_lsp.replay.sampling import stretches
from falcon_lsp.replay.sources import History
from falcon_lsp.replay.strokes import plan
from falcon_lsp.replay.user import decide, kept_characters

HERE = Path(__file__).parent
WEIGHTS = HERE.parent / "server" / "falcon_lsp" / "data" / "repeats.json"
SEED = 7
MINUTES = 20.0
"""The budget whose draw of commits is followed, as in a replay."""
COMMITS = 80
"""Most commits of each of a project's stretches."""
RIDGE = 0.1
CHANCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True, slots=True)
class Found:
    """What would follow at one stop: ``wanted`` by the developer, ``kept`` characters of it."""

    project: str
    commit: str
    stop: int
    numbers: tuple[float, ...]
    wanted: bool
    kept: int


def main() -> None:
    """Do what is asked; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("fit", "report"))
    parser.add_argument(
        "--checkouts", type=Path, default=Store.default().cache / "benchmarks" / "checkouts"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "repeats.json")
    arguments = parser.parse_args()
    part = "development" if arguments.task == "fit" else "reported"
    found: list[Found] = []
    stops = 0
    begun = time.process_time()
    for project in commits.projects(part):
        commits.History(arguments.checkouts, project)  # clones what is missing
        typist = _Typist(arguments.checkouts / project.name, project.name)
        found += typist.found()
        stops += typist.stops
        print(f"{project.name}: {typist.stops} stops", flush=True)
    if arguments.task == "fit":
        weights = fit(found)
        body = {"weights": dict(zip(repeats.NAMES, weights, strict=True))}
        atomic_write(WEIGHTS, f"{json.dumps(body, indent=1)}\n".encode())
        repeats.forget_weights()
    body = {
        "part": part, **_report(found, stops), "seconds": round(time.process_time() - begun, 1),
        "machine": machine("cpu"),
    }  # fmt: skip
    print(json.dumps(body, indent=1))
    if arguments.task == "report":
        atomic_write(arguments.out, f"{json.dumps(body, indent=1)}\n".encode())


def fit(found: Sequence[Found]) -> list[float]:
    """Return the weights of a logistic regression on what was wanted."""
    given = np.array([each.numbers for each in found])
    wanted = np.array([float(each.wanted) for each in found])
    weights = np.zeros(given.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-given @ weights))
        curvature = (given * (chance * (1 - chance))[:, None]).T @ given
        curvature += RIDGE * np.eye(len(weights))
        weights += np.linalg.solve(curvature, given.T @ (wanted - chance) - RIDGE * weights)
    return [round(float(weight), 4) for weight in weights]


def _report(found: Sequence[Found], stops: int) -> dict[str, Any]:
    """Return, per least chance, how many stops have a repeat, and what becomes of the likeliest."""
    best: dict[tuple[str, int], tuple[float, Found]] = {}
    for each in found:
        chance = repeats.chance_of(each.numbers)
        known = best.get((each.project, each.stop))
        if known is None or chance > known[0]:
            best[each.project, each.stop] = chance, each
    table = {}
    for least in CHANCES:
        offered = [(chance, each) for chance, each in best.values() if chance >= least]
        taken = Ratio(
            [float(each.wanted) for _, each in offered], [1.0] * len(offered),
            [each.commit for _, each in offered],
        )  # fmt: skip
        table[str(least)] = {
            "offered": len(offered),
            "share_of_stops": round(len(offered) / max(1, stops), 4),
            "wanted": round(taken.value, 4),
            "interval": [round(bound, 4) for bound in taken.interval()],
            "mean_chance": round(float(np.mean([chance for chance, _ in offered])), 4),
            "kept_characters": sum(each.kept for _, each in offered),
        }
    return {"stops": stops, "by_least_chance": table}


class _Typist:
    """Types one project's history and asks memory, not the model."""

    def __init__(self, folder: Path, project: str) -> None:
        self._folder, self._project = folder, project
        self._edits = Edits(MAX_EDITS)
        self._now = 0.0
        self.stops = 0

    def found(self) -> Iterator[Found]:
        """Yield what would follow, in time order."""
        with Git(self._folder) as git:
            history = History(git)
            for stretch in stretches(len(history.steps), MINUTES, SEED):
                self._edits = Edits(MAX_EDITS)
                for step in range(stretch.start, min(stretch.end, stretch.start + COMMITS)):
                    commit = history.steps[step]
                    for work in plan(history.changes(step), f"{SEED}:{commit}"):
                        for stop in stops(work, self._add):
                            yield from self._ask(stop, commit)

    def _add(self, path: str, text: str, edit: TextEdit) -> str:
        self._now += 1.0
        self._edits.add(path, text, edit, self._now)
        return text[: edit.start] + edit.new_text + text[edit.end :]

    def _ask(self, stop: Stop, commit: str) -> Iterator[Found]:
        self.stops += 1
        path = stop.work.change.path
        moment, earlier = repeats.moment_of(list(self._edits), path, stop.text, stop.offset)
        for sighting in repeats.sightings(earlier, moment):
            taken = decide(sighting.text, stop.truth, Steady()).taken
            right = common_length(sighting.text[:taken], stop.truth)
            yield Found(
                self._project, commit, self.stops, sighting.numbers, taken > 0,
                kept_characters(stop.truth[:right]),
            )  # fmt: skip


if __name__ == "__main__":
    main()
