"""The Llama network as an ONNX graph over quantised weights.

Linear layers are `MatMulNBits`, attention is `GroupQueryAttention`: it rotates queries and keys and
writes new keys and values into the buffers that it is given
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from falcon_lsp.model.llama_shape import LlamaShape
from falcon_lsp.model.onnx_proto import Graph

BITS = 8
BLOCK = 64
"""Weights that share a scale; multiples of it need no padding."""

_INT8_ACTIVATIONS = 4
_MICROSOFT = "com.microsoft"

Arrays = Mapping[str, NDArray[Any]]


def cache_names(shape: LlamaShape) -> list[str]:
    """Return the name of each key and value buffer, the input's; outputs end in ``.out``."""
    return [f"{part}.{layer}" for layer in range(shape.layers) for part in ("keys", "values")]


def rotations(shape: LlamaShape) -> dict[str, NDArray[np.float32]]:
    """Return cosines and sines ``(context_length, head_size / 2)`` of rotary positions."""
    steps = np.arange(0, shape.head_size, 2) / shape.head_size
    angles = np.outer(np.arange(shape.context_length), shape.rope_theta**-steps)
    return {"cosines": np.cos(angles, dtype=np.float32), "sines": np.sin(angles, dtype=np.float32)}


def build(shape: LlamaShape, constants: Arrays) -> bytes:
    """Return the network, to be loaded together with ``constants`` as external weights.

    Inputs: ``hidden (1, n, hidden)`` embedded tokens, ``last (1,)`` position of the last of them,
    ``total (1,)`` tokens with those in the cache, ``rows (m,)`` which of the n get logits, and
    buffers by `cache_names` ``(1, kv_heads, capacity, head_size)``. Output: ``logits (1, m, V)``.
    """
    return _Llama(shape, constants).serialised()


class _Llama:
    """Builds one network; each method appends a part and returns the name of its result."""

    def __init__(self, shape: LlamaShape, constants: Arrays) -> None:
        self._shape, self._constants, self._graph = shape, constants, Graph()
        for name, array in constants.items():
            self._graph.weight(name, array.dtype, array.shape)

    def serialised(self) -> bytes:
        graph, shape = self._graph, self._shape
        stream = graph.input("hidden", np.float32, (1, "n", shape.hidden))
        for name in ("last", "total"):
            graph.input(name, np.int32, (1,))
        graph.input("rows", np.int64, ("m",))
        buffer = (1, shape.kv_heads, "capacity", shape.head_size)
        for name in cache_names(shape):
            graph.input(name, np.float32, buffer)
            graph.output(f"{name}.out", np.float32, buffer)
        graph.output("logits", np.float32, (1, "m", shape.vocabulary))
        update = ""
        for layer in range(shape.layers):
            stream, update = self._layer(layer, stream, update)
        normal, _ = self._norm("norm", stream, update)
        chosen = graph.node("Gather", [normal, "rows"], ["chosen"], {"axis": 1})
        self._linear("head", chosen, out="logits")
        return graph.serialised()

    def _layer(self, layer: int, stream: str, update: str) -> tuple[str, str]:
        """Append one layer; return the residual stream and what is still to be added to it."""
        at = f"layers.{layer}."
        normal, stream = self._norm(f"{at}attention_norm", stream, update)
        update = self._linear(f"{at}o", self._attention(layer, self._linear(f"{at}qkv", normal)))
        normal, stream = self._norm(f"{at}mlp_norm", stream, update)
        gate, up = self._linear(f"{at}gate", normal), self._linear(f"{at}up", normal)
        silu = self._graph.node("QuickGelu", [gate], [f"{at}silu"], {"alpha": 1.0}, _MICROSOFT)
        gated = self._graph.node("Mul", [silu, up], [f"{at}gated"])
        return stream, self._linear(f"{at}down", gated)

    def _norm(self, name: str, stream: str, update: str) -> tuple[str, str]:
        """Append ``stream + update`` and its normalisation; return the latter and the sum."""
        epsilon, out = {"epsilon": self._shape.epsilon}, f"{name}.out"
        if not update:
            inputs = [stream, name]
            operator = "SimplifiedLayerNormalization"
            return self._graph.node(operator, inputs, [out], {"axis": -1, **epsilon}), stream
        total = f"{name}.sum"
        self._graph.node(
            "SkipSimplifiedLayerNormalization",
            [stream, update, name], [out, "", "", total], epsilon, _MICROSOFT,
        )  # fmt: skip
        return out, total

    def _linear(self, name: str, inputs: str, out: str = "") -> str:
        """Append ``inputs @ W.T`` (plus a bias where there is one) with dequantised ``W``."""
        rows = self._constants[f"{name}.weight"].shape[0]
        bias = f"{name}.bias" in self._constants
        product = self._graph.node(
            "MatMulNBits",
            [inputs, f"{name}.weight", f"{name}.scale"],
            [f"{name}.product" if bias else out or f"{name}.out"],
            {
                "K": self._columns(name), "N": rows, "bits": BITS, "block_size": BLOCK,
                "accuracy_level": _INT8_ACTIVATIONS,
            },
            _MICROSOFT,
        )  # fmt: skip
        if bias:
            return self._graph.node("Add", [product, f"{name}.bias"], [f"{name}.out"])
        return product

    def _columns(self, name: str) -> int:
        """Return how many inputs a linear layer has; its blocks may hold padding besides."""
        part = name.rpartition(".")[2]
        if part == "o":
            return self._shape.heads * self._shape.head_size
        return self._shape.intermediate if part == "down" else self._shape.hidden

    def _attention(self, layer: int, qkv: str) -> str:
        past = [f"{part}.{layer}" for part in ("keys", "values")]
        return self._graph.node(
            "GroupQueryAttention",
            [qkv, "", "", *past, "last", "total", "cosines", "sines"],
            [f"layers.{layer}.attended", *(f"{name}.out" for name in past)],
            {
                "num_heads": self._shape.heads, "kv_num_heads": self._shape.kv_heads,
                "do_rotary": 1, "scale": self._shape.head_size**-0.5,
            },
            _MICROSOFT,
        )  # fmt: skip
