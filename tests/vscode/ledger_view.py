"""What the ledger of an editor's server says, read through the server's own code."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from workbench import Workbench, until

from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.background import standing
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.lsp.notices import read_notices
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import AdapterManifest, AdapterRegistry


def store_of(editor: Workbench) -> Store:
    """Return where an editor's servers keep things."""
    return Store(editor.folder / "data", editor.folder / "cache")


def open_ledger(editor: Workbench) -> Ledger:
    """Return the ledger of an editor's servers, to be closed."""
    return Ledger(store_of(editor).ledger)


def episodes(editor: Workbench, file: str = "") -> list[Episode]:
    """Return all that was recorded (of one file), oldest first."""
    if not store_of(editor).ledger.exists():
        return []
    with closing(open_ledger(editor)) as ledger:
        return [one for one in ledger.episodes() if not file or one.path == file]


def wait_for(editor: Workbench, file: str, outcome: Outcome) -> Episode:
    """Wait until a suggestion in a file has an outcome; returns its episode."""

    def find() -> list[Episode]:
        return [one for one in episodes(editor, file) if one.outcome is outcome]

    return until(find, f"episode of {file} that is {outcome}")[-1]


def adapters(editor: Workbench) -> Sequence[AdapterManifest]:
    """Return the adapters that were trained, oldest first."""
    return AdapterRegistry(store_of(editor).adapters).list()


def verdicts(editor: Workbench) -> list[dict[str, Any]]:
    """Return every decision about an adapter, oldest first."""
    return VerdictLog(store_of(editor).adapters).rows()


def is_training(editor: Workbench) -> bool:
    """Say whether a trainer is at work."""
    return standing.read(store_of(editor)) != ""


def answers(editor: Workbench) -> int:
    """Return how many requests the running servers have answered with nothing."""
    return sum(sum(server["silences"].values()) for server in read_notices(store_of(editor)))


def silences(editor: Workbench) -> set[str]:
    """Return the reasons for which the running servers suggested nothing."""
    return {reason for server in read_notices(store_of(editor)) for reason in server["silences"]}
