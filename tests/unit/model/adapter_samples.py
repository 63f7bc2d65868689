"""Small adapters for tests of the registry: valid ones, and the parts to spoil them with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from falcon_lsp.model.adapters import PROMOTED, AdapterManifest, AdapterRegistry

BASE_SHA256 = "b" * 64
MODULE = "base_model.model.model.layers.0.self_attn.q_proj"
SHAPES = {"model.layers.0.self_attn.q_proj.weight": (6, 5)}
CONFIG: dict[str, Any] = {
    "peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "auto_mapping": None,
    "target_modules": ["q_proj"], "use_dora": False, "rank_pattern": {},
}  # fmt: skip


def tensors(**changes: Any) -> dict[str, Any]:
    """Return one LoRA pair; keyword arguments replace its halves ``a`` and ``b``."""
    return {
        f"{MODULE}.lora_A.weight": changes.get("a", np.ones((2, 5), np.float32)),
        f"{MODULE}.lora_B.weight": changes.get("b", np.ones((6, 2), np.float32)),
    }


def write(folder: Path, weights: dict[str, Any] | None = None, **config: Any) -> Path:
    """Write an adapter without a manifest; keyword arguments change its configuration."""
    save_file(weights or tensors(), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | config))
    return folder


def manifest(adapter_id: str, **fields: Any) -> AdapterManifest:
    """Return the manifest of a promoted adapter."""
    return AdapterManifest(
        **{"id": adapter_id, "base_sha256": BASE_SHA256, "status": PROMOTED, **fields}
    )


def publish(
    registry: AdapterRegistry, adapter_id: str, replacing: str | None = None, **fields: Any
) -> AdapterManifest:
    """Publish a valid adapter."""
    written = write(registry.new_temporary())
    return registry.publish(written, manifest(adapter_id, **fields), replacing)
