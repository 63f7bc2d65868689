"""Quantised weights on disk: made once per model and adapter, then mapped into memory.

Another process makes them (`falcon_lsp.model.errand`), so PyTorch is never imported here. Deleting
the folder costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from falcon_lsp.core.paths import (
    Busy,
    fsync_file,
    fsync_folder,
    locked,
    private_folder,
    sha256_file,
)
from falcon_lsp.model import errand
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.files import ModelFiles

if TYPE_CHECKING:
    from falcon_lsp.model.tensor_file import MappedTensors

logger = logging.getLogger(__name__)

FORMAT = 2
"""Goes up whenever `falcon_lsp.model.quantise` makes something else of the same input."""

KEPT = 3
"""Files that stay: the base, the adapter in use, and the one before it."""

_UNFINISHED = ".tmp-"
_NO_ADAPTER = "base"
ABANDONED = 3600.0
"""Seconds after which an unfinished file belongs to nobody any more."""


class QuantisedCache:
    """One model's quantised weights with different adapters; safe to use from several processes.

    A file's name holds what it was made of, the adapter's id, and the start of its own SHA-256.
    """

    def __init__(self, folder: Path, files: ModelFiles) -> None:
        self._folder, self._files = folder, files

    def open(self, adapter: Path | None) -> MappedTensors:
        """Return the weights with ``adapter`` merged; raises `EngineError` when it does not fit."""
        from falcon_lsp.model.tensor_file import MappedTensors  # numpy: not needed to forget

        try:
            key = self._key(adapter)
            file = self._find(key) or self._make(key, adapter)
            self._prune(file)
            return MappedTensors(file)
        except Busy as error:
            raise EngineError(
                "Another process has been quantising for too long: end it and try again."
            ) from error
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
        """Make the file, or wait for the process that is making it."""
        private_folder(self._folder)
        with locked(self._folder / ".lock", errand.SECONDS):
            return self._find(key) or self._made(key, adapter)

    def _made(self, key: str, adapter: Path | None) -> Path:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=_UNFINISHED) as temporary:
            made = Path(temporary) / "weights.safetensors"
            errand.run(
                "quantise", folder=str(self._files.folder), file=str(made),
                adapter=str(adapter) if adapter else "",
            )  # fmt: skip
            fsync_file(made)
            owner = adapter.name if adapter else _NO_ADAPTER
            file = self._folder / f"{key}-{owner}-{sha256_file(made)[:16]}.safetensors"
            if adapter and not adapter.is_dir():
                raise EngineError("The adapter was dropped while it was being prepared.")
            made.replace(file)
        fsync_folder(self._folder)
        logger.info("quantised into %s in %.1f s", file.name, time.perf_counter() - started)
        return file

    def _prune(self, used: Path) -> None:
        """Delete all but the files used last; one that Windows holds open stays for now.

        A folder that may not be written to is left as it is.
        """
        with contextlib.suppress(OSError):
            used.touch()
            by_age = sorted(self._folder.glob("*.safetensors"), key=lambda f: f.stat().st_mtime)
            for stale in by_age[:-KEPT]:
                stale.unlink()
            for left in self._folder.glob(f"{_UNFINISHED}*"):
                if time.time() - left.stat().st_mtime > ABANDONED:
                    shutil.rmtree(left)


def drop_merged(folder: Path, adapters: Collection[str]) -> bool:
    """Delete weights that hold any adapter but ``adapters``; those of the base alone stay.

    False when some could not be deleted yet: they are being made, or Windows holds them open.
    """
    if not folder.is_dir():
        return True
    try:
        with locked(folder / ".lock"):
            for left in folder.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
            for file in folder.glob("*.safetensors"):
                if _owner(file) not in {_NO_ADAPTER, *adapters}:
                    file.unlink()
    except (Busy, OSError):
        return False
    return True


def _owner(file: Path) -> str:
    """Return the id of the adapter in a file's name; empty where there is none."""
    return file.stem.partition("-")[2].rpartition("-")[0]
