"""The Llama network as ONNX graphs over quantised weights: one that answers, one that reads.

Attention is `GroupQueryAttention`: it rotates queries and keys and writes new keys and values into
the buffers that it is given. Linear layers are `MatMulNBits` where few tokens are computed and
reading the weights takes the time; where many are, `MatMulInteger` computes three times as much a
second, and is given weights in its own order
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from falcon_lsp.model.llama_shape import LlamaShape
from falcon_lsp.model.onnx_proto import Graph

BITS = 8
BLOCK = 128
"""Weights that share a scale in `answering`; the kernel for 128 is faster than those for others."""
MIDDLE = 128
"""What stands for zero in bytes without a sign."""
LARGEST = 127

_INT8_ACTIVATIONS = 4
_LEAST_SCALE = np.float32(1e-30)
"""A row of zeros is divided by this rather than by zero."""
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


def answering(shape: LlamaShape, constants: Arrays) -> Graph:
    """Return the network that says what follows, to be loaded with those constants that it names.

    Inputs: ``hidden (1, n, hidden)`` embedded tokens, ``last (1,)`` position of the last of them,
    ``total (1,)`` tokens with those in the cache, ``rows (m,)`` which of the n get logits, and
    buffers by `cache_names` ``(1, kv_heads, capacity, head_size)``. Output: ``logits (1, m, V)``.
    """
    return _Answering(shape, constants).built()


def reading(shape: LlamaShape, constants: Arrays) -> Graph:
    """Return the network that only fills buffers with the keys and values of many tokens.

    Inputs as above without ``rows``, and ``middles (n,)``, each `MIDDLE`.
    """
    return _Reading(shape, constants).built()


class _Llama(ABC):
    """Builds one network; each method appends a part and returns the name of its result."""

    def __init__(self, shape: LlamaShape, constants: Arrays) -> None:
        self._shape, self._constants, self._graph = shape, constants, Graph()
        self._weight("cosines")
        self._weight("sines")

    @abstractmethod
    def built(self) -> Graph:
        """Return the whole network."""

    @abstractmethod
    def _linear(self, name: str, inputs: str, out: str = "") -> str:
        """Append ``inputs @ W.T`` with dequantised ``W``."""

    def _weight(self, name: str) -> str:
        array = self._constants[name]
        return self._graph.weight(name, array.dtype, array.shape)

    def _inputs(self) -> str:
        """Declare what every network takes and gives; return the name of the embedded tokens."""
        graph, shape = self._graph, self._shape
        for name in ("last", "total"):
            graph.input(name, np.int32, (1,))
        buffer = (1, shape.kv_heads, "capacity", shape.head_size)
        for name in cache_names(shape):
            graph.input(name, np.float32, buffer)
            graph.output(f"{name}.out", np.float32, buffer)
        return graph.input("hidden", np.float32, (1, "n", shape.hidden))

    def _attended(self, layer: int, stream: str, update: str) -> tuple[str, str]:
        """Append a layer's first half; return what attention found, and the residual stream."""
        at = f"layers.{layer}."
        normal, stream = self._norm(f"{at}attention_norm", stream, update)
        qkv = self._linear(f"{at}qkv", normal)
        if f"{at}qkv.bias" in self._constants:
            qkv = self._graph.node("Add", [qkv, self._weight(f"{at}qkv.bias")], [f"{at}biased"])
        return self._attention(layer, qkv), stream

    def _transformed(self, layer: int, attended: str, stream: str) -> tuple[str, str]:
        """Append its second half; return the stream and what is still to be added to it."""
        at = f"layers.{layer}."
        normal, stream = self._norm(f"{at}mlp_norm", stream, self._linear(f"{at}o", attended))
        gate, up = self._linear(f"{at}gate", normal), self._linear(f"{at}up", normal)
        silu = self._graph.node("QuickGelu", [gate], [f"{at}silu"], {"alpha": 1.0}, _MICROSOFT)
        gated = self._graph.node("Mul", [silu, up], [f"{at}gated"])
        return stream, self._linear(f"{at}down", gated)

    def _norm(self, name: str, stream: str, update: str) -> tuple[str, str]:
        """Append ``stream + update`` and its normalisation; return the latter and the sum."""
        epsilon, out = {"epsilon": self._shape.epsilon}, f"{name}.out"
        self._weight(name)
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


class _Answering(_Llama):
    """Weights in blocks with a scale each; the kernel quantises activations by the same blocks."""

    def built(self) -> Graph:
        shape, graph = self._shape, self._graph
        stream, update = self._inputs(), ""
        graph.input("rows", np.int64, ("m",))
        graph.output("logits", np.float32, (1, "m", shape.vocabulary))
        for layer in range(shape.layers):
            attended, stream = self._attended(layer, stream, update)
            if layer == shape.layers - 1:  # nobody asks what follows the others
                attended, stream = self._chosen(attended), self._chosen(stream)
            stream, update = self._transformed(layer, attended, stream)
        normal, _ = self._norm("norm", stream, update)
        self._linear("head", normal, out="logits")
        return graph

    def _chosen(self, inputs: str) -> str:
        return self._graph.node("Gather", [inputs, "rows"], [f"{inputs}.chosen"], {"axis": 1})

    def _linear(self, name: str, inputs: str, out: str = "") -> str:
        rows = self._constants[f"{name}.weight"].shape[0]
        return self._graph.node(
            "MatMulNBits",
            [inputs, self._weight(f"{name}.weight"), self._weight(f"{name}.scale")],
            [out or f"{name}.out"],
            {
                "K": self._columns(name), "N": rows, "bits": BITS, "block_size": BLOCK,
                "accuracy_level": _INT8_ACTIVATIONS,
            },
            _MICROSOFT,
        )  # fmt: skip

    def _columns(self, name: str) -> int:
        """Return how many inputs a linear layer has; its blocks may hold padding besides."""
        part = name.rpartition(".")[2]
        if part == "o":
            return self._shape.heads * self._shape.head_size
        return self._shape.intermediate if part == "down" else self._shape.hidden


class _Reading(_Llama):
    """Each token's activations and each output's weights with one scale for all of them."""

    def built(self) -> Graph:
        graph = self._graph
        stream, update = self._inputs(), ""
        graph.input("middles", np.uint8, ("n",))
        graph.constant("middle", np.array(MIDDLE, np.uint8))
        graph.constant("one", np.array(1, np.float32))
        graph.constant("step", np.array(1 / LARGEST, np.float32))
        graph.constant("least", np.array(_LEAST_SCALE))
        graph.constant("innermost", np.array([-1], np.int64))
        for layer in range(self._shape.layers):
            attended, stream = self._attended(layer, stream, update)
            if layer < self._shape.layers - 1:  # its keys and values are all that is wanted
                stream, update = self._transformed(layer, attended, stream)
        return graph

    def _linear(self, name: str, inputs: str, out: str = "") -> str:
        steps, scale = self._quantised(inputs)
        product = self._graph.node(
            "MatMulIntegerToFloat",
            [steps, self._weight(f"{name}.columns"), "one", self._weight(f"{name}.step"), "middle"],
            [f"{name}.product"],
            domain=_MICROSOFT,
        )
        return self._graph.node("Mul", [product, scale], [out or f"{name}.out"])

    def _quantised(self, name: str) -> tuple[str, str]:
        """Append rows in bytes, and their scales ``(1, n, 1)``; the same inputs only once."""
        steps, scale = f"{name}.steps", f"{name}.scale"
        node = self._graph.node
        if self._graph.has(steps):
            return steps, scale
        size = node("Abs", [name], [f"{name}.size"])
        most = node("ReduceMax", [size, "innermost"], [f"{name}.most"], {"keepdims": 1})
        step = node("Mul", [most, "step"], [f"{name}.step"])
        node("Max", [step, "least"], [scale])
        flat = node("Reshape", [scale, "innermost"], [f"{name}.flat"])
        return node("QuantizeLinear", [name, flat, "middles"], [steps], {"axis": 1}), scale
