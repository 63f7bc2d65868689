"""Batches of examples, drawn ahead, each reachable by its number."""

from __future__ import annotations

import random
from collections.abc import Iterator
from queue import Queue
from threading import Thread

import torch
from torch import Tensor

from falcon_lsp.learning.fim_training.examples import ExampleStream, FimExample

POOL = 16
"""Batches drawn together and sorted by length: what padding is left is a few percent."""

AHEAD = 32
"""Batches that wait for a fast device, so that it never waits for the tokenizer."""


def batches_from(stream: ExampleStream, rows: int, number: int) -> Iterator[list[FimExample]]:
    """Yield batches ``number``, ``number + 1``, ...: the same ones whatever was drawn before."""
    while True:
        pool, place = divmod(number, POOL)
        yield from _draw_pool(stream, rows, pool)[place:]
        number = (pool + 1) * POOL


def _draw_pool(stream: ExampleStream, rows: int, pool: int) -> list[list[FimExample]]:
    size = rows * POOL
    examples = [stream.example(index) for index in range(pool * size, (pool + 1) * size)]
    examples.sort(key=lambda example: len(example.ids))
    groups = [examples[at : at + rows] for at in range(0, size, rows)]
    random.Random(f"pool:{pool}").shuffle(groups)
    return groups


def drawn_ahead(batches: Iterator[list[FimExample]]) -> Iterator[list[FimExample]]:
    """Yield the same batches, drawn by a thread of their own while the device computes."""
    ready: Queue[list[FimExample]] = Queue(AHEAD)

    def draw() -> None:
        for batch in batches:
            ready.put(batch)

    Thread(target=draw, name="batches", daemon=True).start()
    while True:
        yield ready.get()


def collate(batch: list[FimExample], max_tokens: int, device: str) -> tuple[Tensor, Tensor]:
    """Pad on the right: ids and loss weights, each ``(B, T)``; padding weighs nothing.

    An example that is too long loses its beginning, never its answer.
    """
    width = min(max_tokens, max(len(example.ids) for example in batch))
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    weights = torch.zeros(len(batch), width)
    for row, example in enumerate(batch):
        kept = example.ids[-width:]
        ids[row, : len(kept)] = torch.tensor(kept)
        weights[row, : len(kept)] = torch.tensor(example.weights[-width:])
    return ids.to(device), weights.to(device)
