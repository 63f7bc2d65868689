"""What does learning at once gain, without any change of weights? Replays unseen projects.

Each project's history is typed through two real server processes, frozen and learned, as
`falcon-lsp replay --history` does (docs/replay.md). The projects are those of never-train.txt whose
histories `benchmarks/data/context-projects.toml` pins. A run that was interrupted goes on.

    .venv/bin/python benchmarks/instant.py --minutes 12 --projects click rich httpx
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import commits, gains
from evaluation.results import machine
from falcon_lsp.core.paths import Store, atomic_write
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.replay import runner
from falcon_lsp.replay.git import Git
from falcon_lsp.replay.measures import ARMS, Pair, Tally
from falcon_lsp.replay.sources import History

HERE = Path(__file__).parent


def main() -> None:
    """Replay what was not replayed yet, and write what is known after each project."""
    arguments = parse_arguments()
    body = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"runs": {}}
    for seed in arguments.seeds:
        for project in commits.projects(arguments.part):
            key = f"{project.name} {seed} {arguments.minutes:g} {' '.join(arguments.set)}".strip()
            if project.name in arguments.projects and key not in body["runs"]:
                body["runs"][key] = replay(arguments, project, seed)
                body["together"] = together(list(body["runs"].values()))
                body["machine"] = machine("cpu")
                atomic_write(arguments.out, f"{json.dumps(body, indent=1)}\n".encode())
                print(key, json.dumps(body["runs"][key]["figures"]["relative"]), flush=True)
    print(json.dumps(body["together"], indent=1))


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="reported", choices=("development", "reported"))
    parser.add_argument("--projects", nargs="+", default=["click", "werkzeug", "httpx", "rich"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--minutes", type=float, default=12.0, help="of each replay")
    parser.add_argument("--set", nargs="*", default=[], help="settings of both arms: NAME=VALUE")
    parser.add_argument("--checkouts", type=Path, default=None, help="clones of the projects")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "instant.json")
    return parser.parse_args()


def replay(arguments: argparse.Namespace, project: commits.Project, seed: int) -> dict[str, Any]:
    """Replay one project and return its figures, and those of each commit."""
    store = Store.default()
    checkouts = arguments.checkouts or store.cache / "benchmarks" / "checkouts"
    commits.History(checkouts, project)  # clones what is missing
    options = runner.Options(store.cache, arguments.minutes, seed, arguments.set)
    with Git(checkouts / project.name) as git:
        source = History(git)
        if git.head() != project.head:
            raise SystemExit(f"{project.name} is not at {project.head}")
        with runner.replayed(source, options, lambda _message, _share: None) as result:
            return {
                "project": project.repository, "head": project.head, "seed": seed,
                "minutes": arguments.minutes, "lines": result.lines, "commits": result.steps,
                "figures": result.figures, "sources": sources(result.learned_store),
                "by_commit": [counts(pair) for pair in result.pairs],
                "latencies_ms": {arm: latencies(result.pairs, arm) for arm in ARMS},
            }  # fmt: skip


def counts(pair: Pair) -> gains.Row:
    """Return what is counted of each arm in one commit."""
    return {arm: [getattr(pair[arm], name) for name in gains.COUNTED] for arm in ARMS}


def latencies(pairs: Sequence[Pair], arm: str) -> list[int]:
    """Return how long each request of an arm took, in whole milliseconds, in order."""
    total = Tally()
    for pair in pairs:
        total.add(pair[arm])
    return [round(each) for each in total.latencies_ms]


def sources(store: Path) -> dict[str, dict[str, int]]:
    """Return how the recorded suggestions of each source (model, copy, repeat) ended."""
    found: dict[str, Counter[str]] = {}
    with closing(Ledger(store / "ledger.sqlite3")) as ledger:
        for episode in ledger.episodes():
            outcome = episode.outcome.value if episode.outcome else "open"
            found.setdefault(episode.suggestion.source, Counter())[outcome] += 1
    return {source: dict(sorted(ended.items())) for source, ended in sorted(found.items())}


def together(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return learned against frozen over all runs, with 95 % intervals.

    Commits are drawn again within each project.
    """
    clusters: dict[str, dict[str, list[gains.Row]]] = {}
    for at, run in enumerate(runs):
        project = clusters.setdefault(run["project"], {})
        for number, row in enumerate(run["by_commit"]):
            project[f"{at} {number}"] = [row]
    rows = [row for run in runs for row in run["by_commit"]]
    waits = {arm: [ms for run in runs for ms in run["latencies_ms"][arm]] for arm in ARMS}
    return {
        "lines": sum(run["lines"] for run in runs),
        "commits": sum(run["commits"] for run in runs),
        "counts": {arm: gains.totals(rows, arm) for arm in ARMS},
        **gains.compared(clusters, *ARMS),
        "p50_ms": {arm: float(np.median(waits[arm])) for arm in ARMS},
    }


if __name__ == "__main__":
    main()
