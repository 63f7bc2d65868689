"""Where things lie on disk, and how they are written so that a crash never leaves half a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import filelock
import platformdirs

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


class Busy(Exception):
    """Another process holds the lock."""


@dataclass(frozen=True, slots=True)
class Store:
    """Every path of one user's store: ``data`` is precious, ``cache`` can be built again."""

    data: Path
    cache: Path

    @classmethod
    def default(cls, data: str = "", cache: str = "") -> Store:
        """Return the user's store; empty arguments mean the platform's own folders.

        ``FALCON_DATA_DIR`` and ``FALCON_CACHE_DIR`` come between the two.
        """
        data = data or os.environ.get("FALCON_DATA_DIR", "")
        cache = cache or os.environ.get("FALCON_CACHE_DIR", "")
        return cls(
            Path(data or platformdirs.user_data_path("falcon-lsp")).expanduser(),
            Path(cache or platformdirs.user_cache_path("falcon-lsp")).expanduser(),
        )

    @property
    def ledger(self) -> Path:
        """The SQLite file that is the truth."""
        return self.data / "ledger.sqlite3"

    @property
    def chroma(self) -> Path:
        """The folder of the derived index."""
        return self.data / "chroma"

    @property
    def quiet(self) -> Path:
        """What the quiet policy learned: numbers that follow from the ledger."""
        return self.data / "quiet.json"

    @property
    def adapters(self) -> Path:
        """The folder of trained adapters and of the pointer to the current one."""
        return self.data / "adapters"

    @property
    def locks(self) -> Path:
        """The folder of lock files."""
        return self.data / "locks"

    @property
    def models(self) -> Path:
        """The folder of converted models."""
        return self.cache / "models"

    @property
    def verdicts(self) -> Path:
        """The folder of what an AI judge has said: numbers by digests of the questions."""
        return self.cache / "verdicts"

    @property
    def training(self) -> Path:
        """The folder of what an update has in hand, copies of episodes among it."""
        return self.data / "training"

    @property
    def quantised(self) -> Path:
        """The folder of quantised weights."""
        return self.cache / "quantised"


def folder_of(uri: str) -> Path | None:
    """Return the folder that a ``file:`` URI names; None where it cannot be read from here."""
    path = local_path(uri, windows=os.name == "nt")
    return Path(path) if path else None


def local_path(uri: str, *, windows: bool) -> str | None:
    """Return the path in a ``file:`` URI as one kind of system writes it.

    Editors write ``file:///c%3A/code`` for ``c:/code``; another host is a path on Windows alone.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    path = unquote(parts.path, errors="surrogateescape")
    if parts.scheme != "file" or not path:
        return None
    if parts.netloc not in ("", "localhost"):
        return f"//{parts.netloc}{path}" if windows else None
    return f"{path[1:]}/" if windows and re.match("/[A-Za-z]:", path) else path


def private_folder(path: Path) -> Path:
    """Create ``path`` readable by its owner only, and return it."""
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    return path


def atomic_write(path: Path, content: bytes) -> None:
    """Write ``content`` so that after a crash ``path`` holds all of the old or all of the new."""
    private_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def fsync_file(path: Path) -> None:
    """Make a file's content durable."""
    with path.open("rb+") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def fsync_folder(path: Path) -> None:
    """Make renames inside ``path`` durable; a no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path, timeout: float = 0.0) -> Iterator[None]:
    """Hold an inter-process lock; raises `Busy` when it is not free within ``timeout`` seconds.

    The lock dies with its process, so nobody has to clean up after a kill. It may be released on
    another thread than the one that took it.
    """
    private_folder(path.parent)
    lock = filelock.FileLock(str(path), timeout=timeout, mode=PRIVATE_FILE, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise Busy(str(path)) from error
    try:
        yield
    finally:
        lock.release()
