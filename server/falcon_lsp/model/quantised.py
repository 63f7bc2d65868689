"""Quantised weights on disk: made once per model and adapter, then mapped into memory.

PyTorch is imported only where they have to be made. Deleting the folder costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from falcon_lsp.core.paths import fsync_file, fsync_folder, private_folder, sha256_file
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.llama_shape import LlamaShape
from falcon_lsp.model.loader import ModelFiles

logger = logging.getLogger(__name__)

FORMAT = 1
"""Goes up whenever `falcon_lsp.model.quantise` makes something else of the same input."""

KEPT = 3
"""Files that stay: the base, the adapter in use, and the one before it."""

_TYPES = {"U8": np.uint8, "I16": np.int16, "F32": np.float32}


class QuantisedCache:
    """One model's quantised weights with different adapters; safe to use from several processes.

    A file's name holds what it was made of and the start of its own SHA-256.
    """

    def __init__(self, folder: Path, files: ModelFiles, shape: LlamaShape) -> None:
        self._folder, self._files, self._shape = folder, files, shape

    def open(self, adapter: Path | None) -> dict[str, NDArray[Any]]:
        """Return the weights with ``adapter`` merged; raises `EngineError` when it does not fit."""
        key = self._key(adapter)
        try:
            file = self._find(key) or self._make(key, adapter)
            os.utime(file)
            self._prune()
            return mapped(file)
        except OSError as error:
            raise EngineError(
                f"Quantised weights cannot be kept in {self._folder} ({error.strerror}): free some "
                "space, or choose another folder in falcon.cacheDir."
            ) from error

    def _key(self, adapter: Path | None) -> str:
        """Hash all ingredients; the order of an adapter's two files is that of their names."""
        parts = sorted(adapter.glob("adapter_*")) if adapter else []
        ingredients = " ".join([self._files.sha256, *map(sha256_file, parts), str(FORMAT)])
        return hashlib.sha256(ingredients.encode()).hexdigest()[:16]

    def _find(self, key: str) -> Path | None:
        for file in self._folder.glob(f"{key}-*.safetensors"):
            if file.stem.endswith(f"-{sha256_file(file)[:16]}"):
                return file
            logger.warning("%s is damaged and will be made again", file.name)
            file.unlink()
        return None

    def _make(self, key: str, adapter: Path | None) -> Path:
        from falcon_lsp.model import merge
        from falcon_lsp.model.quantise import write_quantised

        started = time.perf_counter()
        lora = merge.read_lora(adapter) if adapter else merge.Lora()
        private_folder(self._folder)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".tmp-") as temporary:
            made = Path(temporary) / "weights.safetensors"
            write_quantised(self._files.folder, self._shape, lora, made)
            fsync_file(made)
            file = self._folder / f"{key}-{sha256_file(made)[:16]}.safetensors"
            if not file.exists():  # another process may have been quicker, and have it open
                made.replace(file)
        fsync_folder(self._folder)
        logger.info("quantised into %s in %.1f s", file.name, time.perf_counter() - started)
        return file

    def _prune(self) -> None:
        """Delete all but the files used last; one that Windows holds open stays for now."""
        by_age = sorted(self._folder.glob("*.safetensors"), key=lambda f: f.stat().st_mtime)
        for stale in by_age[:-KEPT]:
            with contextlib.suppress(OSError):
                stale.unlink()


def mapped(file: Path) -> dict[str, NDArray[Any]]:
    """Return a safetensors file's arrays, mapped, so that only what is used takes memory.

    https://huggingface.co/docs/safetensors: a length, a JSON header, then the arrays' bytes.
    """
    content = np.memmap(file, np.uint8, "r")
    start = 8 + int(content[:8].view(np.uint64)[0])
    header = json.loads(content[8:start].tobytes())
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            dtype, shape = _TYPES[entry["dtype"]], entry["shape"]
            flat = content[start + begin : start + end].view(dtype)
            if math.prod(shape) != flat.size:
                raise EngineError(f"{file.name} is damaged: delete it and try again.")
            arrays[name] = np.asarray(flat).reshape(shape)
    return arrays
