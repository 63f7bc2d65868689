"""The trainer against TRL's, in pairs: the same base, adapter, texts, mini-batches and epochs.

Both learn the middles of holes cut from this project's own sources, with a prompt as long as the
server's. TRL's SFT trainer runs as it performs best here: bf16, batches of like length, loss on the
completion only, no gradient checkpoints, the same LoRA of the upper layers; ``trl-default`` leaves
it as it comes (all of that left to it but the precision). Each side runs in a process of its own,
in turn; what counts is processor time, so that other work on the machine does not, and the peak of
resident memory. Our side measures the KL to the base besides, and keeps its journal on disk.

A second part times one update of 64 episodes under each objective, everything included: load,
train, judge, publish.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Prompt
from falcon_lsp.learning.dataset import Encoding, Scored, TrainingExample, encode_text
from falcon_lsp.learning.journal import Journal
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.policy_model import LoraShape, PolicyModel, linear_layers
from falcon_lsp.learning.rewards import Reward
from falcon_lsp.learning.trainer import Recipe, train
from falcon_lsp.model.loader import ModelFiles, find_model
from falcon_lsp.model.tokenizer import CodeTokenizer

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "trainer.json"
PREFIX_CHARS, SUFFIX_CHARS = 2000, 500
RATE = 1e-4
SIDES = ("ours", "trl", "trl-default")


def main() -> None:
    """Measure, print and write; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        torch.set_num_threads(options.threads)
        print(json.dumps(run_side(options.side, options)))
        return
    sides = ["trl", "ours"] * options.pairs + ["trl-default"]
    runs = [measure(side, options) for side in sides]
    ours = [run for run in runs if run["side"] == "ours"]
    theirs = [run for run in runs if run["side"] == "trl"]
    ratios = [o["tokens_per_s"] / t["tokens_per_s"] for o, t in zip(ours, theirs, strict=True)]
    body = {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "goal": 1.5,
        "runs": runs,
        "command": " ".join(["python", "benchmarks/trainer.py", *sys.argv[1:]]),
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
    }
    options.out.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    print(f"{statistics.median(ratios):.2f} times TRL's tokens per processor second: {options.out}")


def measure(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [
        sys.executable, __file__, "--side", side, "--episodes", str(options.episodes),
        "--epochs", str(options.epochs), "--threads", str(options.threads),
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(side, f"{found['tokens_per_s']:.0f} tokens/s, {found['peak_mb']:.0f} MB", flush=True)
    return found


def run_side(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train once; tokens are all that is read, prompts included, in every epoch."""
    files = find_model(Config(), Store.default())
    texts = material(files, options.episodes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        if side == "ours":
            seconds, losses = train_ours(files, texts, options.epochs, Path(folder))
        else:
            seconds, losses = train_trl(
                files, texts, options.epochs, Path(folder), tuned=side == "trl"
            )
    tokens = options.epochs * sum(map(len, texts))
    return {
        "side": side,
        "tokens": tokens,
        "answer_tokens": sum(len(text.answer) for text in texts),
        "processor_s": seconds,
        "tokens_per_s": tokens / seconds,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "before_mb": before / 1024,
        "threads": options.threads,
    }


def material(files: ModelFiles, count: int, seed: int = 0) -> list[Scored]:
    """Cut ``count`` holes, a line or the rest of one, out of the package's own sources."""
    encoding = Encoding(CodeTokenizer.from_folder(files.folder), files.fim, files.model_id)
    rng = random.Random(seed)
    sources = sorted((ROOT / "server").rglob("*.py"))
    found: list[Scored] = []
    while len(found) < count:
        path = rng.choice(sources)
        text = path.read_text("utf-8")
        if len(text) < PREFIX_CHARS:
            continue
        start = rng.randrange(PREFIX_CHARS // 4, len(text))
        end = text.find("\n", start)
        if end - start < 8:
            continue
        prompt = Prompt(
            path.relative_to(ROOT).as_posix(),
            text[max(0, start - PREFIX_CHARS) : start],
            text[end : end + SUFFIX_CHARS],
        )
        encoded = encode_text(encoding, prompt, text[start:end])
        found += [encoded] if encoded else []
    return found


def train_ours(
    files: ModelFiles, texts: list[Scored], epochs: int, folder: Path
) -> tuple[float, list[float]]:
    """Return processor seconds of training, and each step's loss."""
    recipe = Recipe(
        objective=Objective.SUPERVISED, learning_rate=RATE, epochs=epochs, most_steps=10_000,
        kl_cap=1e9,
    )  # fmt: skip
    model = PolicyModel(files.folder, None, recipe.shape, recipe.seed)
    ones = [
        TrainingExample(
            f"cmp-{at}", "python", float(at), "base", text, Reward(1.0, {}),
            (1.0,) * len(text.answer), (0.0,) * len(text.answer),
        )
        for at, text in enumerate(texts)
    ]  # fmt: skip
    start = time.process_time()
    done = train(
        model, ones, lambda _: None, recipe, lambda _: None, CancellationToken(),
        Journal(folder, files.sha256),
    )  # fmt: skip
    return time.process_time() - start, [asdict(step)["loss"] for step in done.steps]


def train_trl(
    files: ModelFiles, texts: list[Scored], epochs: int, folder: Path, *, tuned: bool
) -> tuple[float, list[float]]:
    """Return processor seconds of training, and each step's loss."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    shape = LoraShape()
    model = AutoModelForCausalLM.from_pretrained(
        files.folder, dtype=torch.bfloat16 if tuned else torch.float32
    )
    layers = int(model.config.num_hidden_layers)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(files.folder / "tokenizer.json"),
        eos_token="<|endoftext|>", pad_token="<|im_end|>",
    )  # fmt: skip
    best = {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"}
    config = SFTConfig(
        output_dir=str(folder), report_to=[], use_cpu=True, bf16=True, seed=0, max_length=None,
        per_device_train_batch_size=4, gradient_accumulation_steps=4, num_train_epochs=epochs,
        learning_rate=RATE, lr_scheduler_type="constant", save_strategy="no", logging_steps=1,
        disable_tqdm=True, dataloader_pin_memory=False, max_grad_norm=1.0,
        dataset_kwargs={"skip_prepare_dataset": True},
        **(best if tuned else {}),
    )  # fmt: skip
    rows = [
        {
            "input_ids": [*text.context, *text.answer],
            "labels": [-100] * len(text.context) + [*text.answer],
            "length": len(text),
        }
        for text in texts
    ]
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=shape.rank, lora_alpha=shape.alpha, target_modules=linear_layers(model),
            layers_to_transform=list(range(layers // 2, layers)), task_type="CAUSAL_LM",
        ),
    )  # fmt: skip
    start = time.process_time()
    trainer.train()
    seconds = time.process_time() - start
    return seconds, [row["loss"] for row in trainer.state.log_history if "loss" in row]


if __name__ == "__main__":
    main()
