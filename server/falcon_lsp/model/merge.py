"""LoRA arithmetic: ``W' = W + scale * B @ A`` in fp32, from adapter folders as PEFT writes them.

Merged weights cost nothing at inference. Only safetensors are read, and PEFT is not needed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from falcon_lsp.model.engine import EngineError

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
_PEFT_ROOT = "base_model.model."
_ROWS = ".token_adapter.trainable_tokens_delta"


@dataclass(frozen=True, slots=True)
class Lora:
    """What an adapter changes, by the base's parameter names.

    ``pairs`` holds ``A (r, in)`` and ``B (out, r)``; ``rows`` whole rows that take the place of the
    base's: their indices ``(n,)`` and values ``(n, columns)``.
    """

    scale: float = 0.0
    pairs: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    rows: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """Every parameter of the base that changes."""
        return frozenset((*self.pairs, *self.rows))

    def merged(self, name: str, weight: Tensor) -> Tensor:
        """Return ``weight`` with this adapter in it, in its own type.

        Raises `EngineError` when shapes do not fit or the result is not finite.
        """
        result = weight.float()
        try:
            if name in self.pairs:
                a, b = self.pairs[name]
                result = result + self.scale * (b.float() @ a.float())
            if name in self.rows:
                indices, values = self.rows[name]
                result = result.index_copy(0, indices, values.float())
        except (RuntimeError, IndexError) as error:
            raise EngineError(f"The adapter does not fit the model ({name}).") from error
        if result.shape != weight.shape or not bool(result.isfinite().all()):
            raise EngineError(f"The adapter makes the model's weights unusable ({name}).")
        return result.to(weight.dtype)


def rounded(weight: Tensor, name: str) -> Tensor:
    """Return ``weight`` (fp32) in bf16, rounded up or down by chance, right on average.

    Rounding to the nearest would undo most of a small update: at a learning rate of 2e-4 it leaves
    six elements of seven as they were. Values that bf16 holds exactly stay; the same name and
    weights give the same result.
    """
    dice = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    bits = weight.cpu().contiguous().view(torch.int32)
    noise = torch.randint(0, 1 << 16, bits.shape, generator=dice, dtype=torch.int32)
    return ((bits + noise) & -(1 << 16)).view(torch.float32).to(torch.bfloat16)


def read_lora(folder: Path) -> Lora:
    """Read an adapter folder; raises `EngineError` when it is not one that can be merged."""
    try:
        config: dict[str, Any] = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
        with safe_open(folder / ADAPTER_WEIGHTS, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
        rows = _rows(config, tensors)
        return Lora(float(config["lora_alpha"]) / int(config["r"]), _pairs(tensors), rows)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise EngineError("The adapter cannot be read: choose another version.") from error


def _pairs(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    mark = ".lora_A.weight"
    modules = [name.removesuffix(mark) for name in tensors if name.endswith(mark)]
    return {
        f"{module.removeprefix(_PEFT_ROOT)}.weight": (
            tensors[f"{module}.lora_A.weight"],
            tensors[f"{module}.lora_B.weight"],
        )
        for module in modules
    }


def _rows(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return trained embedding rows; PEFT calls them a delta, but they replace the base's."""
    chosen = config.get("trainable_token_indices") or {}
    rows = {}
    for name, values in tensors.items():
        if name.endswith(_ROWS):
            module = name.removeprefix(_PEFT_ROOT).removesuffix(_ROWS)
            indices = torch.tensor(chosen[module.rpartition(".")[2]])
            rows[f"{module}.weight"] = (indices, values)
    return rows


class BaseWeights:
    """The base's parameters on disk, memory-mapped and read one at a time; thread-safe.

    Nothing stays mapped between two reads, so that memory holds what is worked on and no more.
    """

    def __init__(self, folder: Path) -> None:
        self._where: dict[str, Path] = {}
        for file in sorted(folder.glob("model*.safetensors")):
            with _opened(file) as weights:
                self._where |= dict.fromkeys(weights.keys(), file)

    def read(self, name: str) -> Tensor:
        """Return one parameter as stored; raises `EngineError` when the base has none so named."""
        if name not in self._where:
            raise EngineError(f"The adapter is for another model: this one has no {name}.")
        with _opened(self._where[name]) as weights:
            tensor: Tensor = weights.get_tensor(name)
        return tensor


def _opened(file: Path) -> Any:
    return safe_open(file, "pt")
