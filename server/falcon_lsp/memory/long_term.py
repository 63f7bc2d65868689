"""Long-term memory: finished episodes by likeness of context, in Chroma.

Everything here is derived from the ledger and may be deleted at any time. ``folder`` holds
*generations*, each a Chroma folder of its own, and ``current.json`` names the one that counts,
the embedder it was made with and the ledger's ``epoch`` (which `Ledger.forget` raises). When
any of this does not hold, or its graph files are not as they were sealed (`graph_files`), a new
generation begins and the others are removed: deleted vectors survive in Chroma's files, deleted
folders do not.

One process owns the folder (a lock that dies with it): a second one would not see new vectors.
Chroma is imported by `open`, never before.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from falcon_lsp.core.paths import Busy, atomic_write, locked, private_folder
from falcon_lsp.core.types import new_id
from falcon_lsp.memory.collections_index import CollectionsIndex
from falcon_lsp.memory.graph_files import Seal
from falcon_lsp.memory.records import Damaged, Recalled, Record

if TYPE_CHECKING:
    from falcon_lsp.memory.embedder import Embedder

logger = logging.getLogger(__name__)
T = TypeVar("T")

MOST_FAILURES = 3
"""After so many in a row the index is given up and built anew."""

OWNED_ELSEWHERE = "another server on this machine owns the index"


class NotOpen(Exception):
    """The index was closed or discarded in the meantime."""


class RecallIndex(Protocol):
    """What the indexer and the service need of long-term memory, wherever it lies.

    ``generation`` names what is being filled: each has a cursor of its own in the ledger.
    ``host`` names the Chroma server where the records lie; empty: they lie here. Any process may
    ask a server; what was forgotten has to be named to `erase`: here the next epoch is enough.
    """

    generation: str
    reason: str
    host: str

    @property
    def available(self) -> bool:
        """Whether it can be asked now; if not, ``reason`` says why."""

    def open(self, epoch: int) -> bool:
        """Make ready what belongs to the ledger's ``epoch``; cheap when it is ready."""

    def upsert(self, records: Sequence[Record]) -> None:
        """Add records; of those with one key the latest stays."""

    def retract(self, records: Sequence[Record]) -> None:
        """Remove what is held of these very episodes."""

    def erase(self, completion_ids: Collection[str]) -> int:
        """Remove all records of these episodes; returns how many there were."""

    def evict(self) -> int:
        """Keep within the most records; returns how many had to go."""

    def query(
        self, text: str, workspace: str, language: str, k: int, exclude: Collection[str] = ()
    ) -> list[Recalled]:
        """Return at most ``k`` successes and ``k`` failures, most alike first."""

    def count(self) -> int:
        """Return the number of records."""

    def fail(self, error: BaseException) -> None:
        """Disconnect after ``error``; the next `open` connects again."""

    def discard(self) -> bool:
        """Remove all that this machine holds; False when another process owns it."""

    def close(self) -> None:
        """Let go of everything; `open` may be called again."""


class LongTermMemory:
    """The index in ``folder`` (a `RecallIndex`), of at most ``max_records``.

    Changes come from one thread; `query` and `count` may come from others.
    """

    host = ""

    def __init__(self, folder: Path, embedder: Embedder, lock_path: Path, max_records: int) -> None:
        self.folder = folder
        self.embedder = embedder
        self.generation = ""
        self.reason = "not opened yet"
        self._max_records = max_records
        self._lock_path = lock_path
        self._ownership = contextlib.ExitStack()
        self.owner = False
        self._client: Any = None
        self._index: CollectionsIndex | None = None
        self._seal: Seal | None = None
        self._failures = 0
        self._changing = threading.RLock()

    @property
    def available(self) -> bool:
        """Whether it can be asked now."""
        return self._index is not None

    def open(self, epoch: int) -> bool:
        """Become the owner and make ready the generation of ``epoch``; False: see ``reason``.

        Cheap when nothing has changed. Safe to call again after a failure.
        """
        with self._changing:
            if not self._own():
                return False
            try:
                if self._failures >= MOST_FAILURES or not self._current_of(epoch):
                    self._begin(epoch)
                if self._index is None:
                    self._load(epoch)
            except OSError as error:
                self.reason = f"the folder cannot be used ({error.strerror})"
            return self.available

    def discard(self) -> bool:
        """Remove every generation from disk; False when not the owner."""
        with self._changing:
            if not self._own():
                return False
            self._close_client()
            self.generation = ""
            (self.folder / "current.json").unlink(missing_ok=True)
            return self._sweep()

    def close(self) -> None:
        """Let go of the files and of ownership; `open` may be called again."""
        with self._changing:
            self._close_client()
            self._ownership.close()
            self.owner = False
            self.reason = "closed"

    def upsert(self, records: Sequence[Record]) -> None:
        """Add ``records``; of those with one key the latest stays. Raises `NotOpen`."""
        self._change(lambda index: index.upsert(records))

    def retract(self, records: Sequence[Record]) -> None:
        """Remove what is held of these very episodes; bytes stay until the next `discard`."""
        self._change(lambda index: index.retract(records))

    def erase(self, completion_ids: Collection[str]) -> int:
        """Remove the records of these episodes; bytes stay until the next `discard`."""
        return self._change(lambda index: index.erase(completion_ids))

    def evict(self) -> int:
        """When there are too many records, remove the least worthy; returns how many."""
        return self._change(lambda index: index.evict(self._max_records))

    def query(
        self, text: str, workspace: str, language: str, k: int, exclude: Collection[str] = ()
    ) -> list[Recalled]:
        """Return at most ``k`` successes and ``k`` failures like ``text``, most alike first.

        ``exclude`` holds completion ids that must not come back: the episode that asks. Whatever is
        raised counts as damage: nothing else keeps Chroma from reading its own files.
        """
        index = self._index
        if index is None:
            return []
        try:
            return index.query(text, workspace, language, k, exclude)
        except Exception as error:
            if index is self._index:
                self.fail(Damaged(type(error).__name__))
            raise

    def count(self) -> int:
        """Return the number of records."""
        return self._index.total if self._index is not None else 0

    def ids(self) -> set[str]:
        """Return the completion id of every record."""
        return self._index.ids() if self._index is not None else set()

    def fail(self, error: BaseException) -> None:
        """Disconnect after ``error``; the next `open` connects again, or begins anew.

        Damage begins anew at once, other errors when they come `MOST_FAILURES` times in a row.
        """
        with self._changing:
            self._failures = MOST_FAILURES if isinstance(error, Damaged) else self._failures + 1
            self._close_client()
            self.reason = f"the index failed ({type(error).__name__})"

    def _change(self, change: Callable[[CollectionsIndex], T]) -> T:
        with self._changing:
            if self._index is None or self._seal is None:
                raise NotOpen
            try:
                changed = change(self._index)
            finally:
                self._seal.renew()
            self._failures = 0
            return changed

    # ------------------------------------------------------------------ generations

    def _own(self) -> bool:
        if not self.owner:
            try:
                self._ownership.enter_context(locked(self._lock_path))
            except Busy:
                self.reason = OWNED_ELSEWHERE
                return False
            except OSError as error:
                self.reason = f"the folder cannot be used ({error.strerror})"
                return False
            self.owner = True
        return True

    def _current_of(self, epoch: int) -> bool:
        """Whether ``current.json`` names a generation that fits; if so, it is the one in use."""
        try:
            manifest = json.loads((self.folder / "current.json").read_text(encoding="utf-8"))
            fits = (manifest["embedder"], manifest["epoch"]) == (self.embedder.id, epoch)
            named = str(manifest["generation"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if not fits or not named.startswith("gen-") or not (self.folder / named).is_dir():
            return False
        return self.generation in {"", named}

    def _begin(self, epoch: int) -> None:
        self._close_client()
        self._failures = 0
        self.generation = new_id("gen")
        private_folder(self.folder / self.generation)
        manifest = {
            "generation": self.generation, "embedder": self.embedder.id, "epoch": epoch,
        }  # fmt: skip
        atomic_write(self.folder / "current.json", json.dumps(manifest).encode())
        logger.info("long-term memory begins generation %s", self.generation)

    def _load(self, epoch: int) -> None:
        """Connect to the current generation; one that is damaged is given up."""
        try:
            self._connect()
        except ImportError as error:
            self.reason = f"chromadb is not installed ({error.name})"
            return
        except BaseException as error:  # a panic in Chroma's Rust is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            logger.warning("the index is damaged and built anew: %s", type(error).__name__)
            self._begin(epoch)
            self._connect()
        self._sweep()

    def _connect(self) -> None:
        """Have Chroma load everything now: it raises if it cannot. Raises `Damaged`."""
        import chromadb
        from chromadb.config import Settings

        manifest = json.loads((self.folder / "current.json").read_text(encoding="utf-8"))
        self.generation = manifest["generation"]
        root = self.folder / self.generation
        self._seal = Seal(root)
        if not self._seal.holds():
            raise Damaged
        self._seal.start()
        self._client = chromadb.PersistentClient(
            str(root), settings=Settings(anonymized_telemetry=False)
        )
        index = CollectionsIndex(self._client, self.embedder)
        index.load_all()
        self._index = index
        self.reason = ""

    def _close_client(self) -> None:
        client, self._client = self._client, None
        seal, self._seal = self._seal, None
        self._index = None
        self.reason = "being built"
        if client is not None:
            client.close()
            if seal is not None:
                seal.finish()

    def _sweep(self) -> bool:
        """Remove generations that do not count; True when none is left."""
        if not self.folder.is_dir():
            return True
        old = [e for e in self.folder.iterdir() if e.is_dir() and e.name != self.generation]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        return not any(folder.exists() for folder in old)


def connect_server(host: str, port: int, *, ssl: bool, headers: Mapping[str, str]) -> Any:
    """Return a client of a Chroma server. Raises whatever Chroma raises, and `ImportError`."""
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    return chromadb.HttpClient(host, port, ssl=ssl, headers=dict(headers), settings=settings)
