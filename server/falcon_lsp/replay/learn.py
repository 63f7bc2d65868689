"""Handing on what the learning arm recorded to the user's own store: a start with knowledge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from falcon_lsp.core.paths import Store
from falcon_lsp.memory.events import Event
from falcon_lsp.memory.ledger import Ledger

_BATCH = 500


def hand_on(learned_store: Path, store: Store, workspace: Path) -> int:
    """Copy every episode into ``store`` as one of ``workspace``; returns how many were new.

    ``learned_store`` is a data folder. The episodes become those of the folder that the developer
    opens, so that memory recalls them there. Raises `LedgerUnavailable`.
    """
    uri = workspace.resolve().as_uri()
    with (
        closing(Ledger(learned_store / "ledger.sqlite3")) as source,
        closing(Ledger(store.ledger)) as target,
    ):
        before = target.counts()["suggestions"]
        for batch in _batches(source):
            target.append([replace(event, workspace=uri) for event in batch])
        return target.counts()["suggestions"] - before


def _batches(ledger: Ledger) -> Iterator[list[Event]]:
    seq = 0
    while rows := ledger.events(seq, _BATCH):
        seq = rows[-1][0]
        yield [event for _, event in rows]
