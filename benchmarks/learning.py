"""Does learning pay? Unseen projects typed in time order: practice, training, examination.

Four arms are examined on commits that are later than everything that was learned from: frozen,
instant (memory), slow (adapters that the gate let through) and both (docs/learning-proof.md). The
projects are those of never-train.txt whose histories `benchmarks/data/context-projects.toml` pins.
A run that was interrupted goes on where it stood when the same command is given again.

    .venv/bin/python benchmarks/learning.py --projects click httpx rich --seeds 1 2 3
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation import commits, gains, phases
from evaluation.results import machine
from falcon_lsp.core.paths import Store, atomic_write
from falcon_lsp.learning.judging.gate import LEAST_LIKED
from falcon_lsp.model.adapters import BASE
from falcon_lsp.replay.git import Git
from falcon_lsp.replay.measures import Pair, percentile
from falcon_lsp.replay.sources import History, Source

HERE = Path(__file__).parent
COMPARED = (
    ("frozen", "instant"), ("frozen", "slow"), ("frozen", "both"), ("instant", "both"),
)  # fmt: skip
GOALS = {"kept_chars": 0.25, "acceptance": 0.28, "shown": -0.21}
"""Of both against frozen; figures of a product that learns from everybody's feedback."""


def main() -> None:
    """Try what was not tried yet; write what is known after each trial, draw it in the end."""
    arguments = parse_arguments()
    body = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {"runs": {}}
    known = {project.name: project for project in commits.projects(arguments.part)}
    for seed in arguments.seeds:
        for name in arguments.projects:
            key = " ".join(
                [name, str(seed), f"{arguments.practice:g}+{arguments.minutes:g}", *arguments.set]
            )
            if key not in body["runs"]:
                folder, run = replay(arguments, known[name], seed)
                body["runs"][key] = run
                write(body, arguments.out)
                shutil.rmtree(folder, ignore_errors=True)
    if arguments.plot:
        from evaluation.learning_plot import draw

        draw(list(body["runs"].values()), arguments.plot)
    print(json.dumps(body["together"], indent=1))


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", default="reported", choices=("development", "reported"))
    parser.add_argument("--projects", nargs="+", default=["click", "httpx", "rich"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--practice", type=float, default=3.0, help="minutes of each practice")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each examination")
    parser.add_argument("--set", nargs="*", default=[], help="settings of all arms: NAME=VALUE")
    parser.add_argument("--checkouts", type=Path, default=None, help="clones of the projects")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "learning.json")
    parser.add_argument("--plot", type=Path, help="for example docs/images/learning.svg")
    return parser.parse_args()


def replay(
    arguments: argparse.Namespace, project: commits.Project, seed: int
) -> tuple[Path, dict[str, Any]]:
    """Try one project with one seed; return the folder that may go then, and what was found."""
    cache = Store.default().cache.absolute()
    checkouts = arguments.checkouts or cache / "benchmarks" / "checkouts"
    commits.History(checkouts, project)  # clones what is missing
    with Git(checkouts / project.name) as git:
        if git.head() != project.head:
            raise SystemExit(f"{project.name} is not at {project.head}")
        trial = trial_of(arguments, cache, History(git), seed)
        found = phases.tried(trial, lambda phase: speaker(f"{project.name} {seed} {phase}"))
    about = {"project": project.repository, "head": project.head, "seed": seed}
    return trial.folder, {**about, **summary(found)}


def trial_of(arguments: argparse.Namespace, cache: Path, source: Source, seed: int) -> phases.Trial:
    """Return what is tried, in a folder of its own."""
    minutes, settings = (arguments.practice, arguments.minutes), tuple(arguments.set)
    identity = f"{source.identity} {seed} {minutes} {settings}"
    folder = cache / "benchmarks" / "learning" / hashlib.sha256(identity.encode()).hexdigest()[:16]
    return phases.Trial(folder, cache, source, seed, *minutes, settings)


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial as numbers, commit by commit."""
    pairs: Sequence[Pair] = found["pairs"]
    return {
        "practice": found["practice"],
        "training": found["training"],
        "lines": found["lines"],
        "by_commit": [
            {"commit": sha, **{arm: counts(pair, arm) for arm in phases.ARMS}}
            for sha, pair in zip(found["commits"], pairs, strict=True)
        ],
        "latencies_ms": {
            arm: [round(each) for pair in pairs for each in pair[arm].latencies_ms]
            for arm in phases.ARMS
        },
    }


def counts(pair: Pair, arm: str) -> list[int]:
    """Return what is counted of one arm in one commit."""
    return [getattr(pair[arm], name) for name in gains.COUNTED]


def write(body: dict[str, Any], out: Path) -> None:
    """Write all runs, and what follows from them together."""
    body["together"] = together(list(body["runs"].values()))
    body["machine"] = machine("cpu")
    atomic_write(out, f"{json.dumps(body, indent=1)}\n".encode())


def together(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return counts, gains, goals and latencies over all runs, and gains of parts of them."""
    found = against(runs)
    rows = [row for run in runs for row in run["by_commit"]]
    waits = {
        arm: [each for run in runs for each in run["latencies_ms"][arm]] for arm in phases.ARMS
    }
    return {
        "lines": sum(run["lines"] for run in runs),
        "commits": len(rows),
        "counts": {arm: gains.totals(rows, arm) for arm in phases.ARMS},
        "gains": found,
        "goals": goals(found["both against frozen"]),
        "p50_ms": {arm: percentile(each, 0.5) for arm, each in waits.items()},
        "p95_ms": {arm: percentile(each, 0.95) for arm, each in waits.items()},
        "versions": versions(runs),
        "by_project": parts(runs, "project"),
        "by_seed": parts(runs, "seed"),
    }


def against(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each comparison over some runs."""
    clusters: dict[str, dict[str, list[gains.Row]]] = {}
    for run in runs:
        mine = clusters.setdefault(run["project"], {})
        for row in run["by_commit"]:
            mine.setdefault(row["commit"], []).append(row)
    return {
        f"{other} against {one}": gains.compared(clusters, one, other) for one, other in COMPARED
    }


def parts(runs: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Return the gains, without intervals, of the runs that agree in ``name``."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault(str(run[name]), []).append(run)
    return {
        group: {which: found["relative"] for which, found in against(mine).items()}
        for group, mine in groups.items()
    }


def goals(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return for each goal whether it is reached, the interval excluding zero."""
    judged = {}
    for name, goal in GOALS.items():
        value, interval = found["relative"][name], found["interval"][name]
        sign = 1 if goal > 0 else -1
        sure = interval is not None and min(sign * bound for bound in interval) > 0
        reached = value is not None and sign * value >= sign * goal and sure
        judged[name] = {"goal": goal, "value": value, "interval": interval, "reached": reached}
    return judged


def versions(runs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many versions the gate let through and set aside, and how many runs serve one.

    And how many had enough later texts to be judged by, under how many of which these rose.
    """
    verdicts = [row for run in runs for row in run["training"]["verdicts"]]
    ended = Counter(row["what"] for row in verdicts)
    judged = [row for row in verdicts if row.get("liked", 0) >= LEAST_LIKED]
    return {
        **dict(sorted(ended.items())),
        "judged by enough text": len(judged),
        "liked text rose": sum(row["liked_gain"] > 0 for row in judged),
        "runs that serve one": sum(run["training"]["serves"] != BASE for run in runs),
    }


def speaker(name: str) -> Callable[[str, float], None]:
    """Return what prints progress, a line for every twentieth of a phase."""
    told: set[tuple[str, int]] = set()

    def say(message: str, share: float) -> None:
        twentieth = int(20 * share)
        if (name, twentieth) not in told:
            told.add((name, twentieth))
            print(f"{name}, {share:.0%}: {message}", flush=True)

    return say


if __name__ == "__main__":
    main()
