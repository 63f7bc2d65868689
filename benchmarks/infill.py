"""Rest of the line at random cursors in code that no adapter was trained on, model alone.

Rows: the base before any training of ours (left-to-right, it knows no infilling), and the base with
an adapter in the format that the server uses. Writes ``benchmarks/results/infill.json``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import platform
import random
import time
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import assets
from falcon_lsp.model.engine import Engine, GenerationParams
from falcon_lsp.model.fim import FALCON, FimFormat, Slot
from falcon_lsp.model.loader import ModelFiles

PACKAGES = ("attr", "jinja2", "networkx", "rich", "sympy", "hypothesis")
"""Imports of projects that stand in never-train.txt and are installed with falcon-lsp."""

PLAIN = FimFormat("plain", (Slot.PREFIX,), ("<|endoftext|>", "<|im_end|>"))
SHIPPED = Path(__file__).parent.parent / "server" / "falcon_lsp" / "data" / "adapters" / "fim"
PREFIX_CHARS, SUFFIX_CHARS = 2000, 500


@dataclass(frozen=True)
class Place:
    """A cursor inside a line of a file; ``truth`` is the rest of the line."""

    package: str
    path: str
    prefix: str
    suffix: str
    truth: str


@dataclass(frozen=True)
class Score:
    """One row: counts, share of exact lines with its 95 % Wilson interval, edit similarity."""

    row: str
    places: int
    exact: int
    share: float
    low: float
    high: float
    edit_similarity: float
    seconds_per_place: float


def main() -> None:
    """Score every row on the same places and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", type=Path, default=SHIPPED, help="adapter folder to score")
    parser.add_argument("--places", type=int, default=150)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--skip-raw", action="store_true", help="score the adapter only")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/infill.json"))
    arguments = parser.parse_args()
    places = draw_places(arguments.places, random.Random(arguments.seed))
    base = find_raw_base()
    rows = []
    if not arguments.skip_raw:
        rows.append(score("raw base, left to right", load(base, PLAIN, None), places))
    rows.append(score("with adapter", load(base, FALCON, arguments.adapter), places))
    result = {
        "command": f"benchmarks/infill.py --places {arguments.places} --seed {arguments.seed}",
        "machine": f"{platform.machine()}, {platform.system()}",
        "packages": sorted({place.package for place in places}),
        "rows": [asdict(row) for row in rows],
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def find_raw_base() -> Path:
    """Convert the default model without any adapter, once, into a cache of its own."""
    store = Store.default()
    apart = Store(store.data, store.cache / "benchmarks")
    return assets.prepare(apart, assets.Recipe(assets.SMOLLM2, None), lambda _message, _share: None)


def load(base: Path, fmt: FimFormat, adapter: Path | None) -> Engine:
    """Return an engine on the raw base, with an adapter merged in."""
    from falcon_lsp.model.torch_engine import TorchEngine

    engine = TorchEngine(ModelFiles(base, "base", fmt, ""))
    if adapter is not None:
        engine.load_adapter(adapter, "adapter")
    return engine


def score(row: str, engine: Engine, places: list[Place]) -> Score:
    """Ask at every place and compare with what stood there."""
    exact, similarity, started = 0, 0.0, time.perf_counter()
    for number, place in enumerate(places, 1):
        prompt = Prompt(place.path, place.prefix, place.suffix)
        answer = engine.generate(prompt, GenerationParams(max_tokens=64), CancellationToken())
        line = answer.text.split("\n")[0].rstrip()
        exact += line == place.truth
        similarity += SequenceMatcher(None, line, place.truth, autojunk=False).ratio()
        if number % 25 == 0:
            print(f"{row}: {exact} of {number} exact", flush=True)
    low, high = wilson(exact, len(places))
    seconds = (time.perf_counter() - started) / len(places)
    share = exact / len(places)
    mean = similarity / len(places)
    print(f"{row}: {share:.1%} exact [{low:.1%}, {high:.1%}], similarity {mean:.3f}")
    return Score(
        row, len(places), exact, round(share, 4), low, high, round(mean, 4), round(seconds, 3)
    )


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    share, square = successes / trials, z * z / trials
    centre = share + square / 2
    spread = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    return round((centre - spread) / (1 + square), 4), round((centre + spread) / (1 + square), 4)


def draw_places(count: int, rng: random.Random) -> list[Place]:
    """Draw cursors inside lines of code, evenly over the packages, one per file and turn."""
    files = {package: package_files(package) for package in PACKAGES}
    files = {package: found for package, found in files.items() if found}
    places: list[Place] = []
    while len(places) < count:
        package = sorted(files)[len(places) % len(files)]
        file = rng.choice(files[package])
        if place := draw_place(package, file, rng):
            places.append(place)
    return places


def draw_place(package: str, file: Path, rng: random.Random) -> Place | None:
    """Draw one cursor, or None when the line drawn is no code worth completing."""
    source = file.read_text(encoding="utf-8")
    lines = source.split("\n")
    number = rng.randrange(len(lines))
    line = lines[number].rstrip()
    code = line.strip()
    if len(code) < 8 or code.startswith(("#", '"', "'")):
        return None
    column = rng.randrange(len(line) - len(code) + 1, len(line) - 1)
    offset = sum(len(text) + 1 for text in lines[:number]) + column
    end = offset - column + len(lines[number])
    return Place(
        package,
        f"{package}/{file.name}",
        source[max(0, offset - PREFIX_CHARS) : offset],
        source[end : end + SUFFIX_CHARS],
        line[column:],
    )


def package_files(package: str) -> list[Path]:
    """Return the modules of an installed package; empty when it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return []
    found = Path(spec.submodule_search_locations[0]).rglob("*.py")
    return sorted(f for f in found if 1_500 < f.stat().st_size < 80_000 and "test" not in f.parts)


if __name__ == "__main__":
    main()
