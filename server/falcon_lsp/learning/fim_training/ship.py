"""Turn a training checkpoint into the adapter that ships in the package: bf16, no local paths."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

BASE_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"


def ship(checkpoint: Path, out: Path) -> dict[str, Any]:
    """Write ``out/adapter_model.safetensors`` and ``adapter_config.json``; return their facts.

    ``checkpoint`` is a folder written by `falcon_lsp.learning.fim_training.train`.
    """
    weights = load_file(checkpoint / "adapter" / "adapter_model.safetensors")
    out.mkdir(parents=True, exist_ok=True)
    rounded = {name: value.to(torch.bfloat16).contiguous() for name, value in weights.items()}
    save_file(rounded, out / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((checkpoint / "adapter" / "adapter_config.json").read_text("utf-8"))
    config["base_model_name_or_path"] = BASE_NAME
    config["target_modules"] = sorted(config["target_modules"])
    kept = {key: value for key, value in config.items() if value not in (None, {}, [])}
    (out / "adapter_config.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    lines = (checkpoint / "loss.jsonl").read_text("utf-8").splitlines()
    last = json.loads(lines[-1])
    return {"parameters": sum(v.numel() for v in weights.values()), **last}


def main() -> None:
    """Ship a checkpoint; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="folder that fim_training.train wrote")
    parser.add_argument("out", type=Path, help="folder in the package")
    arguments = parser.parse_args()
    print(json.dumps(ship(arguments.checkpoint, arguments.out)))  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()
