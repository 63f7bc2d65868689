"""Which part of FALCON helps: arms that differ in one thing each learn from the same tasks.

The task is to fill in single lines that tests judge: HumanEval and MBPP written whole are beyond
the default model (about 5 % of either pass), so hardly anything could be told from them.

Learning sees MBPP 601-974 alone; learning rates are chosen on 511-600, the same number of trials
for each arm that learns; reported are HumanEval's single-line infilling and a line of each MBPP
test task. What was computed is kept after every step and every hole's arm and seed: a run that was
ended goes on where it stood. The small size shows that everything works, and claims nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import problems
from evaluation.results import machine
from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store, atomic_write, sha256_file
from falcon_lsp.learning.dataset import Encoding
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.fim import FALCON as FORMAT
from falcon_lsp.model.loader import find_model
from falcon_lsp.model.tokenizer import CodeTokenizer
from proof import arms, evaluating, holes, report
from proof.arms import Arm, Objective
from proof.judging import Judge
from proof.training import VERSION, Learner, Recipe

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "falcon"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done. ``rates`` are the learning rates tried, for ``trial`` tokens each."""

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    test: int
    recipe: Recipe
    rates: tuple[float, ...] = ()
    trial: int = 0


SIZES = {
    "tiny": Size(("frozen", "FALCON"), (0,), 4, Recipe(tokens=2_000, contexts=4, samples=4)),
    "small": Size(arms.SMALL, (0,), 100, Recipe(tokens=40_000)),
    "full": Size(
        tuple(arm.name for arm in arms.ARMS), (0, 1, 2), 0,
        Recipe(tokens=2_000_000, contexts=24, samples=10, tasks=4, batch=48),
        (1e-4, 3e-4, 1e-3), 300_000,
    ),
}  # fmt: skip


def main() -> None:
    """Do what is missing, then write and print the figures; see ``--help``."""
    arguments = parse_arguments()
    Proof(arguments).run()


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--size", choices=SIZES, default="small", help="how much is done")
    parser.add_argument(
        "--arm", action="append", metavar="NAME", help="only this arm (default: all of the size)"
    )
    parser.add_argument("--seed", action="append", type=int, help="only this seed")
    parser.add_argument("--base", type=Path, help="folder of the base (default: the built-in one)")
    parser.add_argument("--build", type=Path, default=BUILD, help="where runs are kept")
    parser.add_argument("--out", type=Path, help="results (default: benchmarks/results)")
    arguments = parser.parse_args()
    arguments.out = arguments.out or HERE / "results" / f"falcon-{arguments.size}.json"
    try:
        arms.named(arguments.arm or [])
    except ValueError as error:
        parser.error(str(error))
    return arguments


class Proof:
    """One invocation: which arms and seeds, with what base, and the files that results go to."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._size = SIZES[arguments.size]
        self._arms = arms.named(arguments.arm or list(self._size.arms))
        self._seeds = arguments.seed or list(self._size.seeds)
        self._files = _base(arguments.base)
        tokenizer = CodeTokenizer.from_folder(self._files.folder)
        self._encoding = Encoding(tokenizer, self._files.fim, self._files.model_id)
        self._name, self._out = arguments.size, arguments.out
        self._build = arguments.build / arguments.size / self._files.sha256[:16]
        self._judge = Judge()

    def run(self) -> None:
        """Tune, train and test every arm and seed that is not known yet."""
        for arm in self._arms:
            rate = self._tune(arm)
            for seed in self._seeds:
                self._test(arm, seed, rate)
                self._write()

    def _tune(self, arm: Arm) -> float:
        """Return the learning rate that did best on the tuning holes; the default untried.

        An arm that does not learn is asked once, so that it may turn out the best one there.
        """
        default = self._size.recipe.learning_rate
        if not self._size.rates:
            return default
        rates = (default,) if arm.objective is Objective.NONE else self._size.rates
        scores = {rate: self._trial(arm, rate) for rate in rates}
        return max(scores, key=lambda rate: scores[rate])

    def _trial(self, arm: Arm, rate: float) -> float:
        folder = self._folder(arm) / f"trial-{rate:g}"
        recipe = dataclasses.replace(self._size.recipe, learning_rate=rate, tokens=self._size.trial)
        known = self._items(folder, arm, recipe, 0, list(holes.tuning()))
        return sum(sum(item.sampled) + item.greedy for item in known) / max(1, len(known))

    def _test(self, arm: Arm, seed: int, rate: float) -> None:
        recipe = dataclasses.replace(self._size.recipe, learning_rate=rate)
        chosen = holes.some(holes.testing(), self._size.test)
        self._items(self._folder(arm) / f"seed-{seed}", arm, recipe, seed, chosen)

    def _items(
        self, folder: Path, arm: Arm, recipe: Recipe, seed: int, asked: list[holes.Hole]
    ) -> list[evaluating.Item]:
        """Return what an arm does on ``asked`` once it has learned; known results are kept."""
        file = folder / "items.json"
        plan = {
            "version": VERSION,
            "arm": arm.name,
            "seed": seed,
            "recipe": dataclasses.asdict(recipe),
            "holes": _fingerprint(asked),
            "count": len(asked),
        }
        stored = _read(file)
        if any(stored.get(name) != value for name, value in plan.items()):
            stored = plan
        if len(stored.get("items", [])) < len(asked):
            self._compute(file, stored, arm, recipe, asked)
        return _items(_read(file))

    def _compute(
        self,
        file: Path,
        stored: dict[str, Any],
        arm: Arm,
        recipe: Recipe,
        asked: list[holes.Hole],
    ) -> None:
        """Train where that has not been done, then go on asking; ``file`` grows with the items."""
        say = _speaker(f"{arm.name}, {file.parent.name}")
        seed = stored["seed"]
        model = PolicyModel(self._files.folder, None, LoraShape(), seed)
        learner = Learner(arm, recipe, model, self._encoding, holes.training(), self._judge, seed)
        if arm.objective is not Objective.NONE:
            learner.train(file.parent / "state", say)
        about = {
            "machine": machine(str(model.device)),
            "training": dataclasses.asdict(learner.run),
        }

        def keep(items: list[evaluating.Item]) -> None:
            _store(file, stored | about | {"items": [evaluating.plain(item) for item in items]})
            say(f"{len(items)} of {len(asked)} holes")

        evaluating.evaluate(learner, asked, self._judge, seed, keep, _items(stored))

    def _folder(self, arm: Arm) -> Path:
        return self._build / arm.name.replace(" ", "-")

    def _write(self) -> None:
        """Write all that is known of this size, whichever invocation computed it."""
        runs = _known(self._build)
        by_arm = {
            name: {seed: _items(run) for seed, run in seeds.items()} for name, seeds in runs.items()
        }
        tuned = {arm.name: _trials(self._folder(arm)) for arm in arms.ARMS}
        best = {name: max(trials.values()) for name, trials in tuned.items() if trials}
        _store(self._out, {
            "version": VERSION,
            "size": self._name,
            "claims": "none: this size shows that everything works" if self._name != "full" else
            "only where an interval excludes zero",
            "task": "single lines filled in, judged by tests",
            "base": {"model": self._files.model_id, "sha256": self._files.sha256},
            "data": {path.name: sha256_file(path) for path in sorted(problems.DATA.glob("*.gz"))},
            "tuning": tuned,
            "best other arm": report.best_peer(best),
            "summary": {name: report.summary(seeds) for name, seeds in by_arm.items()},
            "differences": report.differences(by_arm),
            "runs": {
                name: {seed: _packed(run) for seed, run in seeds.items()}
                for name, seeds in runs.items()
            },
        })  # fmt: skip


def _base(folder: Path | None) -> ModelFiles:
    """Return the base: the built-in model with its shipped adapter, or the model in ``folder``."""
    if folder is not None:
        return ModelFiles(folder, folder.name, FORMAT, sha256_file(folder / "model.safetensors"))
    try:
        return find_model(Config(), Store.default())
    except EngineError as error:
        sys.exit(str(error))


def _known(build: Path) -> dict[str, dict[str, Any]]:
    """Return every finished run by arm and seed, arms in their order."""
    found: dict[str, dict[str, Any]] = {}
    for run in _stored(build, "*/seed-*"):
        if len(run["items"]) == run["count"]:
            found.setdefault(run["arm"], {})[str(run["seed"])] = run
    return {arm.name: found[arm.name] for arm in arms.ARMS if arm.name in found}


def _stored(folder: Path, runs: str) -> Iterator[dict[str, Any]]:
    """Yield the runs of this version whose folders match ``runs``, finished or not."""
    for file in sorted(folder.glob(f"{runs}/items.json")):
        run = _read(file)
        if run.get("version") == VERSION:
            yield run


def _trials(folder: Path) -> dict[str, float]:
    """Return the share of passed answers of each learning rate that was tried."""
    found = {}
    for run in _stored(folder, "trial-*"):
        items = _items(run)
        passed = sum(sum(item.sampled) + item.greedy for item in items)
        asked = sum(len(item.sampled) + 1 for item in items)
        found[f"{run['recipe']['learning_rate']:g}"] = round(passed / max(1, asked), 4)
    return found


def _fingerprint(asked: Sequence[holes.Hole]) -> str:
    """Return what tells one list of holes from another."""
    return hashlib.sha256("\n".join(hole.name for hole in asked).encode()).hexdigest()


def _read(file: Path) -> dict[str, Any]:
    """Return what a file holds; nothing where there is none."""
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return found


def _items(run: dict[str, Any]) -> list[evaluating.Item]:
    """Return the items of a stored run; none of one that has just begun."""
    return [evaluating.from_plain(item) for item in run.get("items", [])]


def _packed(run: dict[str, Any]) -> dict[str, Any]:
    """Return a run with its items as columns, each one line of text."""
    names = run["items"][0] if run["items"] else {}
    columns = {name: " ".join(str(item[name]) for item in run["items"]) for name in names}
    return run | {"items": columns}


def _store(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(file, f"{json.dumps(content, indent=1)}\n".encode())


def _speaker(name: str) -> Callable[[str], None]:
    return lambda message: print(f"{name}: {message}", flush=True)


if __name__ == "__main__":
    main()
