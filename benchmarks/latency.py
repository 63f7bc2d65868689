"""How long a developer waits: a recorded session typed into our server and into llama.cpp's.

Each file of the session is typed to one system after the other, in alternating order, at the
recorded times. Writes ``benchmarks/results/latency.json`` (figures, goals, machine) and
``latency-samples.csv`` (every request); docs/latency.md says how to read them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from falcon_lsp.core.paths import Store, sha256_file
from keystrokes import kinds, machine, probes, run, targets
from keystrokes.editor import Served
from keystrokes.llama_cpp import LlamaCpp, NotBuilt
from keystrokes.recording import RECORDING, Recording, load
from keystrokes.run import Bench, Session

HERE = Path(__file__).parent


def main() -> None:
    """Measure, write the results, print them."""
    arguments = parse_arguments()
    store = Store.default()
    recording = load(store.cache / "benchmarks" / "typing")
    recording = Recording(recording.about, recording.parts[: arguments.parts or None])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        place = Path(folder).resolve()
        bench = Bench(
            recording.parts, store, place / "workspace", place / "data", arguments.engine,
            tells_cursor=not arguments.plain_client,
        )  # fmt: skip
        bench.write_workspace()
        found = asyncio.run(measure(bench, arguments))
    result = {
        "command": " ".join(["python benchmarks/latency.py", *shown(arguments)]),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "targets": targets.judge(found),
        "session": describe(recording),
        "kinds": kinds.MEANING,
        **found,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result) if arguments.json else targets.table(result["targets"]))


def parse_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="auto", choices=("auto", "onnx", "torch", "fake"))
    parser.add_argument("--parts", type=int, default=0, help="files of the session (default: all)")
    parser.add_argument("--no-peer", action="store_true", help="leave llama.cpp out")
    parser.add_argument(
        "--plain-client", action="store_true", help="do not say where the cursor rests"
    )
    parser.add_argument("--no-probes", action="store_true", help="the session alone")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "latency.json")
    parser.add_argument("--plot", type=Path, help="draw the distributions (needs group `bench`)")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser.parse_args()


async def measure(bench: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run everything and return the figures; samples and pictures are written on the way."""
    about = machine.describe() | {"note": arguments.note}
    llama = None if arguments.no_peer else built(bench)
    found: dict[str, Any] = {"machine": about}
    with_probes = not arguments.no_probes
    if with_probes:
        found["start"] = await probes.start(bench.workspace, bench.parts[0], bench.engine)
    questions = await run.collect(bench) if llama else {}
    async with contextlib.AsyncExitStack() as stack:
        peers = await run.start_peers(stack, bench, llama, questions) if llama else []
        session = await run.type_session(bench, peers, with_probes=with_probes)
        found |= {"model": session.model, **session.probes, **figures(session, arguments)}
        if with_probes and bench.engine != "fake":
            bandwidth = machine.bandwidth(bench.threads)
            about["read_bandwidth_gb_per_s"] = round(bandwidth / 1e9, 1)
            found["decode"] = await run.decoding(bench, llama, peers, bandwidth)
    return found


def built(bench: Bench) -> LlamaCpp | None:
    """Return llama.cpp, compiled if need be; without it the rest is measured all the same."""
    llama = LlamaCpp(bench.store.cache / "benchmarks" / "llama.cpp")
    try:
        llama.build()
    except NotBuilt as error:
        print(error, file=sys.stderr)
        return None
    return llama


def figures(session: Session, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return each system's figures and the ratios; write the samples and the picture."""
    samples = session.samples
    named = kinds.kinds_of(samples[Served.name])
    file = arguments.out.with_name(f"{arguments.out.stem}-samples.csv")
    kinds.write_samples(file, samples, named)
    if arguments.plot:
        from keystrokes.plot import draw

        draw(samples, named, arguments.plot)
    return {
        "systems": {
            name: kinds.summary(rows, named) | {"peak_memory_mb": round(session.peak[name])}
            for name, rows in samples.items()
        },
        "against": {
            name: kinds.against(samples[Served.name], rows, named)
            for name, rows in samples.items()
            if name != Served.name
        },
    }


def describe(recording: Recording) -> dict[str, Any]:
    """Return what was typed, in numbers."""
    steps = [step for part in recording.parts for step in part.steps]
    about = {name: value for name, value in recording.about.items() if name != "wheels"}
    return {
        "sha256": sha256_file(RECORDING),
        "files": [f"{part.package}: {part.path}" for part in recording.parts],
        "keystrokes": sum(part.keys for part in recording.parts),
        "moves": sum(step.is_move for step in steps),
        "deletions": sum(bool(step.cut and not step.add) for step in steps),
        "brackets_closed_by_the_editor": sum(
            isinstance(step.add, str) and len(step.add) == 2 for step in steps
        ),
        "pauses": sum(step.delay >= 0.5 for step in steps if not step.is_move),
        "seconds": round(sum(part.seconds for part in recording.parts)),
        **about,
    }


def shown(arguments: argparse.Namespace) -> list[str]:
    """Return the arguments that change what is measured."""
    chosen = [] if arguments.engine == "auto" else ["--engine", arguments.engine]
    chosen += ["--parts", str(arguments.parts)] if arguments.parts else []
    return chosen + [
        f"--{name.replace('_', '-')}"
        for name in ("no_peer", "no_probes", "plain_client")
        if getattr(arguments, name)
    ]


if __name__ == "__main__":
    main()
