"""A checked model on disk: what engines load and adapters are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from falcon_lsp.model import fim
from falcon_lsp.model.engine import EngineError

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A checked model: ``sha256`` identifies its weights, for adapters that are trained on them."""

    folder: Path
    model_id: str
    fim: fim.FimFormat
    sha256: str

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return every parameter's shape by name, read from the files' headers."""
        shapes: dict[str, tuple[int, ...]] = {}
        for file in weight_files(self.folder):
            weights: Any = safe_open(file, "np")
            for name in weights.keys():  # noqa: SIM118 - safe_open is no mapping
                shapes[name] = tuple(weights.get_slice(name).get_shape())
        return shapes


def weight_files(folder: Path) -> Sequence[Path]:
    """Return the files of the weights; raises `EngineError` where there are none to trust."""
    files = sorted(folder.glob("model*.safetensors"))
    if files:
        return files
    if any(next(folder.glob(kind), None) for kind in _PICKLES):
        raise EngineError(
            f"{folder.name} has its weights in a format that can run code: choose one that has "
            "them as safetensors."
        )
    raise EngineError(f"{folder.name} holds no weights (model.safetensors): choose another folder.")
