"""How fast the engines compute on this machine: PyTorch and ONNX Runtime in alternating rounds.

Reading a prompt of 1,000 tokens, decoding one token after it, and checking eight in one pass.
Prints medians of wall-clock time, processor time, and the ratio to PyTorch in the same rounds.
Results go to ``benchmarks/results/engines.json`` with the machine and the command.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store
from falcon_lsp.model.generation import CHUNK
from falcon_lsp.model.loader import find_model
from falcon_lsp.model.onnx_engine import OnnxEngine
from falcon_lsp.model.sequences import CausalModel
from falcon_lsp.model.torch_engine import TorchEngine

PROMPT = np.random.default_rng(0).integers(100, 40_000, 1000).tolist()
DRAFT = PROMPT[:8]
DECODED = 12
Timings = dict[str, list[tuple[float, float]]]


def main() -> None:
    """Measure and print; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "engines.json"
    )
    arguments = parser.parse_args()
    store = Store.default()
    files = find_model(Config(model=arguments.model), store)
    torch.set_num_threads(arguments.threads)
    models: dict[str, CausalModel] = {
        "torch": TorchEngine(files, device="cpu")._model,  # noqa: SLF001 - the network alone
        "onnx": OnnxEngine(files, store.quantised, threads=arguments.threads)._model,  # noqa: SLF001 - the same
    }
    timings: dict[str, Timings] = {name: {} for name in models}
    for _ in range(arguments.rounds):
        for name, model in models.items():
            measure(model, timings[name])
    rows = {name: summary(found, timings["torch"]) for name, found in timings.items()}
    for name, row in rows.items():
        print(name, json.dumps(row, indent=1))
    context = {
        "machine": f"{platform.machine()} {platform.processor()}",
        "threads": arguments.threads,
        "command": " ".join(sys.argv),
        "model": files.model_id,
    }
    arguments.out.write_text(json.dumps(context | {"engines": rows}, indent=1) + "\n")


def measure(model: CausalModel, timings: Timings) -> None:
    """Append one round to ``timings``: (wall-clock, processor) seconds by what was done."""

    def timed(name: str, job: Callable[[], object]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        job()
        spent = (time.perf_counter() - wall, time.process_time() - processor)
        timings.setdefault(name, []).append(spent)

    def read() -> None:
        for start in range(0, len(PROMPT), CHUNK):
            model.feed(PROMPT[start : start + CHUNK])

    model.truncate(0)
    timed("read", read)
    for token in PROMPT[:DECODED]:
        timed("decode", lambda token=token: model.feed([token]))
    model.truncate(len(PROMPT))
    timed("check", lambda: model.feed_each(DRAFT))


def summary(found: Timings, torch_found: Timings) -> dict[str, dict[str, float]]:
    """Return milliseconds and ratios by what was done."""
    return {
        name: {
            "wall_ms": statistics.median(wall for wall, _ in spent) * 1e3,
            "processor_ms": statistics.median(cpu for _, cpu in spent) * 1e3,
            "times_torch": statistics.median(wall for wall, _ in torch_found[name])
            / statistics.median(wall for wall, _ in spent),
        }
        for name, spent in found.items()
    }


if __name__ == "__main__":
    main()
