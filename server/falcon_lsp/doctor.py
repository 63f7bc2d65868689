"""``falcon-lsp doctor``: what can be wrong on a machine, and how to mend it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store

PACKAGES = ("pygls", "lsprotocol", "torch", "transformers", "peft", "chromadb", "tree_sitter")
NEEDED_BYTES = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``detail`` says what was found and what to do."""

    name: str
    ok: bool
    detail: str


def examine(config: Config, store: Store) -> list[Check]:
    """Run every check; none of them changes anything that lasts."""
    return [
        _python(),
        *(_package(name) for name in PACKAGES),
        _writable("data folder", store.data),
        _writable("cache folder", store.cache),
        _disk(store.cache),
        _guarded("model", lambda: _model(config, store)),
        _guarded("ledger", lambda: _ledger(store)),
        _guarded("adapter", lambda: _adapter(store)),
    ]


def _guarded(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except Exception as error:  # noqa: BLE001 - whatever a part raises is the finding
        return Check(name, False, str(error) or type(error).__name__)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    return Check("python", ok, version if ok else f"{version}; install Python 3.11 or newer")


def _package(name: str) -> Check:
    found = importlib.util.find_spec(name) is not None
    return Check(f"package {name}", found, "installed" if found else f"run `pip install {name}`")


def _writable(name: str, folder: Path) -> Check:
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    ok = existing.is_dir() and os.access(existing, os.W_OK)
    return Check(name, ok, str(folder) if ok else f"{folder} cannot be written; see --data-dir")


def _disk(folder: Path) -> Check:
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / 1e9:.1f} GB free"
    ok = free >= NEEDED_BYTES
    return Check("disk", ok, detail if ok else f"{detail}; the model needs 1.5 GB to be prepared")


def _model(config: Config, store: Store) -> str:
    from falcon_lsp.model.loader import find_model

    files = find_model(config, store)
    return f"{files.model_id} ({files.fim.name} format)"


def _ledger(store: Store) -> str:
    from falcon_lsp.memory.ledger import Ledger

    if not store.ledger.exists():
        return "nothing recorded yet"
    ledger = Ledger(store.ledger)
    try:
        return ", ".join(f"{count} {kind}" for kind, count in ledger.counts().items()) or "empty"
    finally:
        ledger.close()


def _adapter(store: Store) -> str:
    from falcon_lsp.model.adapters import AdapterRegistry

    return AdapterRegistry(store.adapters).current()
