"""When is it worth being quiet? Records suggestions, fits the policy's prior, and reports.

``record`` runs the product's pipeline over the history of projects (`benchmarks/evaluation/
sightings.py`) and appends numbers to ``benchmarks/data/sightings-*.jsonl``; it takes the model.
``fit`` makes the shipped prior from the development projects. ``report`` measures the prior and
online learning in time order, on development (where choices were made, each project with the prior
of the others) and on the reported projects, which neither prior nor choices have seen.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation import commits, sightings, tastes
from evaluation.results import machine
from evaluation.sightings import Sighting
from evaluation.tastes import Judged
from falcon_lsp.completion.belief import Prior, shipped_prior
from falcon_lsp.config import CompletionOptions, Config
from falcon_lsp.core.paths import Store, atomic_write
from falcon_lsp.model.loader import load_engine

HERE = Path(__file__).parent
PRIOR = HERE.parent / "server" / "falcon_lsp" / "data" / "quiet-prior.json"
PARTS = ("development", "reported")
THRESHOLD = CompletionOptions().threshold
TURN = 40
"""Sightings of one project in a row: histories are typed in turns, so that each has some."""


Case = tuple[Prior, list[Sighting]]
"""The sightings of one developer in time order, and what is believed of them before."""


def main() -> None:
    """Do what is asked; see ``--help``."""
    arguments = parse_arguments()
    {"record": record, "fit": fit, "report": report}[arguments.task](arguments)


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("record", "fit", "report"))
    parser.add_argument("--part", choices=PARTS, default="reported", help="what to record")
    parser.add_argument("--seconds", type=float, default=480.0, help="processor time to record")
    parser.add_argument(
        "--checkouts", type=Path, default=Store.default().cache / "benchmarks" / "checkouts"
    )
    parser.add_argument("--sightings", type=Path, default=HERE / "data", help="their folder")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "quiet.json")
    parser.add_argument("--plot", type=Path, help="for example docs/images/quiet.svg")
    return parser.parse_args()


def record(arguments: argparse.Namespace) -> None:
    """Append what is suggested in the histories of one part, for some processor time.

    What was recorded stays; each project goes on with the commit after its last one.
    """
    engine = load_engine(Config(), Store.default(), lambda _message, _share: None)
    path = _file(arguments.sightings, arguments.part)
    known = tastes.by_project(sightings.read(path))
    running = []
    for project in commits.projects(arguments.part):
        commits.History(arguments.checkouts, project)  # clones what is missing
        first = max((row.step + 1 for row in known.get(project.name, ())), default=0)
        typist = sightings.Typist(engine, arguments.checkouts, project)
        running.append(typist.sightings(first))
    end = time.process_time() + arguments.seconds
    while running and time.process_time() < end:
        for typist in list(running):
            turn = [row for row, _ in zip(typist, range(TURN), strict=False)]
            for row in turn:
                sightings.append(path, row)
            if not turn:
                running.remove(typist)


def fit(arguments: argparse.Namespace) -> None:
    """Write the shipped prior."""
    rows = sightings.read(_file(arguments.sightings, "development"))
    text = json.dumps(tastes.written(tastes.fit(rows), rows), indent=1)
    atomic_write(PRIOR, f"{text}\n".encode())


def report(arguments: argparse.Namespace) -> None:
    """Write the figures, and draw what is asked for."""
    rows = {part: sightings.read(_file(arguments.sightings, part)) for part in PARTS}
    cases = {
        "development": list(tastes.without_each(rows["development"])),
        "reported": _shipped(rows["reported"]),
    }
    body: dict[str, Any] = {
        "threshold": THRESHOLD,
        "parts": {part: _part(cases[part]) for part in PARTS},
        "other_developers": _others(rows["reported"]),
        "machine": machine("cpu"),
    }
    atomic_write(arguments.out, f"{json.dumps(body, indent=1)}\n".encode())
    if arguments.plot:
        from evaluation.quiet_plot import draw

        judged = {part: _judge(cases[part], THRESHOLD, learning=False) for part in PARTS}
        draw(judged, THRESHOLD, arguments.plot)


def _shipped(rows: Sequence[Sighting]) -> list[Case]:
    """Return each project's rows with the prior that is shipped."""
    return [(shipped_prior(), own) for own in tastes.by_project(rows).values()]


def _part(cases: Sequence[Case]) -> dict[str, Any]:
    """Return the figures of one part."""
    rows = [row for _, own in cases for row in own]
    projects = tastes.by_project(rows)
    by_threshold = {
        str(least): tastes.outcome(_judge(cases, least, learning=False))
        for least in tastes.THRESHOLDS
    }
    fixed = _judge(cases, THRESHOLD, learning=False)
    learned = _judge(cases, THRESHOLD, learning=True)
    return {
        "sightings": len(rows),
        "wanted": sum(row.wanted for row in rows),
        "projects": {name: len(own) for name, own in projects.items()},
        "weights_set_by_hand": tastes.outcome(tastes.by_hand(rows)),
        "prior": {**tastes.outcome(fixed), "calibration": tastes.calibration(fixed)},
        "learned": {**tastes.outcome(learned), "calibration": tastes.calibration(learned)},
        "prior_by_threshold": by_threshold,
    }


def _others(rows: Sequence[Sighting]) -> dict[str, Any]:
    """Return what learning gains with developers that the prior does not know."""
    found = {}
    for name, own in tastes.other_developers(rows).items():
        one = [(shipped_prior(), tastes.one_life(own))]
        found[name] = {
            how: {
                "log_loss": round(tastes.log_loss(judged), 4),
                "log_loss_second_half": round(tastes.log_loss(judged[len(judged) // 2 :]), 4),
                **tastes.outcome(judged),
            }
            for how, learning in (("prior", False), ("learned", True))
            if (judged := _judge(one, THRESHOLD, learning=learning))
        }
    return found


def _judge(cases: Sequence[Case], least: float, *, learning: bool) -> list[Judged]:
    return [
        each for prior, own in cases for each in tastes.judge(own, prior, least, learning=learning)
    ]


def _file(folder: Path, part: str) -> Path:
    return folder / f"sightings-{part}.jsonl"


if __name__ == "__main__":
    main()
