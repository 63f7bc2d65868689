"""From a model's folder and an adapter to the eight-bit weights that `llama_graph` computes with.

Everything is there twice, in the order of either network: blocks of a row with a scale each,
``W = scale * (q - 128)`` with q in 1..255, and columns with one step each, ``W = step * q`` with q
in -127..127. The merge with the adapter is done in fp32 before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.llama_graph import BLOCK, LARGEST, MIDDLE
from falcon_lsp.model.llama_shape import LlamaShape
from falcon_lsp.model.merge import BaseWeights, Lora, read_lora
from falcon_lsp.model.tensor_file import TensorWriter

AT_ONCE = 4096
"""Rows quantised at a time, so that an output layer does not stand in memory several times."""

_ATTENTION = ("q_proj", "k_proj", "v_proj")
_LINEAR = {
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
_NORMS = {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
Named = Iterator[tuple[str, Tensor]]


def quantise_into(folder: Path, adapter: Path | None, file: Path) -> None:
    """Write the weights of both networks and ``embedding`` (bf16 as 16-bit words) to ``file``.

    Raises `EngineError` when the adapter does not fit.
    """
    lora = read_lora(adapter) if adapter else Lora()
    base, shape = BaseWeights(folder), LlamaShape.read(folder)
    used: set[str] = set()

    def read(name: str) -> Tensor:
        used.add(name)
        return lora.merged(name, base.read(name).float())

    with TensorWriter(file) as writer:
        for name, tensor in _constants(read, shape):
            writer.add(name, tensor.contiguous().numpy())
    if strange := lora.names - used:
        raise EngineError(f"The adapter is for another model: this one has no {min(strange)}.")


def in_blocks(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise ``(rows, columns)`` fp32; return ``(rows, blocks, BLOCK)`` and ``(rows * blocks,)``.

    Columns are filled up with zeros to whole blocks. No element moves by more than half a scale.
    """
    rows, columns = weight.shape
    blocks = torch.nn.functional.pad(weight, (0, -columns % BLOCK)).view(rows, -1, BLOCK)
    steps, scale = _quantised(blocks)
    return (steps + MIDDLE).to(torch.uint8), scale.flatten()


def in_columns(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise ``(rows, columns)`` fp32; return ``(columns, rows)`` and a step for each row."""
    steps, step = _quantised(weight)
    return steps.to(torch.int8).T.contiguous(), step.flatten()


def _quantised(values: Tensor) -> tuple[Tensor, Tensor]:
    scale = values.abs().amax(-1, keepdim=True) / LARGEST
    return (values / scale.where(scale > 0, 1.0)).round_(), scale


def _constants(read: Callable[[str], Tensor], shape: LlamaShape) -> Named:
    words = "model.embed_tokens.weight"
    yield "embedding", read(words).to(torch.bfloat16).view(torch.int16)
    yield "norm", read("model.norm.weight")
    yield from _blocks("head", read(words if shape.tied else "lm_head.weight"))
    for layer in range(shape.layers):
        for name, weight in _layer(read, f"model.layers.{layer}", shape.biased):
            at = f"layers.{layer}.{name}"
            if weight.dim() == 1:
                yield at, weight
                continue
            yield from _blocks(at, weight)
            if name == "qkv" or layer < shape.layers - 1:  # reading ends at the last keys
                yield from zip((f"{at}.columns", f"{at}.step"), in_columns(weight), strict=True)


def _layer(read: Callable[[str], Tensor], source: str, biased: bool) -> Named:
    """Yield one layer's parameters by our names, queries, keys and values as one."""

    def stacked(kind: str) -> Tensor:
        return torch.cat([read(f"{source}.self_attn.{part}.{kind}") for part in _ATTENTION])

    for to, of in _NORMS.items():
        yield to, read(f"{source}.{of}.weight")
    yield "qkv", stacked("weight")
    if biased:
        yield "qkv.bias", stacked("bias")
    for to, of in _LINEAR.items():
        yield to, read(f"{source}.{of}.weight")


def _blocks(name: str, weight: Tensor) -> Named:
    steps, scales = zip(*map(in_blocks, torch.split(weight, AT_ONCE)), strict=True)
    yield f"{name}.weight", torch.cat(steps)
    yield f"{name}.scale", torch.cat(scales)
