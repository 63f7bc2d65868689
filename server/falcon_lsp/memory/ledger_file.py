"""The ledger's file: opening it, its schema, who else has it open, and its repair.

SQLite in WAL mode with ``synchronous=FULL``: what was committed survives a kill and a power cut.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from falcon_lsp.core.paths import PRIVATE_FILE, private_folder
from falcon_lsp.memory import salvage

logger = logging.getLogger(__name__)

_BUSY_SECONDS = 10.0

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE events (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL, time REAL NOT NULL, version INTEGER NOT NULL,
            completion_id TEXT NOT NULL, workspace TEXT NOT NULL, path TEXT NOT NULL,
            language TEXT NOT NULL, payload TEXT, checksum INTEGER NOT NULL)""",
        "CREATE INDEX events_of_completion ON events (completion_id, seq)",
        "CREATE INDEX suggestions ON events (seq) WHERE kind = 'suggested'",
        """CREATE TABLE queue (
            id INTEGER PRIMARY KEY AUTOINCREMENT, completion_id TEXT NOT NULL UNIQUE,
            enqueued REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
            state TEXT NOT NULL DEFAULT 'waiting'
                CHECK (state IN ('waiting', 'leased', 'done', 'set_aside')),
            owner TEXT, expires REAL, result TEXT NOT NULL DEFAULT '')""",
        "CREATE INDEX queue_by_state ON queue (state, id)",
        "CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    ),
    ("CREATE INDEX forgotten ON events (kind) WHERE payload IS NULL",),
)
"""One entry per schema version: statements that lead there from the version before."""

_ADVICE = {
    "SQLITE_FULL": "the disk is full; free some space",
    "SQLITE_READONLY": "the file cannot be written; check its permissions",
    "SQLITE_CANTOPEN": "the file cannot be opened; check the folder's permissions",
    "SQLITE_BUSY": "another process is using it; try again",
    "SQLITE_CORRUPT": "the file is damaged; restart the server to repair it",
    "SQLITE_NOTADB": "the file is damaged; restart the server to repair it",
}


class LedgerUnavailable(OSError):
    """The ledger could not be read or written; nothing was half done. Says what can be done."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """A damaged ledger was found: where it lies now, events ``kept``, and events known ``lost``."""

    damaged: Path
    kept: int
    lost: int


@contextlib.contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn whatever SQLite or the file system raises into `LedgerUnavailable`."""
    try:
        yield
    except sqlite3.Error as error:
        advice = _ADVICE.get(_name(error), f"SQLite reports {_name(error) or type(error).__name__}")
        raise LedgerUnavailable(f"{path}: {advice}") from None  # its text may quote a row
    except LedgerUnavailable:
        raise
    except OSError as error:
        raise LedgerUnavailable(f"{path}: {error.strerror or error}") from error


Refill = Callable[[sqlite3.Connection, list[tuple[int, salvage.Row]], list[salvage.Job]], None]
"""Writes salvaged rows into a new ledger, within a transaction."""


class LedgerFile:
    """An open ledger: ``db`` to work with, and ``salvage`` when it was found damaged.

    The first process to open a ledger checks it; the check and its repair are over before another
    can come in. ``refill`` fills the new file when the old one has to be given up.
    """

    def __init__(self, path: Path, refill: Refill) -> None:
        self.path = path
        self.salvage: Salvage | None = None
        private_folder(path.parent)
        self._guard = _connect(path.with_suffix(".guard"))
        try:
            if _alone(self._guard):
                self.salvage = _repair(path, refill)
            _stay(self._guard)
            self.db = _open(path)
        except BaseException:
            self._guard.close()
            raise

    def close(self) -> None:
        """Release the file; the last one to close leaves no write-ahead log behind."""
        self.db.close()
        self._guard.close()

    def scrub(self) -> None:
        """Leave no trace of overwritten content: new pages, empty log, no damaged copies.

        ``secure_delete`` zeroes what is freed, but a page that was split earlier may keep a copy
        of a cell that moved, so the file is written anew.
        """
        self.db.execute("VACUUM")
        if self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise LedgerUnavailable(f"{self.path}: {_ADVICE['SQLITE_BUSY']}")
        for pattern in ("damaged-*", "salvaging*"):
            for copy in self.path.parent.glob(f"{self.path.stem}.{pattern}"):
                copy.unlink(missing_ok=True)


def _name(error: sqlite3.Error) -> str:
    """Return the primary name of an error: ``SQLITE_IOERR`` for ``SQLITE_IOERR_WRITE``."""
    return "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])


def _connect(path: Path) -> sqlite3.Connection:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE)
    os.close(descriptor)
    return sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _alone(guard: sqlite3.Connection) -> bool:
    """Whether no other process has the ledger open; if so, none can open it before `_stay`.

    The guard is an empty database that serves as a portable shared-or-exclusive file lock, which
    dies with its process.
    """
    guard.execute("PRAGMA busy_timeout = 0")
    try:
        guard.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False
    return True


def _stay(guard: sqlite3.Connection) -> None:
    """Hold the guard's shared lock from now on."""
    guard.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 3000)}")
    if guard.in_transaction:
        guard.execute("ROLLBACK")
    guard.execute("BEGIN")
    guard.execute("SELECT 1 FROM sqlite_master").fetchall()


def _open(path: Path) -> sqlite3.Connection:
    db = _connect(path)
    try:
        db.execute(f"PRAGMA page_size = {salvage.PAGE}")
        _log_ahead(db)
        for setting in (
            "synchronous = FULL",
            "fullfsync = ON",
            "secure_delete = ON",
            "trusted_schema = OFF",
            "cell_size_check = ON",
        ):
            db.execute(f"PRAGMA {setting}").fetchall()
        db.text_factory = _text
        _migrate(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _log_ahead(db: sqlite3.Connection) -> None:
    """Switch to the write-ahead log.

    SQLite does not wait when two processes switch a new file at once: one is told at once that it
    is busy, whatever the time-out.
    """
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            if _name(error) != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _text(raw: bytes) -> str:
    """Decode a column, whatever it holds: a damaged one fails its row's checksum later."""
    return raw.decode("utf-8", "surrogateescape")


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    if _schema(db) == len(_MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    if (version := _schema(db)) > len(_MIGRATIONS):
        raise LedgerUnavailable(f"{path}: a newer version wrote this file; upgrade falcon-lsp")
    for statements in _MIGRATIONS[version:]:
        for statement in statements:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
    db.execute("COMMIT")


def _schema(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _repair(path: Path, refill: Refill) -> Salvage | None:
    """Replace a damaged ledger by one with every row that can be read; None when it is sound.

    The new file is complete before anything is moved, and a kill at any point is made good by the
    next call.
    """
    ready = path.with_name(f"{path.stem}.salvaged")
    if not ready.is_file():
        if not path.is_file() or not _damaged(path):
            return None
        _rebuild(path, path.with_name(f"{path.stem}.salvaging"), ready, refill)
    aside = _aside(path)
    for suffix in ("-shm", "-wal", ""):
        source = path.with_name(path.name + suffix)
        if source.is_file():
            source.replace(aside.with_name(aside.name + suffix))
    ready.replace(path)
    db = _open(path)
    with contextlib.closing(db):
        kept, highest = db.execute("SELECT count(*), ifnull(max(seq), 0) FROM events").fetchone()
    logger.error("the ledger was damaged: %d events kept, %d lost", kept, highest - kept)
    return Salvage(aside, kept, highest - kept)


def _aside(path: Path) -> Path:
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S%f")
    return path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")


def _damaged(path: Path) -> bool:
    """Whether SQLite finds anything wrong; costs about 0.2 s per 100,000 events."""
    if salvage.log_damaged(path.with_name(f"{path.name}-wal")):
        return True
    try:
        with contextlib.closing(_open(path)) as db:
            if db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                return True
            for table in ("events", "queue", "numbers"):
                db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall()  # noqa: S608 - our names
    except sqlite3.DatabaseError as error:
        if _name(error) in {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"}:
            return True
        raise
    return False


def _rebuild(source: Path, building: Path, ready: Path, refill: Refill) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        building.with_name(building.name + suffix).unlink(missing_ok=True)
    rows, jobs = salvage.readable_rows(source, source.with_name(f"{source.name}-wal"))
    with contextlib.closing(_open(building)) as db:
        db.execute("BEGIN IMMEDIATE")
        refill(db, rows, jobs)
        db.execute("COMMIT")
    building.replace(ready)
