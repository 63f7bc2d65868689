"""How fast tokens are read and said, one at a time, and what share of the memory's limit that is.

Each token takes all weights through the memory once: bandwidth over their bytes is the limit, for
a model that no cache holds. Ours runs in a process apart: ``python -m keystrokes.decode``.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from pathlib import Path

import numpy as np
from gguf import GGUFReader

from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store
from falcon_lsp.model.generation import CHUNK
from falcon_lsp.model.loader import find_model
from falcon_lsp.model.quantised import QuantisedCache
from keystrokes.machine import run_apart
from keystrokes.peer import PeerServer

PROMPT, SAID, ROUNDS = 512, 48, 3
_UNREAD = re.compile(r"^embedding$|\.columns$|\.step$")
"""What saying a token does not take: the table of rows, and what prompts are read with."""


def ours() -> dict[str, float]:
    """Measure our engine for processors without speculation, in a process apart."""
    found: dict[str, float] = run_apart("keystrokes.decode", {"OMP_WAIT_POLICY": "passive"})
    return found


async def theirs(server: PeerServer, weights: Path) -> dict[str, float]:
    """Measure llama.cpp's server, by its own clock."""
    read, said = [], []
    for seed in range(ROUNDS):
        body = {"prompt": _prompt(seed), "n_predict": SAID, "ignore_eos": True, "temperature": 0.0}
        timings = (await server.post(body | {"stream": True}).result())["timings"]
        read.append(timings["prompt_per_second"])
        said.append(timings["predicted_per_second"])
    tensors = {tensor.name: int(tensor.n_bytes) for tensor in GGUFReader(weights).tensors}
    looked_up = tensors["token_embd.weight"] if "output.weight" in tensors else 0
    return _row(read, said, sum(tensors.values()) - looked_up)


def with_limit(row: dict[str, float], bandwidth: float) -> dict[str, float]:
    """Add the limit that ``bandwidth`` (bytes a second) sets, and the share of it."""
    limit = bandwidth / row["weight_bytes"]
    share = row["decode_tokens_per_s"] / limit
    return row | {"limit_tokens_per_s": round(limit, 1), "share_of_limit": round(share, 3)}


def _measure() -> dict[str, float]:
    from falcon_lsp.model.onnx_engine import OnnxEngine

    store = Store.default()
    files = find_model(Config(), store)
    model = OnnxEngine(files, store.quantised)._model  # noqa: SLF001 - the network alone
    read, said = [], []
    for seed in range(ROUNDS):
        prompt = _prompt(seed)
        model.truncate(0)
        begun = time.perf_counter()
        for start in range(0, PROMPT, CHUNK):
            model.feed(prompt[start : start + CHUNK])
        read.append(PROMPT / (time.perf_counter() - begun))
        begun = time.perf_counter()
        for token in prompt[:SAID]:
            model.feed([token])
        said.append(SAID / (time.perf_counter() - begun))
    arrays = QuantisedCache(store.quantised, files).open(None).arrays
    weights = sum(array.nbytes for name, array in arrays.items() if not _UNREAD.search(name))
    return _row(read, said, weights)


def _row(read: list[float], said: list[float], weight_bytes: int) -> dict[str, float]:
    return {
        "read_tokens_per_s": round(statistics.median(read), 1),
        "decode_tokens_per_s": round(statistics.median(said), 1),
        "weight_bytes": weight_bytes,
    }


def _prompt(seed: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(seed).integers(100, 40_000, PROMPT).tolist()
    return drawn


if __name__ == "__main__":
    print(json.dumps(_measure()))
