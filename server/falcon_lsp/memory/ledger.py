"""The ledger: every event, once, for good; and the queue of finished episodes for the trainer.

It is the truth: short-term memory, the index, the queue's results and adapters can be rebuilt from
it. Events are only ever added, except by `Ledger.forget`, which leaves rows without content. An
event and the queue row that it causes are written in one transaction, so neither exists alone.

Any number of threads and processes may use one ledger (`ledger_file` opens and repairs it).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from falcon_lsp.memory import event_log, salvage
from falcon_lsp.memory import ledger_forgetting as forgetting
from falcon_lsp.memory import ledger_history as history
from falcon_lsp.memory import ledger_queue as jobs
from falcon_lsp.memory import ledger_sources as sources
from falcon_lsp.memory.episodes import Episode, fold_all
from falcon_lsp.memory.event_log import ImportReport
from falcon_lsp.memory.events import Event, Kind
from falcon_lsp.memory.ledger_file import LedgerFile, LedgerUnavailable, Salvage, clear_errors
from falcon_lsp.memory.ledger_queue import MAX_TRIES, Job

__all__ = ["MAX_TRIES", "ImportReport", "Job", "Ledger", "LedgerUnavailable", "Salvage"]

logger = logging.getLogger(__name__)

_BATCH = 500


class Ledger:
    """The file at ``path``, created when missing and repaired when damaged (see `salvage`).

    Raises `LedgerUnavailable`, here and from every method, when the file cannot be used.
    ``unreadable`` counts rows whose checksum did not hold when they were read; they are left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unreadable = 0
        self._lock = threading.RLock()
        with clear_errors(path):
            self._file = LedgerFile(path, _refill)
        self._db = self._file.db

    @property
    def salvage(self) -> Salvage | None:
        """What the repair saved, when this process found the file damaged."""
        return self._file.salvage

    def close(self) -> None:
        """Release the file; every later call raises `LedgerUnavailable`."""
        with self._lock:
            self._file.close()

    # ------------------------------------------------------------------ events

    def append(self, events: Sequence[Event]) -> int:
        """Record ``events`` in one transaction, committed on return; returns how many were new.

        An event that is there already, or whose completion was forgotten, is ignored.
        """
        with self._transaction() as db:
            return sum(_insert(db, event) for event in events)

    def events(self, after_seq: int = 0, limit: int = 1000) -> list[tuple[int, Event]]:
        """Return up to ``limit`` events behind ``after_seq`` with their numbers, in order.

        Empty only at the end of the ledger; forgotten and unreadable ones are left out.
        """
        while rows := self._read(
            "SELECT * FROM events WHERE seq > ? AND payload IS NOT NULL ORDER BY seq LIMIT ?",
            (after_seq, limit),
        ):
            if found := list(self._decode(rows)):
                return found
            after_seq = rows[-1][0]
        return []

    def episode(self, completion_id: str) -> Episode | None:
        """Return what is known of one suggestion, or None when it is unknown or forgotten."""
        found = self.episodes_of([completion_id])
        return found[0] if found else None

    def episodes_of(self, completion_ids: Sequence[str]) -> list[Episode]:
        """Return those episodes of ``completion_ids`` that are known, oldest first."""
        rows = self._read(
            "SELECT * FROM events WHERE payload IS NOT NULL "
            "AND completion_id IN (SELECT value FROM json_each(?)) ORDER BY seq",
            (json.dumps(completion_ids),),
        )
        return fold_all(event for _, event in self._decode(rows))

    def outlines(self, since: float) -> list[Episode]:
        """Return what began at ``since`` (seconds) or later, oldest first, with empty prompts."""
        return fold_all(map(_event, history.outlines(self._read, since)))

    def episodes(
        self,
        workspace: str | None = None,
        limit: int | None = None,
        before: float | None = None,
        *,
        with_outcome: bool = False,
    ) -> list[Episode]:
        """Return the latest ``limit`` episodes, oldest first.

        ``before`` bounds the time of the suggestion (seconds, exclusive); ``with_outcome`` leaves
        out those without a final outcome, and what one file had too many of in a day.
        """
        rows = self._read(
            "SELECT completion_id FROM events WHERE kind = 'suggested' AND payload IS NOT NULL "
            "AND (?1 IS NULL OR workspace = ?1) AND (?2 IS NULL OR time < ?2) "
            "AND (NOT ?3 OR completion_id IN (SELECT completion_id FROM queue WHERE result <> ?5)) "
            "ORDER BY seq DESC LIMIT ?4",
            (workspace, before, with_outcome, -1 if limit is None else limit, sources.SURPLUS),
        )
        return self.episodes_of([row[0] for row in rows])

    def judged(self, after_seq: int, since: float, limit: int) -> tuple[int, list[Episode]]:
        """Return up to ``limit`` episodes that got an opinion behind ``after_seq``, in that order.

        An opinion is what was taken, declined or undone, and silence that was reported; before
        ``since`` (seconds) only "never" counts. The number is where to go on: ``after_seq`` itself
        at the end of the ledger.
        """
        rows = self._read(
            "SELECT seq, completion_id FROM events WHERE seq > ?1 AND kind = 'outcome' "
            "AND (time >= ?2 OR instr(payload, '\"never\": true')) "
            "AND CASE WHEN json_valid(payload) THEN json_extract(payload, '$.outcome') IN "
            "('accepted', 'partial', 'typed_through', 'rejected', 'undone') "
            "OR (json_extract(payload, '$.outcome') = 'ignored' "
            "AND NOT json_extract(payload, '$.inferred')) END "
            "ORDER BY seq LIMIT ?3",
            (after_seq, since, limit),
        )
        order = {completion_id: seq for seq, completion_id in rows}
        found = self.episodes_of(list(order))
        found.sort(key=lambda episode: order[episode.completion_id])
        return (rows[-1][0] if rows else after_seq), found

    def counts(self) -> dict[str, int]:
        """Return the number of events, suggestions, forgotten events and queue rows by state."""
        rows = self._read(  # answered by indexes alone: no row is read
            "WITH gone AS (SELECT kind FROM events WHERE payload IS NULL) "
            "SELECT 'events', (SELECT count(*) FROM events) - count(*) FROM gone "
            "UNION ALL SELECT 'suggestions', (SELECT count(*) FROM events WHERE kind = 'suggested')"
            " - count(*) FROM gone WHERE kind = 'suggested' "
            "UNION ALL SELECT 'forgotten', count(*) FROM gone "
            "UNION ALL SELECT state, count(*) FROM queue GROUP BY state"
        )
        return {"waiting": 0, "leased": 0, "done": 0, "set_aside": 0} | dict(rows)

    def export_jsonl(self, file: TextIO) -> int:
        """Write every event as one line of JSON; returns how many."""
        count = seq = 0
        while batch := self.events(seq, _BATCH):
            file.writelines(event_log.to_line(event) + "\n" for _, event in batch)
            seq, count = batch[-1][0], count + len(batch)
        return count

    def import_jsonl(self, path: Path) -> ImportReport:
        """Record the events of a log; broken lines are left out and named in the report."""
        skipped: list[tuple[int, str]] = []
        batch: list[Event] = []
        used = 0
        for number, found in event_log.read_lines(path):
            if isinstance(found, str):
                skipped.append((number, found))
                continue
            batch.append(found)
            if len(batch) == _BATCH:
                self.append(batch)
                used += len(batch)
                batch.clear()
        self.append(batch)
        return ImportReport(path, used + len(batch), tuple(skipped))

    def lease(self, owner: str, limit: int, seconds: float, now: float | None = None) -> list[Job]:
        """Take up to ``limit`` jobs, oldest first, for ``seconds``; nobody else gets them.

        A lease that ran out comes back; the third time its job is set aside, for it may be what
        kills the trainer.
        """
        with self._transaction() as db:
            return jobs.lease(db, owner, limit, seconds, time.time() if now is None else now)

    def ack(self, owner: str, results: Mapping[str, str]) -> int:
        """Close jobs that ``owner`` still holds; returns how many those were.

        ``results`` maps a completion id to ``trained:<adapter id>`` or ``skipped:<reason>``.
        """
        with self._transaction() as db:
            return jobs.ack(db, owner, results)

    def release(self, owner: str, ids: Iterable[str], error: str = "") -> None:
        """Give jobs back. With an ``error`` it counts as a failure, and the third sets aside."""
        with self._transaction() as db:
            jobs.release(db, owner, ids, error)

    def renew(self, owner: str, seconds: float) -> None:
        """Let ``owner`` hold its jobs for longer, each as if it were tried for the first time."""
        with self._transaction() as db:
            jobs.renew(db, owner, time.time() + seconds)

    def reclaim(self) -> None:
        """Let every lease run out now: for who knows that no owner lives, by the trainer's lock."""
        with self._transaction() as db:
            jobs.reclaim(db)

    def held(self) -> int:
        """Return how many jobs are leased: somebody holds them, or was killed not long ago."""
        return int(self._read(jobs.HELD, (time.time(),))[0][0])

    def pending(self, now: float | None = None) -> int:
        """Return how many jobs wait, counting those whose lease ran out."""
        rows = self._read(jobs.PENDING, (time.time() if now is None else now,))
        return int(rows[0][0])

    def cursor(self, name: str) -> int:
        """Return the number kept under ``name``: up to where a reader has come; 0 at first."""
        rows = self._read("SELECT value FROM numbers WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else 0

    def set_cursor(self, name: str, seq: int) -> None:
        """Keep ``seq`` under ``name``."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, seq))

    def forget(
        self,
        *,
        completion_ids: Iterable[str] | None = None,
        event_id: str | None = None,
        path: str | None = None,
        workspace: str | None = None,
        day: dt.date | None = None,
    ) -> list[str]:
        """Erase whole episodes that match all that is given; returns their completion ids.

        A ``path`` matches its own suggestions and those whose prompt quoted it; a ``day`` is one of
        local time. On return no byte of the content is left in any file of the ledger (`scrub`).
        The cursor ``forgotten`` counts episodes, so that what was derived from them can be dropped.
        """
        wanted = forgetting.wanted(completion_ids, event_id, path, workspace, day)
        with self._transaction() as db:
            gone = [row[0] for row in db.execute(forgetting.MATCHING, wanted).fetchall()]
            for completion_id in gone:
                forgetting.erase(db, completion_id)
            if gone:
                sources.forget(db)
            db.execute(
                "INSERT INTO numbers VALUES ('forgotten', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                (len(gone),),
            )
        self.scrub()
        return gone

    def scrub(self) -> None:
        """Let no file of the ledger hold what was erased; cheap when that has been done.

        The file is rewritten, the write-ahead log and damaged copies are removed. `forget` does
        this last; after a kill in between, whoever calls this next.
        """
        epoch = self.cursor("forgotten")
        if self.cursor("scrubbed") != epoch:
            with self._lock, clear_errors(self.path):
                self._file.scrub()
            self.set_cursor("scrubbed", epoch)

    def forgotten_ids(self) -> set[str]:
        """Return the completion ids of all episodes that were forgotten."""
        rows = self._read("SELECT DISTINCT completion_id FROM events WHERE payload IS NULL")
        return {row[0] for row in rows}

    # ---------------------------------------------------------------- mechanics

    def _decode(self, rows: Iterable[Sequence[Any]]) -> Iterator[tuple[int, Event]]:
        for seq, *row, check in rows:
            if salvage.checksum(tuple(row)) != check:
                self.unreadable += 1
                logger.warning("ledger row %d is damaged and left out", seq)
                continue
            yield seq, _event(row)

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock, clear_errors(self.path):
            self._roll_back()
            return self._db.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, clear_errors(self.path):
            self._roll_back()
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._roll_back()
                raise

    def _roll_back(self) -> None:
        """End what a failure left open; also called first thing, in case this failed as well."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


# --------------------------------------------------------------------- rows


def _row(event: Event) -> salvage.Row:
    """Return the stored columns; half surrogate pairs, which UTF-8 lacks, become question marks."""
    texts = (event.completion_id, event.workspace, event.path, event.language)
    clean = (text.encode("utf-8", "replace").decode() for text in (event.event_id, *texts))
    event_id, *rest = clean
    payload = json.dumps(event.payload)
    return (event_id, event.kind.value, float(event.time), event.version, *rest, payload)


def _event(row: Sequence[Any]) -> Event:
    event_id, kind, when, version, completion_id, workspace, path, language, payload = row
    place = (completion_id, workspace, path, language)
    return Event(Kind(kind), *place, json.loads(payload), event_id, when, version)


def _insert(db: sqlite3.Connection, event: Event) -> bool:
    row = _row(event)
    new = db.execute(
        "INSERT OR IGNORE INTO events SELECT NULL,?,?,?,?,?,?,?,?,?,? WHERE NOT EXISTS "
        "(SELECT 1 FROM events WHERE completion_id = ? AND payload IS NULL)",
        (*row, salvage.checksum(row), row[4]),
    ).rowcount
    if new and event.kind is Kind.OUTCOME:
        jobs.enqueue(db, event)
    return new > 0


def _refill(
    db: sqlite3.Connection, rows: list[tuple[int, salvage.Row]], answered: list[salvage.Job]
) -> None:
    """Put salvaged rows into a new ledger; the queue follows from the events, as at first."""
    insert = "INSERT OR IGNORE INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?)"
    for seq, row in rows:
        values = (*row, salvage.checksum(row))
        if not db.execute(insert, (seq, *values)).rowcount:
            db.execute(insert, (None, *values))
        if row[-1] is not None and row[1] == Kind.OUTCOME:
            jobs.enqueue(db, _event(row))
    db.executemany(
        "UPDATE queue SET state = ?, tries = ?, result = ? WHERE completion_id = ?", answered
    )
