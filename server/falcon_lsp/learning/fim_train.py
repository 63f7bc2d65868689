"""Train the FIM adapter that ships in the package: LoRA plus the rows of the sentinels.

Resumable from any checkpoint after a kill, deterministic for a seed, the same on CUDA and CPU. The
learning rate is warmup-stable-decay, so that a run may stop at any time and go on later: ``anneal``
is a short last phase from any checkpoint.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from falcon_lsp.learning.fim_examples import FimExample, HoleMix, SourceFile, examples
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer

LINEAR_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SENTINEL_WORDS = {
    "<issue_start>": "after below suffix",
    "<issue_comment>": "before above code",
    "<issue_closed>": "<|endoftext|>",
    "<filename>": "file path name",
    "<file_sep>": "file other snippet",
}
"""Words whose mean embedding a sentinel starts from: random rows taught no infilling."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyper-parameters of the FIM adapter."""

    rank: int = 32
    alpha: int = 64
    learning_rate: float = 6e-4
    sentinel_learning_rate: float = 1e-3
    warmup_steps: int = 20
    rows: int = 4
    max_tokens: int = 704
    clip: float = 1.0
    seed: int = 0


def build_model(base: Path, tokenizer: CodeTokenizer, recipe: Recipe, device: str) -> PeftModel:
    """Return the base in fp32 with a fresh adapter and sentinels started from real words."""
    torch.manual_seed(recipe.seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).to(device)
    rows = model.get_input_embeddings().weight
    with torch.no_grad():
        for sentinel, words in SENTINEL_WORDS.items():
            known = words in tokenizer.vocabulary
            ids = [tokenizer.special(words)] if known else tokenizer.encode(" " + words)
            rows[tokenizer.special(sentinel)] = rows[ids].mean(0)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=LINEAR_LAYERS,
        trainable_token_indices={
            "embed_tokens": sorted(tokenizer.special(mark) for mark in SENTINEL_WORDS)
        },
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def collate(batch: list[FimExample], max_tokens: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Pad on the right: ids, loss weights and attention mask, each ``(B, T)``.

    An example that is too long loses its beginning, never its answer.
    """
    width = min(max_tokens, max(len(example.ids) for example in batch))
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    weights = torch.zeros(len(batch), width)
    mask = torch.zeros(len(batch), width, dtype=torch.long)
    for row, example in enumerate(batch):
        kept = example.ids[-width:]
        ids[row, : len(kept)] = torch.tensor(kept)
        weights[row, : len(kept)] = torch.tensor(example.weights[-width:])
        mask[row, : len(kept)] = 1
    return ids.to(device), weights.to(device), mask.to(device)


def weighted_loss(model: nn.Module, ids: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    """Return the weighted mean cross-entropy (nats) of predicting ``ids[:, 1:]``."""
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    losses = nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none"
    )
    flat = weights[:, 1:].flatten()
    return (losses * flat).sum() / flat.sum()


class FimTrainer:
    """The training loop and its checkpoints in ``folder``."""

    def __init__(self, model: PeftModel, recipe: Recipe, folder: Path, device: str) -> None:
        self.model, self.recipe, self.folder, self.device = model, recipe, folder, device
        sentinels = [
            p for n, p in model.named_parameters() if "token_adapter" in n and p.requires_grad
        ]
        others = [
            p for n, p in model.named_parameters() if "token_adapter" not in n and p.requires_grad
        ]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": others, "lr": recipe.learning_rate, "base": recipe.learning_rate},
                {"params": sentinels, "lr": 0.0, "base": recipe.sentinel_learning_rate},
            ],
            weight_decay=0.0,
            betas=(0.9, 0.98),
        )
        self.step = 0
        self.tokens = 0

    def train_step(self, batch: list[FimExample], scale: float) -> float:
        """Take one optimiser step at ``scale`` times the base learning rate; return the loss."""
        ids, weights, mask = collate(batch, self.recipe.max_tokens, self.device)
        self.model.train()
        with torch.autocast(self.device, dtype=torch.bfloat16):
            loss = weighted_loss(self.model, ids, weights, mask)
        loss.backward()  # type: ignore[no-untyped-call]
        trainable = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(trainable, self.recipe.clip)
        warm = min(1.0, (self.step + 1) / self.recipe.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * warm * scale
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.tokens += int(mask.sum())
        return float(loss)

    def save(self) -> None:
        """Write the adapter and the optimiser; the last complete checkpoint survives a kill."""
        self.model.save_pretrained(self.folder / "adapter")
        state = {"optimizer": self.optimizer.state_dict(), "step": self.step, "tokens": self.tokens}
        trainable = {n: p.detach() for n, p in self.model.named_parameters() if p.requires_grad}
        torch.save({**state, "weights": trainable}, self.folder / "state.tmp")
        (self.folder / "state.tmp").replace(self.folder / "state.pt")

    def resume(self) -> None:
        """Continue from the checkpoint in ``folder``, when there is one."""
        file = self.folder / "state.pt"
        if not file.is_file():
            return
        state: dict[str, Any] = torch.load(file, map_location=self.device, weights_only=True)
        named = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, value in state["weights"].items():
                named[name].copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.tokens = state["step"], state["tokens"]


def batches(source: Iterator[FimExample], rows: int) -> Iterator[list[FimExample]]:
    """Group examples of like length: sixteen batches are drawn, sorted and shuffled together."""
    rng = random.Random(0)
    while pool := list(islice(source, rows * 16)):
        pool.sort(key=lambda example: len(example.ids))
        groups = [pool[at : at + rows] for at in range(0, len(pool), rows)]
        rng.shuffle(groups)
        yield from groups


def read_files(corpus: Path) -> list[SourceFile]:
    """Read a corpus of JSON lines with ``path`` and ``text``."""
    with corpus.open(encoding="utf-8") as lines:
        return [SourceFile(row["path"], row["text"]) for row in map(json.loads, lines)]


def main() -> None:
    """Train, checkpoint and log; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--corpus", type=Path, required=True, help="JSON lines of path and text")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--minutes", type=float, default=60.0, help="wall-clock budget")
    parser.add_argument("--anneal", type=int, default=0, help="decay to zero over so many steps")
    parser.add_argument("--save-every", type=int, default=25, help="steps between checkpoints")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = Recipe()
    tokenizer = CodeTokenizer.from_folder(args.base)
    args.out.mkdir(parents=True, exist_ok=True)
    trainer = FimTrainer(
        build_model(args.base, tokenizer, recipe, device), recipe, args.out, device
    )
    trainer.resume()
    source = examples(tokenizer, fim.FALCON, read_files(args.corpus), HoleMix(), recipe.seed)
    queue = islice(batches(source, recipe.rows), trainer.step, None)
    started, first = time.monotonic(), trainer.step
    (args.out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
    with (args.out / "loss.jsonl").open("a", encoding="utf-8") as log:
        for batch in queue:
            done = trainer.step - first
            scale = 1.0 - done / args.anneal if args.anneal else 1.0
            loss = trainer.train_step(batch, scale)
            row = {"step": trainer.step, "tokens": trainer.tokens, "loss": round(loss, 4)}
            log.write(json.dumps({**row, "seconds": round(time.monotonic() - started, 1)}) + "\n")
            log.flush()
            over = time.monotonic() - started > args.minutes * 60
            last = over or (args.anneal and done + 1 >= args.anneal)
            if last or trainer.step % args.save_every == 0:
                trainer.save()
            if last:
                break


if __name__ == "__main__":
    main()
