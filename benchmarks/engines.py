"""How fast the engines compute on this machine, and how near they come to what its memory allows.

Reading a prompt of 1,000 tokens, decoding after it and after 10 tokens, and checking eight in one
pass, by PyTorch, by ONNX Runtime as it serves, and by each choice that was made otherwise, in
alternating rounds. Decoding reads all weights for each token, so its limit is the memory's
bandwidth, measured in the same run. For each: the median of wall-clock time, half the least
processor time of any round (the time of two free cores), and the ratio of medians to the serving
engine. Results go to ``benchmarks/results/engines.json`` with the machine and the command.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store
from falcon_lsp.model import onnx_engine
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.generation import CHUNK
from falcon_lsp.model.llama_shape import LlamaShape
from falcon_lsp.model.loader import find_model
from falcon_lsp.model.onnx_engine import Network, OnnxModel
from falcon_lsp.model.quantised import QuantisedCache
from falcon_lsp.model.sequences import CausalModel

PROMPT = np.random.default_rng(0).integers(100, 40_000, 1000).tolist()
DRAFT = PROMPT[:8]
DECODED = 12
SHORT = 10
BUFFER_BYTES = 512 * 2**20
SERVED = "onnx"
SPINNING = {
    f"onnx, waiting threads spin {us} us": {
        "session.intra_op.allow_spinning": "1",
        "session.intra_op.spin_duration_us": str(us),
    }
    for us in (20, 100)
}
TILED = {"ORT_GQA_DISABLE_FLASH_ATTENTION": "0"}
Timings = dict[str, list[tuple[float, float]]]


def main() -> None:
    """Measure and print; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--torch", action="store_true", help="measure PyTorch too")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/engines.json")
    arguments = parser.parse_args()
    store = Store.default()
    files = find_model(Config(model=arguments.model), store)
    models = engines(files, store, arguments.threads, with_torch=arguments.torch)
    timings: dict[str, Timings] = {name: {} for name in models}
    bandwidth: list[tuple[float, float]] = []
    for _ in range(arguments.rounds):
        bandwidth.append(read_memory(arguments.threads))
        for name, (model, many) in models.items():
            with patched(onnx_engine, "MANY", many):
                measure(model, timings[name], arguments.threads)
    limit = [max(found) for found in zip(*bandwidth, strict=True)]
    served = models[SERVED][0]
    rows = {name: summary(found, timings[SERVED]) for name, found in timings.items()}
    result = {
        "machine": f"{platform.machine()} {platform.processor()}".strip(),
        "cores": psutil.cpu_count(),
        "threads": arguments.threads,
        "command": " ".join(sys.argv),
        "model": files.model_id,
        "bandwidth_gb_s": {"wall": limit[0], "processor": limit[1]},
        "bytes_per_token": network_of(served).bytes_per_token,
        "share_of_bandwidth": shares(network_of(served), rows[SERVED], limit),
        "engines": rows,
    }
    rounded = json.loads(json.dumps(result), parse_float=lambda number: round(float(number), 4))
    text = json.dumps(rounded, indent=1)
    print(text)
    arguments.out.write_text(text + "\n")


def engines(
    files: ModelFiles, store: Store, threads: int, *, with_torch: bool
) -> dict[str, tuple[Any, int]]:
    """Return networks by name, each with the tokens from which it reads in passes of two kinds."""
    shape = LlamaShape.read(files.folder)
    weights = QuantisedCache(store.quantised, files).open(None)

    def network() -> OnnxModel:
        return OnnxModel(Network(shape, weights, threads))

    served, many = network(), onnx_engine.MANY
    models: dict[str, tuple[CausalModel, int]] = {SERVED: (served, many)}
    models["onnx, read as it answers"] = (served.fork(), 10**6)
    with patched(onnx_engine, "SWITCHES", TILED):
        models["onnx, attention in tiles"] = (network(), many)
    for name, settings in SPINNING.items():
        with patched(onnx_engine, "SETTINGS", settings):
            models[name] = (network(), many)
    if with_torch:
        import torch

        from falcon_lsp.model.torch_engine import TorchModel, best_dtype

        torch.set_num_threads(threads)
        models["torch"] = (TorchModel(files.folder, "cpu", best_dtype("cpu")), many)
    return models


def network_of(model: OnnxModel) -> Network:
    """Return what ``model`` computes with."""
    return model._network  # noqa: SLF001 - only the benchmark looks inside


@contextlib.contextmanager
def patched(module: object, name: str, value: object) -> Iterator[None]:
    """Hold a module's constant at another value."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def read_memory(threads: int) -> tuple[float, float]:
    """Return GB/s by wall-clock and by processor time: products over more than any cache holds."""
    buffer = np.ones(BUFFER_BYTES // 8)
    parts = np.array_split(buffer, threads)
    wall, processor = timed(lambda: together([lambda p=p: np.dot(p, p) for p in parts]), threads)
    return buffer.nbytes / wall / 1e9, buffer.nbytes / processor / 1e9


def together(jobs: list[Callable[[], object]]) -> None:
    """Run jobs on threads of their own."""
    workers = [threading.Thread(target=job) for job in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def timed(job: Callable[[], object], threads: int) -> tuple[float, float]:
    """Return seconds of wall-clock time, and of processor time divided among ``threads``."""
    wall, processor = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - wall, (time.process_time() - processor) / threads


def measure(model: CausalModel, timings: Timings, threads: int) -> None:
    """Append one round to ``timings``: (wall-clock, processor) seconds by what was done."""

    def note(name: str, job: Callable[[], object], times: int = 1) -> None:
        wall, processor = timed(job, threads)
        timings.setdefault(name, []).append((wall / times, processor / times))

    def read() -> None:
        for start in range(0, len(PROMPT), CHUNK):
            model.feed(PROMPT[start : start + CHUNK])

    def decode() -> None:
        for token in PROMPT[:DECODED]:
            model.feed([token])

    model.truncate(0)
    note("read", read)
    note("decode", decode, DECODED)
    model.truncate(len(PROMPT))
    note("check", lambda: model.feed_each(DRAFT))
    model.truncate(SHORT)
    note("decode_short", decode, DECODED)


def summary(found: Timings, served: Timings) -> dict[str, dict[str, float]]:
    """Return milliseconds, and wall-clock and processor time as ratios to the serving engine's."""
    return {
        name: {
            "wall_ms": median(spent) * 1e3,
            "processor_ms": least(spent) * 1e3,
            "wall_ratio": median(spent) / median(served[name]),
            "processor_ratio": least(spent) / least(served[name]),
        }
        for name, spent in found.items()
    }


def median(spent: list[tuple[float, float]]) -> float:
    """Return the median of wall-clock times."""
    return statistics.median(wall for wall, _ in spent)


def least(spent: list[tuple[float, float]]) -> float:
    """Return the least processor time."""
    return min(processor for _, processor in spent)


def shares(
    network: Network, row: dict[str, dict[str, float]], limit: list[float]
) -> dict[str, dict[str, float]]:
    """Return the share of the bandwidth that decoding reads with: weights alone, and all bytes."""
    shape = network.shape
    kept = 2 * shape.layers * shape.kv_heads * shape.head_size * 4
    found = {}
    for name, tokens in (("decode", len(PROMPT)), ("decode_short", SHORT)):
        for clock, rate in zip(("wall", "processor"), limit, strict=True):
            possible = row[name][f"{clock}_ms"] * 1e6 * rate
            found[f"{name}, {clock}"] = {
                "weights": network.bytes_per_token / possible,
                "with_keys_and_values": (network.bytes_per_token + kept * tokens) / possible,
            }
    return found


if __name__ == "__main__":
    main()
