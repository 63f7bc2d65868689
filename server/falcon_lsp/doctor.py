"""``falcon-lsp doctor``: what can be wrong on a machine, and how to mend it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store

PACKAGES = ("pygls", "lsprotocol", "torch", "transformers", "peft", "chromadb", "tree_sitter")


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
        _writable("data folder", store.data, "--data-dir"),
        _writable("cache folder", store.cache, "--cache-dir"),
        _guarded("disk", lambda: _disk(store.cache)),
        _guarded("model", lambda: _model(config, store)),
        _guarded("ledger", lambda: _ledger(store)),
        _guarded("adapter", lambda: _adapter(store)),
        _guarded("sandbox", lambda: _sandbox(config)),
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


def _writable(name: str, folder: Path, option: str) -> Check:
    existing = _existing(folder)
    ok = existing.is_dir() and os.access(existing, os.W_OK)
    sentence = f"{folder} cannot be written; choose another one with {option}"
    return Check(name, ok, str(folder) if ok else sentence)


def _existing(folder: Path) -> Path:
    """Return the part of a path that is there already."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))


def _disk(folder: Path) -> str:
    from falcon_lsp.model.assets import NEEDED_BYTES

    free = shutil.disk_usage(_existing(folder)).free
    if free < NEEDED_BYTES:
        raise OSError(
            f"{free / 1e9:.1f} GB free, and preparing the model takes {NEEDED_BYTES / 1e9:.1f} GB; "
            "free some space, or choose another folder with --cache-dir"
        )
    return f"{free / 1e9:.1f} GB free"


def _model(config: Config, store: Store) -> str:
    from falcon_lsp.model.loader import find_model

    if config.engine == "fake":
        return "none needed by the fake engine"
    files = find_model(config, store)
    return f"{files.model_id} ({files.fim.name} format)"


def _ledger(store: Store) -> str:
    from falcon_lsp.memory.ledger import Ledger, LedgerUnavailable

    if not store.ledger.exists():
        return "nothing recorded yet"
    with closing(Ledger(store.ledger)) as ledger:
        if (repaired := ledger.salvage) is not None:
            raise LedgerUnavailable(
                f"it was damaged and has been repaired: {repaired.kept} events kept, "
                f"{repaired.lost} lost; the damaged file is {repaired.damaged}"
            )
        return ", ".join(f"{count} {kind}" for kind, count in ledger.counts().items())


def _adapter(store: Store) -> str:
    from falcon_lsp.model.adapters import AdapterRefused, AdapterRegistry

    registry = AdapterRegistry(store.adapters)
    current = registry.current()
    if registry.notice:
        raise AdapterRefused(registry.notice)
    return current


def _sandbox(config: Config) -> str:
    """Run a program in it; without one only who wants programs executed has a problem."""
    from falcon_lsp.sandbox.interpreter import Interpreter
    from falcon_lsp.sandbox.limits import Status
    from falcon_lsp.sandbox.runner import Program, Sandbox, unavailable_reason

    if reason := unavailable_reason():
        if config.sandbox.execute:
            raise OSError(f"{reason}; switch off falcon.sandbox.execute")
        return f"{reason}; nothing is executed"
    sandbox = Sandbox(interpreter=Interpreter.named(config.sandbox.interpreter))
    execution = sandbox.run(Program({"main.py": ""}))
    if execution.status is not Status.FINISHED:
        raise OSError(f"an empty program did not finish in it: {execution.status}")
    return f"works with {', '.join(sandbox.layers())}"
