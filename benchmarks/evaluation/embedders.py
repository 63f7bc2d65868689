"""Ways to turn the text before a cursor into a vector, to choose the one that memory uses from.

All see the same text. "near" means that what is close to the cursor counts more: halved every
`HALF_CHARS` characters, or, for networks, that only the last `TAIL_CHARS` are read.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from falcon_lsp.memory.embedder import HashedNgramEmbedder

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]

HALF_CHARS = 8
TAIL_CHARS = 80
BUCKETS = 1 << 14
SVD_DIMENSION = 256
_BATCH = 16
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Candidate:
    """``megabytes`` is what it needs on disk beyond code."""

    name: str
    dimension: int
    megabytes: float
    embed: Embed


def candidates(fitting: Sequence[str], base: Path, minilm: Path | None) -> Iterator[Candidate]:
    """Yield all; ``fitting`` are contexts from other packages, for frequencies and projections."""
    for embedder, name in (
        (HashedNgramEmbedder(512, 0), "hashed n-grams, whole"),
        (HashedNgramEmbedder(256, 0), "hashed n-grams, whole"),
        (HashedNgramEmbedder(512, HALF_CHARS), "hashed n-grams, near"),
        (HashedNgramEmbedder(256, HALF_CHARS), "hashed n-grams, near"),
    ):
        yield Candidate(name, embedder.dimension, 0.0, embedder.embed)
    for half, name in ((0, "TF-IDF and SVD, whole"), (HALF_CHARS, "TF-IDF and SVD, near")):
        yield _tf_idf(name, fitting, half)
    for half, name in ((0, "static tokens, whole"), (HALF_CHARS, "static tokens, near")):
        yield _static(name, base, fitting, half)
    if minilm is not None:
        yield _network("MiniLM, near", minilm, "mean", TAIL_CHARS)
    yield _network("hidden states of the base model, near", base, "last", TAIL_CHARS)


def _tf_idf(name: str, fitting: Sequence[str], half: int) -> Candidate:
    """TF-IDF of tokens and runs of four characters, projected on the largest singular vectors."""
    import torch

    rows = np.stack([_counts(text, half) for text in fitting])
    idf = np.log((1 + len(rows)) / (1 + (rows > 0).sum(0))).astype(np.float32)
    torch.manual_seed(0)
    _, _, right = torch.svd_lowrank(torch.from_numpy(_unit(rows * idf)), q=SVD_DIMENSION, niter=3)
    projection = right.numpy() * idf[:, None]

    def embed(texts: Sequence[str]) -> Vectors:
        return _unit(np.stack([_counts(text, half) @ projection for text in texts]))

    return Candidate(name, SVD_DIMENSION, projection.nbytes / 1e6, embed)


def _counts(text: str, half: int) -> Vectors:
    import zlib

    row = np.zeros(BUCKETS, np.float32)
    for match in _WORD.finditer(text):
        row[zlib.crc32(match[0].encode()) % BUCKETS] += _near(len(text) - match.end(), half)
    for end in range(4, len(text) + 1):
        row[zlib.crc32(text[end - 4 : end].encode()) % BUCKETS] += _near(len(text) - end, half)
    return np.sqrt(row)


def _near(distance: int, half: int) -> float:
    return 2.0 ** (-distance / half) if half else 1.0


def _static(name: str, base: Path, fitting: Sequence[str], half: int) -> Candidate:
    """The base model's token embeddings, weighted by rarity, averaged."""
    from safetensors import safe_open
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    with safe_open(str(base / "model.safetensors"), "pt") as file:
        table = file.get_tensor("model.embed_tokens.weight").float().numpy()
    table = table - table.mean(0)
    seen: Counter[int] = Counter()
    for each in tokenizer.encode_batch(list(fitting)):
        seen.update(set(each.ids))

    def embed(texts: Sequence[str]) -> Vectors:
        return _unit(np.stack([one(text) for text in texts]))

    def one(text: str) -> Vectors:
        found = tokenizer.encode(text, add_special_tokens=False)
        weights = [
            _near(len(text) - end, half) * math.log((1 + len(fitting)) / (1 + seen[i]))
            for i, (_, end) in zip(found.ids, found.offsets, strict=True)
        ]
        if not weights:
            return np.ones(table.shape[1], np.float32)
        return np.asarray(np.array(weights, np.float32) @ table[found.ids])

    return Candidate(name, table.shape[1], table.nbytes / 2e6, embed)


def _network(name: str, folder: Path, pooling: str, tail: int) -> Candidate:
    """A transformer's last hidden states: averaged, or the last token's. One thread, fp32."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    torch.set_num_threads(1)
    model = AutoModel.from_pretrained(str(folder), dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    limit = json.loads((folder / "config.json").read_text())["max_position_embeddings"]

    def embed(texts: Sequence[str]) -> Vectors:
        ids = [tokenizer.encode(t[-tail:] if tail else t).ids[-limit:] or [0] for t in texts]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        vectors: dict[int, Any] = {}
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            vectors |= zip(batch, _pooled(model, [ids[i] for i in batch], pooling), strict=True)
        return _unit(np.stack([vectors[i] for i in range(len(ids))]))

    size = sum(weight.numel() for weight in model.parameters()) * 2 / 1e6
    return Candidate(name, model.config.hidden_size, size, embed)


def _pooled(model: Any, ids: Sequence[list[int]], pooling: str) -> Vectors:
    import torch

    width = max(map(len, ids))
    mask = torch.tensor([[1] * len(each) + [0] * (width - len(each)) for each in ids])
    padded = torch.tensor([each + [0] * (width - len(each)) for each in ids])
    with torch.inference_mode():
        states = model(input_ids=padded, attention_mask=mask).last_hidden_state
    if pooling == "last":
        picked: Vectors = states[torch.arange(len(ids)), mask.sum(1) - 1].numpy()
        return picked
    weights = mask[..., None].float()
    averaged: Vectors = ((states * weights).sum(1) / weights.sum(1)).numpy()
    return averaged


def _unit(rows: NDArray[Any]) -> Vectors:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)
