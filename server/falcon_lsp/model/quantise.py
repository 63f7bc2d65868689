"""From a model's folder and an adapter to the eight-bit weights that `llama_graph` computes with.

Each block of a row has its own scale: ``W = scale * (q - 128)``, with q in 1..255. The merge with
the adapter is done in fp32 before.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.llama_graph import BLOCK
from falcon_lsp.model.llama_shape import LlamaShape
from falcon_lsp.model.merge import BaseWeights, Lora

_ZERO = 128
_LARGEST = 127
_ATTENTION = ("q_proj", "k_proj", "v_proj")
_LINEAR = {
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
_NORMS = {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise ``(rows, columns)`` fp32; return ``(rows, blocks, BLOCK)`` and ``(rows * blocks,)``.

    Columns are filled up with zeros to whole blocks. No element moves by more than half a scale.
    """
    rows, columns = weight.shape
    blocks = torch.nn.functional.pad(weight, (0, -columns % BLOCK)).view(rows, -1, BLOCK)
    scale = blocks.abs().amax(-1, keepdim=True) / _LARGEST
    steps = (blocks / scale.where(scale > 0, 1.0)).round_()
    return (steps + _ZERO).to(torch.uint8), scale.flatten()


def write_quantised(folder: Path, shape: LlamaShape, lora: Lora, file: Path) -> None:
    """Write the constants of the network and ``embedding`` (bf16 as 16-bit words) to ``file``.

    Raises `EngineError` when the adapter does not fit.
    """
    base = BaseWeights(folder)
    used: set[str] = set()

    def read(name: str) -> Tensor:
        used.add(name)
        return lora.merged(name, base.read(name).float())

    embedding = read("model.embed_tokens.weight")
    head = embedding if shape.tied else read("lm_head.weight")
    constants = {
        "embedding": embedding.to(torch.bfloat16).view(torch.int16),
        "norm": read("model.norm.weight"),
    }
    constants |= _linear("head", head)
    for layer in range(shape.layers):
        constants |= _layer(read, shape, layer)
    if strange := lora.names - used:
        raise EngineError(f"The adapter is for another model: this one has no {min(strange)}.")
    save_file({name: t.contiguous() for name, t in constants.items()}, file)


def _layer(read: Callable[[str], Tensor], shape: LlamaShape, layer: int) -> dict[str, Tensor]:
    source, target = f"model.layers.{layer}", f"layers.{layer}"

    def stacked(kind: str) -> Tensor:
        return torch.cat([read(f"{source}.self_attn.{part}.{kind}") for part in _ATTENTION])

    constants = {f"{target}.{to}": read(f"{source}.{of}.weight") for to, of in _NORMS.items()}
    constants |= _linear(f"{target}.qkv", stacked("weight"))
    if shape.biased:
        constants[f"{target}.qkv.bias"] = stacked("bias")
    for to, of in _LINEAR.items():
        constants |= _linear(f"{target}.{to}", read(f"{source}.{of}.weight"))
    return constants


def _linear(name: str, weight: Tensor) -> dict[str, Tensor]:
    steps, scale = quantise(weight)
    return {f"{name}.weight": steps, f"{name}.scale": scale}
