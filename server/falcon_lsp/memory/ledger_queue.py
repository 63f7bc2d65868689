"""The ledger's queue: finished episodes that wait for the trainer, each with its answer in the end.

Whoever leases jobs holds them for a while; a lease that runs out comes back. Each function takes
its steps inside the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from falcon_lsp.core.types import Outcome
from falcon_lsp.memory import ledger_sources as sources
from falcon_lsp.memory.events import Event

MAX_TRIES = 3

PENDING = (
    "SELECT count(*) FROM queue WHERE state = 'waiting' OR (state = 'leased' AND expires <= ?)"
)
"""Counts the jobs that wait at a time (seconds), those whose lease ran out among them."""

HELD = "SELECT count(*) FROM queue WHERE state = 'leased' AND expires > ?"
"""Counts the jobs whose lease has not run out at a time (seconds)."""


@dataclass(frozen=True, slots=True)
class Job:
    """One finished episode to learn from; ``tries`` counts leases, this one included."""

    completion_id: str
    tries: int
    enqueued: float


def enqueue(db: sqlite3.Connection, event: Event) -> None:
    """Let the episode of an outcome wait, once, if the outcome is final and not of a flood.

    What is undone later waits again, for it teaches something else then.
    """
    what = Outcome(event.payload["outcome"])
    if not what.final:
        return
    new = db.execute(
        "INSERT OR IGNORE INTO queue (completion_id, enqueued) VALUES (?, ?)",
        (event.completion_id, event.time),
    ).rowcount
    if new and not sources.count(db, event):
        db.execute(
            "UPDATE queue SET state = 'done', result = ? WHERE completion_id = ?",
            (sources.SURPLUS, event.completion_id),
        )
    elif what is Outcome.UNDONE:
        db.execute(
            "UPDATE queue SET state = 'waiting', tries = 0, owner = NULL, expires = NULL, "
            "result = '' WHERE completion_id = ? AND state IN ('leased', 'done') AND result <> ?",
            (event.completion_id, sources.SURPLUS),
        )


def lease(db: sqlite3.Connection, owner: str, limit: int, seconds: float, now: float) -> list[Job]:
    """Take up to ``limit`` jobs, oldest first, from ``now`` on for ``seconds``.

    The third time that a lease ran out its job is set aside: it may be what kills the trainer.
    """
    db.execute(
        "UPDATE queue SET owner = NULL, expires = NULL, "
        "state = CASE WHEN tries < ? THEN 'waiting' ELSE 'set_aside' END, "
        "result = CASE WHEN tries < ? THEN '' ELSE 'its lease ran out every time' END "
        "WHERE state = 'leased' AND expires <= ?",
        (MAX_TRIES, MAX_TRIES, now),
    )
    rows = db.execute(
        "UPDATE queue SET state = 'leased', owner = ?, expires = ?, tries = tries + 1 "
        "WHERE id IN (SELECT id FROM queue WHERE state = 'waiting' ORDER BY id LIMIT ?) "
        "RETURNING id, completion_id, tries, enqueued",
        (owner, now + seconds, limit),
    ).fetchall()
    return [Job(*row[1:]) for row in sorted(rows)]


def ack(db: sqlite3.Connection, owner: str, results: Mapping[str, str]) -> int:
    """Close jobs that ``owner`` still holds with their results; returns how many those were."""
    return sum(
        db.execute(
            "UPDATE queue SET state = 'done', owner = NULL, expires = NULL, result = ? "
            "WHERE completion_id = ? AND owner = ?",
            (result, completion_id, owner),
        ).rowcount
        for completion_id, result in results.items()
    )


def release(db: sqlite3.Connection, owner: str, ids: Iterable[str], error: str) -> None:
    """Give jobs back. With an ``error`` it counts as a failure, and the third sets aside."""
    db.executemany(
        "UPDATE queue SET owner = NULL, expires = NULL, result = :error, "
        "tries = CASE WHEN :error = '' THEN tries - 1 ELSE tries END, "
        "state = CASE WHEN :error = '' OR tries < :max THEN 'waiting' "
        "ELSE 'set_aside' END WHERE completion_id = :id AND owner = :owner",
        [{"id": i, "owner": owner, "error": error, "max": MAX_TRIES} for i in ids],
    )


def renew(db: sqlite3.Connection, owner: str, expires: float) -> None:
    """Let ``owner`` hold its jobs until then, each as if it were tried for the first time."""
    db.execute("UPDATE queue SET tries = 1, expires = ? WHERE owner = ?", (expires, owner))


def reclaim(db: sqlite3.Connection) -> None:
    """Let every lease have run out."""
    db.execute("UPDATE queue SET expires = 0 WHERE state = 'leased'")
