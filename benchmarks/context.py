"""What the context's blocks and the filters are worth, and what they cost.

Tasks: `blocks` scores what developers really wrote in the history of projects, with each block of
the context alone, with all, with all but each, and with what the product left out; `filters` counts
what each filter takes away, and how much of it was right; `speed` times both on a file of 2,000
lines. What was scored before is kept: a run that was interrupted goes on. Results go to
``benchmarks/results/context.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evaluation import ablation, commits, filtering, hot_path
from evaluation.lines import IMPORTS
from evaluation.results import machine
from falcon_lsp.completion import context, postprocess
from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store, atomic_write
from falcon_lsp.model.engine import Engine
from falcon_lsp.model.loader import load_engine

HERE = Path(__file__).parent
FILTERS = (*postprocess.FILTERS, *postprocess.LAST)
DEPTH = 400
"""Commits of each project that moments are drawn from."""


class Report:
    """The result file: what was measured by task and part; every change is written at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def part(self, task: str, part: str) -> dict[str, Any]:
        """Return what is known of a task on a part of the projects; may be changed in place."""
        found: dict[str, Any] = self._content.setdefault(task, {}).setdefault(part, {})
        return found

    def save(self) -> None:
        """Write the file, by rename."""
        self._content["machine"] = machine("cpu")
        text = json.dumps(self._content, indent=1, sort_keys=True)
        atomic_write(self._path, f"{text}\n".encode())


def main() -> None:
    """Measure what is asked for and not known yet; see ``--help``."""
    arguments = parse_arguments()
    report = Report(arguments.out)
    for task in arguments.only:
        TASKS[task](arguments, report)
        report.save()


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("development", "reported"), default="reported")
    parser.add_argument("--count", type=int, default=20, help="moments per project")
    parser.add_argument("--only", type=_listed, default=list(TASKS), metavar="TASK,TASK")
    parser.add_argument("--variants", type=_listed, default=[], help="of the blocks (default: all)")
    parser.add_argument(
        "--checkouts", type=Path, default=Store.default().cache / "benchmarks" / "checkouts"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "context.json")
    return parser.parse_args()


def score_blocks(arguments: argparse.Namespace, report: Report) -> None:
    """Score every moment with every variant of the context."""
    known = report.part("blocks", arguments.part)
    measured = known.setdefault("moments", {})
    engine: Engine | None = None
    for history, moment in _moments(arguments):
        row = measured.setdefault(f"{moment.project}:{moment.commit}", {})
        blocks = [block for block in context.BLOCKS if block.name != "recalled"]
        chosen = ablation.variants(blocks, (IMPORTS, ablation.findings_block(moment)))
        chosen = {name: chosen[name] for name in arguments.variants or chosen}
        missing = {name: made for name, made in chosen.items() if name not in row}
        if not missing:
            continue
        engine = engine or load_engine(Config(), Store.default(), lambda _message, _share: None)
        around = ablation.surroundings(history, moment)
        row["bytes"] = [len(moment.truth.encode()), len(moment.hole.encode())]
        row |= ablation.score(engine, moment, around, missing, spoken=("nothing", "all"))
        known["summary"] = ablation.summary(measured)
        report.save()
        print(f"{len(measured)} moments", flush=True)


def count_tolls(arguments: argparse.Namespace, report: Report) -> None:
    """Count what the filters do to what was really written, and to copies."""
    moments = [moment for _, moment in _moments(arguments)]
    for kind, cases in filtering.kinds(moments).items():
        found = filtering.tolls(FILTERS, cases)
        known = report.part("filters", arguments.part)
        known[kind] = {name: dict(toll.counts) for name, toll in found.items()}


def time_hot_path(_arguments: argparse.Namespace, report: Report) -> None:
    """Time context and filters at each keystroke in a long file."""
    report.part("speed", "2,000 lines").update(hot_path.measure(FILTERS))


def _moments(arguments: argparse.Namespace) -> Iterator[tuple[commits.History, commits.Moment]]:
    """Yield moments, one of each project in turn."""
    histories = [
        commits.History(arguments.checkouts, project)
        for project in commits.projects(arguments.part)
    ]
    drawn = [commits.draw_moments(each, arguments.count, DEPTH) for each in histories]
    for turn in itertools.zip_longest(*drawn):
        yield from ((h, m) for h, m in zip(histories, turn, strict=True) if m is not None)


def _listed(text: str) -> list[str]:
    return text.split(",")


TASKS: dict[str, Callable[[argparse.Namespace, Report], None]] = {
    "speed": time_hot_path,
    "filters": count_tolls,
    "blocks": score_blocks,
}
"""By the names that the command line knows; the cheapest first."""

if __name__ == "__main__":
    main()
