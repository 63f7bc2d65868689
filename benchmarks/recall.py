"""Long-term memory measured: how fast it is filled, opened, asked; which embedder finds what.

Without arguments: ``--records`` real places of installed packages as records of one workspace (the
worst case: in several the collections are smaller). With ``--embedders``: for a context at a cursor
find a past episode with the text that was really written there (``evaluation.episodes_again``), on
packages that nothing was trained on and nothing is reported of; the embedder's one number, the
distance at which text counts half, was chosen on four other packages. Results go to
``benchmarks/results/recall.json``. Times are wall clock with processor time beside it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import embedders, episodes_again
from evaluation.results import machine
from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store
from falcon_lsp.memory.embedder import HashedNgramEmbedder
from falcon_lsp.memory.long_term import LongTermMemory
from falcon_lsp.memory.records import Record
from falcon_lsp.model.loader import find_model

RESULT = Path(__file__).parent / "results" / "recall.json"
SOURCES = ("kubernetes", "torch", "transformers", "numpy", "scipy", "mypy", "networkx", "pip")
"""Packages large enough to give 100,000 different places; only speed is measured on them."""

WORKSPACE, LANGUAGE, K, BATCH, QUESTIONS = "file:///measured", "python", 10, 200, 300


def main() -> None:
    """Measure and print; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--embedders", action="store_true")
    parser.add_argument("--past", type=int, default=400, help="past episodes of each package")
    parser.add_argument("--asks", type=int, default=60, help="questions of each package, at most")
    parser.add_argument("--only", default="", help="embedders whose name contains this")
    parser.add_argument("--minilm", type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.embedders:
        name, found = "embedders", compare(arguments)
    else:
        name, found = "scale", measure(arguments.records)
    print(json.dumps(found, indent=2))
    written = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    if arguments.only and name in written:
        found = [r for r in written[name]["found"] if arguments.only not in r["embedder"]] + found
    command = " ".join(["benchmarks/recall.py", *sys.argv[1:]])
    written[name] = {"command": command, "machine": machine("cpu"), "found": found}
    arguments.out.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


# ---------------------------------------------------------------------- embedders


def compare(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row for each embedder."""
    past = arguments.past
    spaces = [episodes_again.workspace(p, past, arguments.asks) for p in episodes_again.DEVELOPMENT]
    fitting = [
        place.context
        for package in episodes_again.TUNING
        for place in episodes_again.workspace(package, past, 1).past
    ]
    base = find_model(Config(), Store.default()).folder
    rows = []
    for candidate in embedders.candidates(fitting, base, arguments.minilm):
        if arguments.only not in candidate.name:
            continue
        start, texts, answers = time.process_time(), 0, []
        for space in spaces:
            before = candidate.embed([place.context for place in space.past])
            asked = candidate.embed([place.context for place in space.asks])
            texts += len(space.past) + len(space.asks)
            answers.append((space, before, asked))
        seconds = time.process_time() - start
        judged = episodes_again.joined([episodes_again.judge(*each) for each in answers])
        row = {
            "embedder": candidate.name,
            "dimension": candidate.dimension,
            **{key: round(value, 4) for key, value in judged.summary().items()},
            "cpu_ms_per_text": round(seconds / texts * 1000, 3),
            "megabytes": round(candidate.megabytes, 1),
        }
        print(row, flush=True)
        rows.append(row)
    return rows


# -------------------------------------------------------------------------- scale


def measure(count: int) -> dict[str, Any]:
    """Fill an index, open it again, ask it; compare what it finds with an exact search."""
    places = list(_places(count + QUESTIONS))
    asked, kept = places[:QUESTIONS], places[QUESTIONS:]
    embedder = HashedNgramEmbedder()
    with tempfile.TemporaryDirectory() as folder:
        memory = _memory(Path(folder), embedder, count)
        filled = _timed(lambda: _fill(memory, kept))
        records = memory.count()
        memory.close()
        size = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())
        memory = _memory(Path(folder), embedder, count, opened=False)
        opened = _timed(lambda: memory.open(0))
        answers, times = _ask(memory, asked)
        memory.close()
    exact = _exact(embedder, kept, asked)
    shares = [len(a & e) / K for a, e in zip(answers, exact, strict=True)]
    return {
        "records": records,
        "ingestion_per_second": round(records / filled["wall_s"], 1),
        "ingestion_per_cpu_second": round(records / filled["cpu_s"], 1),
        "fill": filled,
        "open_again": opened,
        "disk_megabytes": round(size / 1e6, 1),
        "recall_ms": times,
        f"recall_at_{K}": round(float(np.mean(shares)), 4),
        "questions": QUESTIONS,
    }


def _places(count: int) -> Iterator[episodes_again.Place]:
    seen: set[str] = set()
    for package in SOURCES:
        for place in episodes_again.places_of(package, random.Random(0)):
            key = _record(0, place).key
            if key not in seen:
                seen.add(key)
                yield place
            if len(seen) == count:
                return
    raise SystemExit(f"only {len(seen)} different places: install more packages")


def _memory(
    folder: Path, embedder: HashedNgramEmbedder, most: int, *, opened: bool = True
) -> LongTermMemory:
    memory = LongTermMemory(folder / "chroma", embedder, folder / "index.lock", most)
    if opened and not memory.open(0):
        raise SystemExit(memory.reason)
    return memory


def _record(number: int, place: episodes_again.Place) -> Record:
    return Record(
        f"cmp-{number:032x}", "success", WORKSPACE, LANGUAGE, f"module_{number % 997}.py",
        float(number), place.context, place.text, place.text, "accepted", len(place.text), "base",
    )  # fmt: skip


def _fill(memory: LongTermMemory, places: list[episodes_again.Place]) -> None:
    for start in range(0, len(places), BATCH):
        batch = places[start : start + BATCH]
        memory.upsert([_record(start + i, place) for i, place in enumerate(batch)])
        memory.evict()


def _ask(
    memory: LongTermMemory, asked: list[episodes_again.Place]
) -> tuple[list[set[str]], dict[str, float]]:
    """Return what was found for each question, and the times of a warm process."""
    memory.query(asked[0].context, WORKSPACE, LANGUAGE, K)
    answers, wall, cpu = [], [], []
    for place in asked:
        began, worked = time.perf_counter(), time.process_time()
        found = memory.query(place.context, WORKSPACE, LANGUAGE, K)
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - worked) * 1000)
        answers.append({each.record.completion_id for each in found})
    named = {"wall": wall, "cpu": cpu}
    return answers, {
        f"{name}_p{p}": round(float(np.percentile(times, p)), 2)
        for name, times in named.items()
        for p in (50, 95)
    }


def _exact(
    embedder: HashedNgramEmbedder,
    kept: list[episodes_again.Place],
    asked: list[episodes_again.Place],
) -> list[set[str]]:
    vectors = np.concatenate(
        [
            embedder.embed([p.context for p in kept[start : start + BATCH]])
            for start in range(0, len(kept), BATCH)
        ]
    )
    likeness = embedder.embed([place.context for place in asked]) @ vectors.T
    best = np.argsort(-likeness, axis=1, kind="stable")[:, :K]
    return [{f"cmp-{number:032x}" for number in row} for row in best]


def _timed(work: Any) -> dict[str, float]:
    began, worked = time.perf_counter(), time.process_time()
    work()
    return {
        "wall_s": round(time.perf_counter() - began, 2),
        "cpu_s": round(time.process_time() - worked, 2),
    }


if __name__ == "__main__":
    main()
