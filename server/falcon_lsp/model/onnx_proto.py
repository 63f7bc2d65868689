"""Writes ONNX graphs: as much of the format as a network needs whose weights stay outside.

ONNX is a protocol buffer, and its field numbers never change
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Writing one takes less than a dependency.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

IR_VERSION = 10
OPSETS = {"": 21, "com.microsoft": 1}
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_EXTERNAL = 1

Dimension = int | str
"""A length, or the name of one that is known only when the network runs."""


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def _number(tag: int, value: int) -> bytes:
    return _varint(tag << 3 | _VARINT) + _varint(value)


def _bytes(tag: int, value: bytes | str) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return _varint(tag << 3 | _BYTES) + _varint(len(content)) + content


def _each(tag: int, values: Iterable[bytes | str]) -> bytes:
    return b"".join(_bytes(tag, value) for value in values)


def _attribute(name: str, value: float) -> bytes:
    """Return an AttributeProto: an integer, or a real number in single precision."""
    if isinstance(value, int):
        return _bytes(1, name) + _number(3, value) + _number(20, 2)
    real = _varint(2 << 3 | _FIXED32) + struct.pack("<f", value)
    return _bytes(1, name) + real + _number(20, 1)


def _value(name: str, dtype: DTypeLike, shape: Sequence[Dimension]) -> bytes:
    """Return a ValueInfoProto: what goes into the network or comes out."""
    dimensions = [_number(1, d) if isinstance(d, int) else _bytes(2, d) for d in shape]
    tensor = _number(1, _TYPES[np.dtype(dtype).name]) + _bytes(2, _each(1, dimensions))
    return _bytes(1, name) + _bytes(2, _bytes(1, tensor))


def _tensor(name: str, dtype: DTypeLike, shape: Sequence[int]) -> bytes:
    """Return the head of a TensorProto, to be followed by its content."""
    dimensions = b"".join(_number(1, d) for d in shape)
    return dimensions + _number(2, _TYPES[np.dtype(dtype).name]) + _bytes(8, name)


def _external(name: str) -> bytes:
    """Return the content of a tensor that whoever runs the network gives by name."""
    return _bytes(13, _bytes(1, "location") + _bytes(2, name)) + _number(14, _EXTERNAL)


@dataclass(slots=True)
class Graph:
    """A network under construction; nodes stand in the order in which they run."""

    names: dict[str, None] = field(default_factory=dict)
    """Weights whose content is to be given when the network is loaded."""
    _nodes: list[bytes] = field(default_factory=list)
    _results: set[str] = field(default_factory=set)
    _weights: list[bytes] = field(default_factory=list)
    _inputs: list[bytes] = field(default_factory=list)
    _outputs: list[bytes] = field(default_factory=list)

    def input(self, name: str, dtype: DTypeLike, shape: Sequence[Dimension]) -> str:
        """Declare an input; return its name."""
        self._inputs.append(_value(name, dtype, shape))
        return name

    def output(self, name: str, dtype: DTypeLike, shape: Sequence[Dimension]) -> None:
        """Declare that ``name`` is to be had from outside."""
        self._outputs.append(_value(name, dtype, shape))

    def weight(self, name: str, dtype: DTypeLike, shape: Sequence[int]) -> str:
        """Declare a constant whose content is given when the network is loaded; return its name."""
        self.names[name] = None
        self._weights.append(_tensor(name, dtype, shape) + _external(name))
        return name

    def constant(self, name: str, value: NDArray[Any]) -> None:
        """Declare a small constant that is part of the graph."""
        self._weights.append(_tensor(name, value.dtype, value.shape) + _bytes(9, value.tobytes()))

    def has(self, name: str) -> bool:
        """Whether a node has the result ``name``."""
        return name in self._results

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, float] | None = None,
        domain: str = "",
    ) -> str:
        """Append an operation; return the name of its first output. ``""`` leaves one out."""
        self._results.update(outputs)
        settings = [_attribute(name, value) for name, value in (attributes or {}).items()]
        self._nodes.append(
            _each(1, inputs)
            + _each(2, outputs)
            + _bytes(3, outputs[0])
            + _bytes(4, operator)
            + _each(5, settings)
            + _bytes(7, domain)
        )
        return outputs[0]

    def serialised(self) -> bytes:
        """Return the whole as a ModelProto."""
        graph = (
            _each(1, self._nodes)
            + _bytes(2, "falcon")
            + _each(5, self._weights)
            + _each(11, self._inputs)
            + _each(12, self._outputs)
        )
        opsets = [_bytes(1, domain) + _number(2, at) for domain, at in OPSETS.items()]
        return _number(1, IR_VERSION) + _bytes(7, graph) + _each(8, opsets)
