"""The trainer against TRL's, in pairs: the same base, adapter, texts, mini-batches and epochs.

Both learn the middles of holes cut from this project's own sources, with a prompt as long as the
server's. TRL's SFT trainer runs as it performs best here: bf16, batches of like length, loss on the
completion only, no gradient checkpoints, the same LoRA of the upper layers; ``trl-default`` leaves
it as it comes (all of that left to it but the precision). Each side runs in a process of its own,
in turn; what counts is processor time, so that other work on the machine does not, and the peak of
resident memory. Our side measures the KL to the base besides, and keeps its journal on disk.

``--update`` times one whole update of 64 episodes instead, under each objective: loading, training,
judging, publishing. The goal is 300 seconds on two cores, so 600 of a processor.
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

from evaluation.plain import plain_examples
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.heap import return_large_blocks
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome, Prompt, Suggestion
from falcon_lsp.learning.background.supervisor import training_environment
from falcon_lsp.learning.dataset import Encoding, Scored, encode_text
from falcon_lsp.learning.journal import Journal
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel, linear_layers
from falcon_lsp.learning.trainer import Recipe, train
from falcon_lsp.learning.update import Updater
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model.adapters import AdapterRegistry
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.loader import find_model
from falcon_lsp.model.tokenizer import CodeTokenizer

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "trainer.json"
PREFIX_CHARS, SUFFIX_CHARS = 2000, 500
RATE = 1e-4
SIDES = ("ours", "trl", "trl-default", *Objective)


def main() -> None:
    """Measure, print and write; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--update", action="store_true", help="time whole updates instead")
    parser.add_argument("--default", action="store_true", help="TRL as it comes, too")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        torch.set_num_threads(options.threads)
        whole = options.side in set(Objective)
        found = run_update(options) if whole else run_side(options.side, options)
        print(json.dumps(found))
        return
    if options.update:
        updates: list[dict[str, Any]] = []
        for side in Objective:
            updates.append(measure(side, options))
            write(options.out, {"updates": updates})
        return
    sides = ["trl", "ours"] * options.pairs + ["trl-default"] * options.default
    runs = [measure(side, options) for side in sides]
    ours = [run for run in runs if run["side"] == "ours"]
    theirs = [run for run in runs if run["side"] == "trl"]
    ratios = [o["tokens_per_s"] / t["tokens_per_s"] for o, t in zip(ours, theirs, strict=True)]
    write(options.out, {"ratio": statistics.median(ratios), "ratios": ratios, "runs": runs})
    print(f"{statistics.median(ratios):.2f} times TRL's tokens per processor second")


def write(file: Path, found: dict[str, Any]) -> None:
    """Replace in ``file`` what was measured now; the other part stays."""
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    body = {
        **known,
        **found,
        "goals": {"ratio": 1.5, "processor_s": 600, "peak_mb": 2500},
        "commands": {
            **known.get("commands", {}),
            "updates" if "updates" in found else "pairs": " ".join(
                ["python", "benchmarks/trainer.py", *sys.argv[1:]]
            ),
        },
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
    }
    file.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def measure(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [
        sys.executable, __file__, "--side", side, "--episodes", str(options.episodes),
        "--epochs", str(options.epochs), "--threads", str(options.threads),
    ]  # fmt: skip
    env = training_environment()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    rate = f"{found['tokens_per_s']:.0f} tokens/s, " if "tokens_per_s" in found else ""
    print(f"{side}: {rate}{found['processor_s']:.0f} s, {found['peak_mb']:.0f} MB", flush=True)
    return found


def run_side(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train once; tokens are all that is read, prompts included, in every epoch."""
    files = find_model(Config(), Store.default())
    texts = material(files, options.episodes)
    return_large_blocks()  # as the product's trainer does, and no worse for TRL
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


def run_update(options: argparse.Namespace) -> dict[str, Any]:
    """Run one update in a store of its own; processor seconds include those of loading."""
    files = find_model(Config(), Store.default())
    told = episodes(files, options.episodes)
    phases: list[tuple[str, float]] = []

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "phase":
            phases.append((event["phase"], time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        updater = Updater(
            AdapterRegistry(Path(folder) / "adapters"), files, threads=options.threads, keep=5,
            recipe=Recipe(objective=Objective(options.side)),
            journal=Journal(Path(folder) / "training"),
        )  # fmt: skip
        start = time.process_time()
        report = updater.run(told, hear, CancellationToken())
        end = time.process_time()
    ends = [*(when for _, when in phases[1:]), end]
    return {
        "objective": options.side,
        "episodes": len(told),
        "used": report.used,
        "steps": len(report.steps),
        "losses": [step.loss for step in report.steps],
        "processor_s": end - start,
        "phases": {name: after - when for (name, when), after in zip(phases, ends, strict=True)},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "threads": options.threads,
    }


def episodes(files: ModelFiles, count: int) -> list[Episode]:
    """Return suggestions for holes: every other is taken, the rest is declined for what is right.

    What is declined is the right answer of another hole.
    """
    tokenizer = CodeTokenizer.from_folder(files.folder)
    found = holes(count)
    said = [text if at % 2 else found[at - 1][1] for at, (_, text) in enumerate(found)]
    return [
        Episode(
            f"cmp-{at}", "file:///project", prompt.path, "python", float(at),
            Suggestion(
                f"cmp-{at}", text, 0, prompt, source="model",
                token_ids=tuple(tokenizer.encode(text)), model_id=files.model_id,
                adapter_id="base",
            ),
            outcome=Outcome.ACCEPTED if at % 2 else Outcome.REJECTED,
            chars_kept=len(text) if at % 2 else 0,
            settled={} if at % 2 else {10: right},
        )
        for at, (text, (prompt, right)) in enumerate(zip(said, found, strict=True))
    ]  # fmt: skip


def material(files: ModelFiles, count: int) -> list[Scored]:
    """Return holes in the package's own sources as the model reads them."""
    encoding = Encoding(CodeTokenizer.from_folder(files.folder), files.fim, files.model_id)
    encoded = [encode_text(encoding, prompt, text) for prompt, text in holes(count)]
    return [text for text in encoded if text is not None]


def holes(count: int, seed: int = 0) -> list[tuple[Prompt, str]]:
    """Return ``count`` places in the package's own sources, and the rest of the line there."""
    rng = random.Random(seed)
    sources = sorted((ROOT / "server").rglob("*.py"))
    found: list[tuple[Prompt, str]] = []
    while len(found) < count:
        path = rng.choice(sources)
        text = path.read_text("utf-8")
        if len(text) < PREFIX_CHARS:
            continue
        start = rng.randrange(PREFIX_CHARS // 4, len(text))
        end = text.find("\n", start)
        if end - start < 8:
            continue
        name = path.relative_to(ROOT).as_posix()
        before, after = text[max(0, start - PREFIX_CHARS) : start], text[end : end + SUFFIX_CHARS]
        found.append((Prompt(name, before, after), text[start:end]))
    return found


def train_ours(
    files: ModelFiles, texts: list[Scored], epochs: int, folder: Path
) -> tuple[float, list[float]]:
    """Return processor seconds of training, and each step's loss."""
    recipe = Recipe(
        objective=Objective.SUPERVISED, learning_rate=RATE, epochs=epochs, most_steps=10_000,
        kl_cap=1e9,
        kl_most=1e9,
    )  # fmt: skip
    model = PolicyModel(files.folder, None, recipe.shape, recipe.seed)
    start = time.process_time()
    done = train(
        model, plain_examples(texts), lambda _: None, recipe, lambda _: None, CancellationToken(),
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
