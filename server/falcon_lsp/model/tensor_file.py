"""Safetensors files, written one array at a time and mapped into memory as a whole.

The format is a length, a JSON header padded with spaces, and the arrays' bytes
(https://huggingface.co/docs/safetensors). The library that reads and writes it holds everything in
memory when it writes, and copies when it reads.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from falcon_lsp.core.paths import PRIVATE_FILE
from falcon_lsp.model.engine import EngineError

_TYPES: dict[str, Any] = {"U8": np.uint8, "I8": np.int8, "I16": np.int16, "F32": np.float32}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}
_LENGTH = 8
_ENTRY = 160
"""Bytes that the header may take for each array."""
_ALIGNED = 64


class TensorWriter:
    """Writes a file of at most ``room`` arrays; without a whole header it is not one."""

    def __init__(self, file: Path, room: int = 4096) -> None:
        file.touch(PRIVATE_FILE)
        self._stream = file.open("wb")
        self._start = _LENGTH + room * _ENTRY
        self._stream.seek(self._start)
        self._entries: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with self._stream:
            if kind is None:
                self._finish()

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Append one array, which has to be contiguous."""
        begin = self._stream.tell() - self._start
        self._stream.write(array.data.cast("B"))
        end = self._stream.tell() - self._start
        offsets, shape = [begin, end], list(array.shape)
        entry = {"dtype": _NAMES[array.dtype], "shape": shape, "data_offsets": offsets}
        self._entries[name] = entry

    def _finish(self) -> None:
        header = json.dumps(self._entries, separators=(",", ":")).encode()
        self._stream.seek(0)
        self._stream.write((self._start - _LENGTH).to_bytes(_LENGTH, "little"))
        self._stream.write(header.ljust(self._start - _LENGTH))


class MappedTensors:
    """A file's arrays; only what is looked at takes memory. Raises `EngineError` when damaged."""

    def __init__(self, file: Path) -> None:
        try:
            with file.open("rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            self.arrays: Mapping[str, NDArray[Any]] = dict(self._read())
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"{file.name} is damaged: delete it and try again.") from error

    def release(self) -> None:
        """Give back the memory of what was looked at; it is read again if it is needed again."""
        if hasattr(mmap, "MADV_DONTNEED"):  # Windows takes it back by itself
            with contextlib.suppress(OSError):
                self._map.madvise(mmap.MADV_DONTNEED)

    def _read(self) -> Any:
        start = _LENGTH + int.from_bytes(self._map[:_LENGTH], "little")
        for name, entry in json.loads(self._map[_LENGTH:start]).items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            dtype, shape = np.dtype(_TYPES[entry["dtype"]]), entry["shape"]
            count = math.prod(shape)
            if begin + count * dtype.itemsize != end:
                raise ValueError(name)
            yield name, np.frombuffer(self._map, dtype, count, start + begin).reshape(shape)
