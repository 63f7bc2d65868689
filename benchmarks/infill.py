"""How good the base and its adapters are, row by row.

Tasks: HumanEval single-line infilling, lines and bits per byte in projects that nothing was
trained on, HumanEval and MBPP. What was scored before is kept: a run that was interrupted goes on,
and a new adapter adds a row. Results go to ``benchmarks/results/infill.json``.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from evaluation import overlap, places, problems
from evaluation.agreement import agreement
from evaluation.batched import COMMENTED, BatchedModel
from evaluation.results import Cell, Results, machine
from evaluation.served import ServedModel
from evaluation.tasks import CHOSEN, PLACES, TASKS, Subject
from falcon_lsp.core.paths import Store, sha256_file
from falcon_lsp.model import assets
from falcon_lsp.model.fim import FALCON
from falcon_lsp.model.merge import ADAPTER_WEIGHTS

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "server" / "falcon_lsp" / "data" / "adapters" / "fim"
DEFAULT_TASKS = ("infilling", "lines", "bytes", "humaneval", "mbpp")


@dataclass(frozen=True, slots=True)
class Row:
    """A base with an adapter, or (None) without any."""

    name: str
    adapter: Path | None

    @property
    def sha256(self) -> str:
        """Identity of the adapter's weights."""
        return sha256_file(self.adapter / ADAPTER_WEIGHTS) if self.adapter else ""


def main() -> None:
    """Score what is asked for and not known yet; see ``--help``."""
    arguments = parse_arguments()
    results = Results(arguments.out)
    store = Store.default().cache / "benchmarks"
    rows = arguments.row or [Row("raw base", None), Row("shipped adapter", SHIPPED)]
    for row in rows:
        score(row, arguments, results, store / "wheels")
    if arguments.agreement:
        adapter = next((row.adapter for row in rows if row.adapter), None)
        base = arguments.base or find_raw_base()
        results.note("agreement", agreement(base, adapter, store / "wheels", arguments.agreement))
    describe(results, store / "wheels")
    if arguments.corpus:
        drawn = places.draw_places(store / "wheels", PLACES)
        results.note("overlap", overlap.describe(drawn, arguments.corpus, results.rows))
    if arguments.plot:
        from evaluation.plot import draw

        draw(results.rows, arguments.plot)


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments; ``row`` holds `Row` objects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--row",
        action="append",
        type=parse_row,
        metavar="NAME[=ADAPTER_FOLDER]",
        help="a row; without a folder the raw base (default: base and shipped)",
    )
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=DEFAULT_TASKS,
        metavar="TASK,TASK",
        help=f"of {', '.join(TASKS)}",
    )
    parser.add_argument("--limit", type=int, default=0, help="items per task (default: all)")
    parser.add_argument("--base", type=Path, help="folder of the raw base (default: prepared)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or mps (default: the fastest)")
    parser.add_argument(
        "--served",
        action="store_true",
        help="ask the product's engine in eight bits: tasks infilling, lines and bytes only",
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "infill.json")
    parser.add_argument(
        "--agreement",
        type=int,
        default=0,
        metavar="N",
        help="compare batches with the product's engine at N places",
    )
    parser.add_argument(
        "--corpus",
        action="append",
        type=Path,
        metavar="FOLDER",
        help="a corpus that was trained on: also score the places of which it holds nothing",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        nargs="?",
        metavar="FILE",
        const=HERE.parent / "docs" / "images" / "infill.svg",
        help="draw the rows (needs the dependency group `bench`)",
    )
    arguments = parser.parse_args()  # fmt: skip
    if unknown := set(arguments.only) - set(TASKS):
        parser.error(f"no such task: {', '.join(sorted(unknown))}")
    return arguments


def parse_row(text: str) -> Row:
    """Read ``NAME=FOLDER``, or ``NAME`` for the base without an adapter."""
    name, _, folder = text.partition("=")
    return Row(name, Path(folder) if folder else None)


def score(row: Row, arguments: argparse.Namespace, results: Results, wheels: Path) -> None:
    """Score one row in every task in which it has not been scored."""
    cells = [Cell(row.name, task, row.sha256, arguments.limit) for task in arguments.only]
    cells = [cell for cell in cells if not results.has(cell)]
    if not cells:
        return
    base = arguments.base or find_raw_base()
    model = (
        ServedModel(base, row.adapter)
        if arguments.served
        else BatchedModel(base, row.adapter, arguments.device)
    )
    subject = Subject(model, FALCON if row.adapter else COMMENTED, wheels, arguments.limit)
    for cell in cells:
        print(f"{cell.row}: {cell.task}", flush=True)
        started = time.perf_counter()
        measures = TASKS[cell.task](subject)
        seconds = time.perf_counter() - started
        about = {
            "machine": machine(model.device),
            "command": command(cell) + " --served" * arguments.served,
        }
        results.add(cell, measures, seconds, about)
        for name, ratio in measures.items():
            low, high = ratio.interval()
            print(f"{cell.row}: {name} {ratio.value:.4f} [{low:.4f}, {high:.4f}]", flush=True)


def command(cell: Cell) -> str:
    """Return the command that makes one cell; ADAPTER is the folder of that hash."""
    adapter = "=ADAPTER" if cell.adapter_sha256 else ""
    limit = f" --limit {cell.limit}" if cell.limit else ""
    return f"benchmarks/infill.py --row '{cell.row}{adapter}' --only {cell.task}{limit}"


def describe(results: Results, wheels: Path) -> None:
    """Note what all rows have in common: data, packages, seeds, and the choice that was made."""
    drawn = places.draw_places(wheels, PLACES)
    files = sorted(problems.DATA.glob("*.gz"))
    results.note("data", {path.name: sha256_file(path) for path in files})
    results.note("places", {
        "seed": places.SEED,
        "count": len(drawn),
        "files": len({place.file.path for place in drawn}),
        "sha256": places.fingerprint(drawn),
        "packages": places.pinned(),
    })  # fmt: skip
    results.note("left_to_right", {"asked": CHOSEN, "chosen_on": "MBPP 511-600"})


def find_raw_base() -> Path:
    """Convert the default model without any adapter, once, into a cache of its own."""
    store = Store.default()
    apart = Store(store.data, store.cache / "benchmarks")
    return assets.prepare(apart, assets.Recipe(assets.SMOLLM2, None), lambda _message, _share: None)


if __name__ == "__main__":
    main()
