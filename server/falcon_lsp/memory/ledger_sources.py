"""How much of one file is learned from: enough for any person, too little for a flood.

Whoever can make many episodes in one file, a script or a hostile repository, could else fill every
batch of the trainer for weeks.
"""

from __future__ import annotations

import hashlib
import sqlite3

from falcon_lsp.memory.events import Event

MOST_PER_DAY = 200
"""Episodes of one file that a day adds to the trainer's queue; the others are recorded only."""

SURPLUS = "skipped:too many from one file that day"
"""The queue's result of those."""

_DAY_SECONDS = 86_400
_DAYS_KEPT = 30
_PREFIX = "source:"


def count(db: sqlite3.Connection, event: Event) -> bool:
    """Count an episode of the event's file and day; whether it is one of the first `MOST_PER_DAY`.

    The counters stand among the ledger's numbers, the last `_DAYS_KEPT` days (of UTC) of them.
    """
    day = int(event.time // _DAY_SECONDS)
    today, oldest = f"{_PREFIX}{day:06}:", f"{_PREFIX}{max(0, day - _DAYS_KEPT):06}:"
    file = hashlib.blake2b(f"{event.workspace}\n{event.path}".encode(), digest_size=12).hexdigest()
    row = db.execute(
        "INSERT INTO numbers VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 "
        "RETURNING value",
        (today + file,),
    ).fetchone()
    if row[0] == 1:
        db.execute("DELETE FROM numbers WHERE name >= ? AND name < ?", (_PREFIX, oldest))
    return int(row[0]) <= MOST_PER_DAY


def forget(db: sqlite3.Connection) -> None:
    """Drop the counters, which name files by their hash."""
    db.execute("DELETE FROM numbers WHERE name GLOB ?", (f"{_PREFIX}*",))
