"""What an update under way has done so far, on disk: a kill costs at most one step.

A training run is a pure function of where it starts, its examples and its recipe, so a page of the
journal is named by the hash of these. Whoever asks for the same run again, after a kill or a pause,
goes on where its page ends and arrives at the same bytes. A page that is damaged is as good as
none.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from falcon_lsp.core.paths import atomic_write, private_folder

_BATCH = "batch.json"
_FACTS = "facts"
_DIGEST_BYTES = 32


class Page:
    """One run's tensors and facts; each `write` replaces what stood there, or has no effect."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return what was written last; None when there is nothing that is whole."""
        try:
            content = self._file.read_bytes() if self._file else b""
            tensors = load(content[_DIGEST_BYTES:])
        except (OSError, SafetensorError):
            return None
        if hashlib.sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
            return None
        return tensors, json.loads(bytes(tensors.pop(_FACTS).tolist()))

    def write(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Keep ``tensors`` and ``facts`` (plain JSON); whole on disk when this returns."""
        if self._file is None:
            return
        said = torch.tensor(list(json.dumps(facts).encode()), dtype=torch.uint8)
        body = save({**tensors, _FACTS: said})
        private_folder(self._file.parent)
        atomic_write(self._file, hashlib.sha256(body).digest() + body)


class Journal:
    """The pages of one update in ``folder``; without a folder nothing is kept.

    ``base`` names the model that is trained (its hash).
    """

    def __init__(self, folder: Path | None = None, base: str = "") -> None:
        self.folder, self._base = folder, base

    def page(self, state: Sequence[Tensor], told: object) -> Page:
        """Return the page of the run that starts at ``state`` with ``told``."""
        if self.folder is None:
            return Page(None)
        name = hashlib.sha256(f"{self._base}\n{told!r}".encode())
        for tensor in state:
            name.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return Page(self.folder / f"{name.hexdigest()[:32]}.page")

    def begin(self, episodes: Sequence[str]) -> None:
        """Note which episodes the update is about; pages of another update go."""
        if self.folder is None or self.batch() == list(episodes):
            return
        self.clear()
        private_folder(self.folder)
        atomic_write(self.folder / _BATCH, json.dumps(list(episodes)).encode())

    def batch(self) -> list[str]:
        """Return the episodes of an update that has not come to its end; empty without one."""
        try:
            found = json.loads((self.folder / _BATCH).read_bytes()) if self.folder else []
        except (OSError, ValueError):
            return []
        return [str(one) for one in found] if isinstance(found, list) else []

    def clear(self) -> None:
        """Forget it all: the update has come to its end, or nobody will go on with it."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


NO_JOURNAL = Journal()
