"""How the ledger forgets: which episodes are meant, and what is left of them."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterable

from falcon_lsp.memory import salvage

MATCHING = """
    SELECT DISTINCT completion_id FROM events WHERE payload IS NOT NULL
    AND (:ids IS NULL OR completion_id IN (SELECT value FROM json_each(:ids)))
    AND (:event_id IS NULL OR completion_id IN
         (SELECT completion_id FROM events WHERE event_id = :event_id))
    AND (:path IS NULL OR path = :path OR instr(payload, :quoted))
    AND (:workspace IS NULL OR workspace = :workspace)
    AND (:since IS NULL OR (time >= :since AND time < :until))"""
"""Selects the episodes that a request to forget is about; see `wanted`."""


def wanted(
    completion_ids: Iterable[str] | None,
    event_id: str | None,
    path: str | None,
    workspace: str | None,
    day: dt.date | None,
) -> dict[str, object]:
    """Return the parameters of `MATCHING`; raises `ValueError` when nothing narrows it down."""
    ids = None if completion_ids is None else json.dumps(sorted(set(completion_ids)))
    if all(value is None for value in (ids, event_id, path, workspace, day)):
        raise ValueError("say what to forget")
    return {
        "ids": ids,
        "event_id": event_id,
        "path": path,
        "quoted": None if path is None else f'"path": {json.dumps(path)}',
        "workspace": workspace,
        "since": None if day is None else _midnight(day),
        "until": None if day is None else _midnight(day + dt.timedelta(days=1)),
    }


def _midnight(day: dt.date) -> float:
    return dt.datetime.combine(day, dt.time()).astimezone().timestamp()


def erase(db: sqlite3.Connection, completion_id: str) -> None:
    """Empty every row of an episode; what stays is a tombstone: ids, kind and time."""
    rows = db.execute(
        "SELECT seq, event_id, kind, time, version FROM events WHERE completion_id = ?",
        (completion_id,),
    ).fetchall()
    for seq, *kept in rows:
        row = (*kept, completion_id, "", "", "", None)
        db.execute(
            "UPDATE events SET workspace = '', path = '', language = '', payload = NULL, "
            "checksum = ? WHERE seq = ?",
            (salvage.checksum(row), seq),
        )
    db.execute("DELETE FROM queue WHERE completion_id = ?", (completion_id,))
