"""What drafts gain: tokens per pass, share accepted and time, with and without, in turns.

At cursors in the projects that nothing was trained on, each in a file that has been written but
for the rest of its line, or for that and the lines below. Drafts come from the file and from other
files of its project (`SOURCES` characters), as from an editor's open documents. The prompt has
been read before the clock starts. Results go to ``benchmarks/results/speculation.json``.

Answers with the same tokens are counted too: ONNX Runtime rounds otherwise when it computes several
tokens than when it computes one, so that one first choice in twenty changes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluation import intervals, lines, places
from evaluation.intervals import Ratio
from evaluation.places import File, Place
from evaluation.results import machine
from falcon_lsp.completion.candidates import MIN_MATCH, sources_at
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import CompletionRequest
from falcon_lsp.model.drafts import LENGTHS, NO_SOURCES, Sources
from falcon_lsp.model.engine import Engine, GenerationParams
from falcon_lsp.model.loader import load_engine

SOURCES = 300_000
"""Characters of other files that drafts are copied from."""

UNWRITTEN = 8
"""Lines below the cursor that are not written yet where several are asked for."""

KINDS = {"one line": GenerationParams(48), "several lines": GenerationParams(48, single_line=False)}


@dataclass(frozen=True, slots=True)
class Run:
    """One answer: how it was come by, and the processor's and the clock's seconds behind it."""

    tokens: tuple[int, ...]
    passes: int
    drafted: int
    accepted: int
    processor: float
    wall: float


@dataclass(frozen=True, slots=True)
class Pair:
    """The same question without drafts and with them; ``matched`` characters before the cursor."""

    package: str
    kind: str
    matched: int
    plain: Run
    drafted: Run


def main() -> None:
    """Measure and write; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=84)
    parser.add_argument("--wheels", type=Path, help="folder of the projects' wheels")
    parser.add_argument("--engine", choices=["auto", "onnx", "torch"], default="auto")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "speculation.json"
    )
    arguments = parser.parse_args()
    store = Store.default()
    wheels = arguments.wheels or store.cache / "benchmarks" / "wheels"
    engine = load_engine(Config(engine=arguments.engine), store, lambda _what, _share: None)
    pairs: list[Pair] = []
    for number, place in enumerate(places.draw_places(wheels, arguments.places)):
        project = places.projects(wheels)[place.file.package]
        pairs += [ask(engine, place, project, kind, drafts_first=number % 2 == 1) for kind in KINDS]
    found = {
        "machine": machine("cpu"),
        "command": f"python benchmarks/speculation.py --places {arguments.places}",
        "engine": type(engine).__name__,
        "model": engine.model_id,
        "draft_lengths": LENGTHS,
        "places": arguments.places,
        "note": arguments.note,
        "results": {name: summary(chosen) for name, chosen in groups(pairs).items()},
    }
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found["results"], indent=1))


def ask(
    engine: Engine, place: Place, project: Sequence[File], kind: str, *, drafts_first: bool
) -> Pair:
    """Answer at ``place`` without drafts and with them."""
    request = unwritten(place.request) if kind == "several lines" else place.request
    sources = sources_at(request, fitting(lines.other_texts(place.file, project)))
    match = sources.follow(request.prefix, 1)
    engine.prefill(lines.prompt_at(request), CancellationToken())
    in_order = (sources, NO_SOURCES) if drafts_first else (NO_SOURCES, sources)
    runs = {each: run(engine, request, kind, each) for each in in_order}
    return Pair(
        place.file.package, kind, match.matched if match else 0, runs[NO_SOURCES], runs[sources]
    )


def run(engine: Engine, request: CompletionRequest, kind: str, sources: Sources) -> Run:
    """Answer once."""
    prompt, token = lines.prompt_at(request), CancellationToken()
    processor, wall = time.process_time(), time.perf_counter()
    found = engine.generate(prompt, KINDS[kind], token, sources)
    return Run(
        found.token_ids, found.passes, found.drafted, found.accepted,
        time.process_time() - processor, time.perf_counter() - wall,
    )  # fmt: skip


def unwritten(request: CompletionRequest) -> CompletionRequest:
    """Return ``request`` without the `UNWRITTEN` lines below the cursor's."""
    kept = "\n".join(request.suffix.split("\n")[UNWRITTEN + 1 :])
    return replace(request, text=f"{request.prefix}\n{kept}")


def fitting(texts: Sequence[str]) -> list[str]:
    """Return those of ``texts`` that still fit into `SOURCES` characters."""
    chosen: list[str] = []
    room = SOURCES
    for text in texts:
        if len(text) <= room:
            chosen.append(text)
            room -= len(text)
    return chosen


def groups(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Return all pairs of each kind, and those where a copy could be offered."""
    named: dict[str, list[Pair]] = {}
    for kind in KINDS:
        of_kind = [pair for pair in pairs if pair.kind == kind]
        named[f"{kind}, all places"] = of_kind
        repeated = [pair for pair in of_kind if pair.matched >= MIN_MATCH]
        named[f"{kind}, {MIN_MATCH} characters match"] = repeated
    return named


def summary(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return the figures of some pairs; intervals are 95 %, over packages."""
    plain, drafted = [pair.plain for pair in pairs], [pair.drafted for pair in pairs]
    clusters = [pair.package for pair in pairs]

    def tokens_per_pass(runs: Sequence[Run]) -> Ratio:
        return Ratio([len(r.tokens) for r in runs], [r.passes for r in runs], clusters)

    before, after = tokens_per_pass(plain), tokens_per_pass(drafted)
    gain, low, high = intervals.difference(before, after)
    return {
        "answers": len(pairs),
        "tokens": sum(len(r.tokens) for r in drafted),
        "tokens_per_pass_without": round(before.value, 3),
        "tokens_per_pass": round(after.value, 3),
        "gain": [round(value, 3) for value in (gain, low, high)],
        "accepted_of_drafted": round(
            sum(r.accepted for r in drafted) / max(1, sum(r.drafted for r in drafted)), 3
        ),
        "same_tokens": _ratio(
            [p.plain.tokens == p.drafted.tokens for p in pairs], [1] * len(pairs)
        ),
        "processor_time_ratio": _ratio(
            [run.processor for run in drafted], [run.processor for run in plain]
        ),
        "wall_time_ratio": _ratio([run.wall for run in drafted], [run.wall for run in plain]),
    }


def _ratio(over: Sequence[float], under: Sequence[float]) -> float:
    return round(sum(over) / max(1e-9, sum(under)), 3)


if __name__ == "__main__":
    main()
