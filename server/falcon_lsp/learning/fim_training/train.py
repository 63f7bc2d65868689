"""Train the FIM adapter that ships in the package: LoRA plus the rows of the sentinels.

Resumable from any checkpoint after a kill, deterministic for a seed, the same on CUDA and CPU. The
learning rate is warmup-stable-decay (arXiv 2404.06395): a run may stop at any time and go on later,
and ``--anneal`` writes a decayed copy of it beside.

Rows of like length are batched and padded on the right. That needs no attention mask, for padding
comes after everything that has a loss, and wastes less than a mask would cost.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn

from falcon_lsp.learning.corpus import read_shards
from falcon_lsp.learning.fim_training.batches import batches_from, collate, drawn_ahead
from falcon_lsp.learning.fim_training.examples import ExampleStream, FimExample, HoleMix
from falcon_lsp.learning.fim_training.model import (
    AdaptedLoss,
    Recipe,
    build_model,
    sentinel_ids,
    start_from,
)
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer


class FimTrainer:
    """Optimiser steps over a model, and their checkpoints.

    ``step`` and ``tokens`` count over the whole life of the adapter; ``place`` is the next batch of
    the corpus named ``corpus``.
    """

    def __init__(
        self, model: PeftModel, sentinels: list[int], recipe: Recipe, device: str, corpus: str
    ) -> None:
        self.model, self.recipe, self.device, self.corpus = model, recipe, device, corpus
        self.step = self.tokens = self.place = 0
        self._loss = AdaptedLoss(model, sentinels)
        rows = [p for n, p in _trainable(model) if "token_adapter" in n]
        layers = [p for n, p in _trainable(model) if "token_adapter" not in n]
        self._optimizer = torch.optim.AdamW(
            [
                {"params": layers, "base": recipe.learning_rate},
                {"params": rows, "base": recipe.sentinel_learning_rate},
            ],
            weight_decay=0.0,
            betas=(0.9, 0.98),
        )

    def train_step(self, batch: list[FimExample], scale: float) -> float:
        """Take one optimiser step at ``scale`` times the learning rates; return the loss, nats."""
        ids, weights = collate(batch, self.recipe.max_tokens, self.device)
        self.model.train()
        with torch.autocast(self.device, dtype=torch.bfloat16):
            loss = self._loss(ids, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([p for _, p in _trainable(self.model)], self.recipe.clip)
        for group in self._optimizer.param_groups:
            group["lr"] = group["base"] * scale
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        self.place += 1
        self.tokens += int((weights > 0).sum())
        return loss.item()

    def save(self, folder: Path) -> None:
        """Write the adapter and the optimiser; the last complete checkpoint survives a kill."""
        self.model.save_pretrained(folder / "adapter")
        state = {
            "weights": {name: p.detach() for name, p in _trainable(self.model)},
            "optimizer": self._optimizer.state_dict(),
            **{name: getattr(self, name) for name in ("step", "tokens", "place", "corpus")},
        }
        torch.save(state, folder / "state.tmp")
        (folder / "state.tmp").replace(folder / "state.pt")

    def resume(self, folder: Path) -> None:
        """Continue from the checkpoint in ``folder``; another corpus begins at its first batch."""
        state: dict[str, Any] = torch.load(
            folder / "state.pt", map_location=self.device, weights_only=True
        )
        named = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in state["weights"].items():
                named[name].copy_(value)
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.tokens = state["step"], state["tokens"]
        self.place = state["place"] if state["corpus"] == self.corpus else 0


class Schedule:
    """Warm-up from where a run (re)starts, then constant; or a line down to zero."""

    def __init__(self, first: int, warmup: int, anneal: int) -> None:
        self._first, self._warmup, self._anneal = first, warmup, anneal

    def scale(self, step: int) -> float:
        """Return the factor on the learning rates before ``step``."""
        done = step - self._first
        if self._anneal:
            return 1.0 - done / self._anneal
        return min(1.0, (done + 1) / self._warmup)

    def ended(self, step: int) -> bool:
        """Whether the decay has reached zero."""
        return bool(self._anneal) and step - self._first >= self._anneal


def train(
    trainer: FimTrainer,
    batches: Iterator[list[FimExample]],
    schedule: Schedule,
    folder: Path,
    *,
    seconds: float,
    save_every: int,
) -> None:
    """Train until the schedule or the time ends; log each step to ``folder/loss.jsonl``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps(asdict(trainer.recipe), indent=1) + "\n")
    started = time.monotonic()
    with (folder / "loss.jsonl").open("a", encoding="utf-8", buffering=1) as log:
        for batch in batches:
            loss = trainer.train_step(batch, schedule.scale(trainer.step))
            spent = time.monotonic() - started
            row = {"step": trainer.step, "tokens": trainer.tokens, "loss": round(loss, 4)}
            log.write(json.dumps({**row, "seconds": round(spent, 1)}) + "\n")
            over = spent >= seconds or schedule.ended(trainer.step)
            if over or trainer.step % save_every == 0:
                trainer.save(folder)
            if over:
                return


def main() -> None:
    """Train, checkpoint and log; see ``--help``."""
    options = _parse()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = Recipe(rows=options.rows, gradient_checkpoints=options.gradient_checkpoints)
    tokenizer = CodeTokenizer.from_folder(options.base)
    files = list(read_shards(options.corpus))
    stream = ExampleStream(tokenizer, fim.FALCON, files, HoleMix(), recipe.seed)
    model = build_model(options.base, tokenizer, recipe, device)
    trainer = FimTrainer(model, sentinel_ids(tokenizer), recipe, device, options.corpus.name)
    if (options.out / "state.pt").is_file():
        trainer.resume(options.out)
    elif options.start_from:
        start_from(model, options.start_from)
    train(
        trainer,
        drawn_ahead(batches_from(stream, recipe.rows, trainer.place)),
        Schedule(trainer.step, recipe.warmup_steps, options.anneal),
        options.out / "annealed" if options.anneal else options.out,
        seconds=options.minutes * 60,
        save_every=options.save_every,
    )


def _trainable(model: PeftModel) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of shards")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--start-from", type=Path, help="adapter to begin with")
    parser.add_argument("--minutes", type=float, default=60.0, help="wall-clock budget")
    parser.add_argument("--anneal", type=int, default=0, help="decay to zero over so many steps")
    parser.add_argument("--rows", type=int, default=4, help="rows of a batch")
    parser.add_argument("--save-every", type=int, default=25, help="steps between checkpoints")
    parser.add_argument("--gradient-checkpoints", action="store_true", help="less memory, slower")
    return parser.parse_args()


if __name__ == "__main__":
    main()
