"""Long-term memory: finished episodes by likeness of context, in Chroma.

Everything here is derived from the ledger and may be deleted at any time. ``folder`` holds
*generations*, each a Chroma folder of its own, and ``current.json`` names the one that counts,
the embedder it was made with and the ledger's ``epoch`` (which `Ledger.forget` raises). When
any of this does not hold, a new generation begins and the others are removed: deleted vectors
survive in Chroma's files, deleted folders do not.

One process owns the folder (a lock that dies with it): a second one would not see new vectors.
Chroma is imported by `open`, never before. There is one collection per outcome, workspace and
language, so no query needs a filter and no workspace sees another's records.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from falcon_lsp.core.paths import Busy, atomic_write, locked, private_folder
from falcon_lsp.core.types import new_id
from falcon_lsp.memory.records import (
    CONTEXT_CHARS,
    Recalled,
    Record,
    document,
    metadata,
    recalled,
)

if TYPE_CHECKING:
    from falcon_lsp.memory.embedder import Embedder

logger = logging.getLogger(__name__)

_PAGE = 1000
_NEVER = 1_000_000_000
"""Chroma writes its graph files with whatever stood in freed memory (1.5.9). So it is kept from
ever writing a filled one (it rebuilds the graph from its SQLite file at start, about 1 s for 1,000
records), and the empty one that it writes for each collection is zeroed (`_seal`)."""
_FILLED = slice(20, 28)
"""Where a graph's header counts its elements."""
OUTCOMES = ("success", "failure")


class NotOpen(Exception):
    """The index was closed or discarded in the meantime."""


class LongTermMemory:
    """The index in ``folder``. Changes come from one thread; `query` may come from another.

    ``reason`` says why it is not `available`.
    """

    def __init__(self, folder: Path, embedder: Embedder, lock_path: Path, max_records: int) -> None:
        self.folder = folder
        self.embedder = embedder
        self.generation = ""
        self.reason = "not opened yet"
        self._max_records = max_records
        self._lock_path = lock_path
        self._ownership = contextlib.ExitStack()
        self._owner = False
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._sealed: dict[Path, int] = {}
        self._changing = threading.RLock()

    @property
    def available(self) -> bool:
        """Whether it can be asked now."""
        return self._client is not None

    def open(self, epoch: int) -> bool:
        """Become the owner and make ready the generation of ``epoch``; False: see ``reason``.

        Cheap when nothing has changed. Safe to call again after a failure.
        """
        with self._changing:
            if not self._own():
                return False
            try:
                if not self._current_of(epoch):
                    self._begin(epoch)
                if self._client is None:
                    self._load(epoch)
            except OSError as error:
                self.reason = f"the folder cannot be used ({error.strerror})"
            return self.available

    def discard(self) -> bool:
        """Remove every generation and every damaged one from disk; False when not the owner."""
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
            self._owner = False
            self.reason = "closed"

    def upsert(self, records: Sequence[Record]) -> None:
        """Add or replace ``records``; one that changed its outcome leaves its old collection."""
        groups: dict[tuple[str, str, str], dict[str, Record]] = defaultdict(dict)
        for record in records:
            groups[record.workspace, record.language, record.outcome][record.completion_id] = record
        with self._changing:
            self._require_open()
            for (workspace, language, outcome), group in groups.items():
                other = OUTCOMES[1 - OUTCOMES.index(outcome)]
                self._remove(_collection_name(other, workspace, language), list(group))
                collection = self._collection(outcome, workspace, language)
                collection.upsert(
                    ids=list(group),
                    embeddings=self.embedder.embed([r.context for r in group.values()]),
                    documents=[document(record) for record in group.values()],
                    metadatas=[metadata(record) for record in group.values()],
                )
            self._seal()

    def query(
        self, text: str, workspace: str, language: str, k: int, exclude: Collection[str] = ()
    ) -> list[Recalled]:
        """Return at most ``k`` successes and ``k`` failures like ``text``, most alike first.

        ``exclude`` holds completion ids that must not come back: the episode that asks.
        """
        vector = self.embedder.embed([text[-CONTEXT_CHARS:]])
        found: list[Recalled] = []
        for outcome in OUTCOMES:
            collection = self._collections.get(_collection_name(outcome, workspace, language))
            if collection is None:
                continue
            answer = collection.query(
                query_embeddings=vector,
                n_results=k + len(exclude),
                include=["metadatas", "documents", "distances"],
            )
            rows = zip(*(answer[key][0] for key in _ANSWER), strict=True)
            kept = [recalled(outcome, *row) for row in rows if row[0] not in exclude]
            found += kept[:k]
        return sorted(found, key=lambda each: -each.score)

    def delete(self, ids: Collection[str]) -> None:
        """Remove records; unknown ids are no error. Their bytes stay until the next `discard`."""
        with self._changing:
            self._require_open()
            for name in list(self._collections):
                self._remove(name, list(ids))

    def count(self) -> int:
        """Return the number of records."""
        return sum(collection.count() for collection in list(self._collections.values()))

    def ids(self) -> set[str]:
        """Return the completion id of every record."""
        return {row[0] for name in list(self._collections) for row in self._rows(name)}

    def evict(self) -> int:
        """When there are more than the most records, remove the oldest 5 %; returns how many."""
        if self.count() <= self._max_records:
            return 0
        rows = [
            (float(fields["time"]), key, name)
            for name in list(self._collections)
            for key, fields in self._rows(name)
        ]
        rows.sort()
        surplus = rows[: len(rows) - int(self._max_records * 0.95)]
        by_name: dict[str, list[str]] = defaultdict(list)
        for _, key, name in surplus:
            by_name[name].append(key)
        with self._changing:
            for name, keys in by_name.items():
                self._remove(name, keys)
        return len(surplus)

    def fail(self, error: BaseException) -> None:
        """Disconnect after ``error``; the next `open` connects again, or begins anew."""
        with self._changing:
            self._close_client()
            self.reason = f"the index failed ({type(error).__name__})"

    # ------------------------------------------------------------------ collections

    def _require_open(self) -> None:
        if self._client is None:
            raise NotOpen

    def _collection(self, outcome: str, workspace: str, language: str) -> Any:
        name = _collection_name(outcome, workspace, language)
        if name not in self._collections:
            self._collections[name] = self._client.get_or_create_collection(
                name,
                embedding_function=None,
                configuration={"hnsw": {"space": "cosine", "sync_threshold": _NEVER}},
                metadata={
                    "outcome": outcome,
                    "workspace": workspace,
                    "language": language,
                    "embedder": self.embedder.id,
                },
            )
            self._probe(self._collections[name])
        return self._collections[name]

    def _remove(self, name: str, ids: list[str]) -> None:
        collection = self._collections.get(name)
        if collection is None:
            return
        for start in range(0, len(ids), _PAGE):
            collection.delete(ids=ids[start : start + _PAGE])

    def _rows(self, name: str) -> Iterable[tuple[str, dict[str, Any]]]:
        collection = self._collections[name]
        for offset in range(0, collection.count(), _PAGE):
            page = collection.get(include=["metadatas"], limit=_PAGE, offset=offset)
            yield from zip(page["ids"], page["metadatas"], strict=True)

    # ------------------------------------------------------------------ generations

    def _own(self) -> bool:
        if not self._owner:
            try:
                self._ownership.enter_context(locked(self._lock_path))
            except Busy:
                self.reason = "another server on this machine owns the index"
                return False
            except OSError as error:
                self.reason = f"the folder cannot be used ({error.strerror})"
                return False
            self._owner = True
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
        self.generation = new_id("gen")
        private_folder(self.folder / self.generation)
        manifest = {
            "generation": self.generation, "embedder": self.embedder.id, "epoch": epoch,
        }  # fmt: skip
        atomic_write(self.folder / "current.json", json.dumps(manifest).encode())
        logger.info("long-term memory begins generation %s", self.generation)

    def _load(self, epoch: int) -> None:
        """Connect to the current generation; one that Chroma cannot read is moved aside."""
        try:
            self._connect()
        except ImportError as error:
            self.reason = f"chromadb is not installed ({error.name})"
            return
        except BaseException as error:  # a panic in Chroma's Rust is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            logger.warning("the index is damaged and built anew: %s", type(error).__name__)
            self._close_client()
            damaged = self.folder / self.generation
            damaged.rename(damaged.with_name(f"damaged-{self.generation}"))
            self._begin(epoch)
            self._connect()
        self._sweep(keep_damaged=True)

    def _connect(self) -> None:
        import chromadb
        from chromadb.config import Settings

        manifest = json.loads((self.folder / "current.json").read_text(encoding="utf-8"))
        self.generation = manifest["generation"]
        client = chromadb.PersistentClient(
            str(self.folder / self.generation), settings=Settings(anonymized_telemetry=False)
        )
        collections = {
            found.name: client.get_collection(found.name, embedding_function=None)
            for found in client.list_collections()
        }
        for collection in collections.values():
            self._probe(collection)
        self._seal()
        self._collections = collections
        self._client = client
        self.reason = ""

    def _probe(self, collection: Any) -> None:
        """Have Chroma load the graph of a collection now: it raises if it cannot."""
        collection.query(query_embeddings=self.embedder.embed(["probe"]), n_results=1)

    def _seal(self) -> None:
        """Overwrite the parts of Chroma's empty graph files that hold stray memory."""
        for header in (self.folder / self.generation).glob("*/header.bin"):
            if any(header.read_bytes()[_FILLED]):
                continue
            for name in ("data_level0.bin", "length.bin"):
                file = header.with_name(name)
                if file.is_file() and self._sealed.get(file) != file.stat().st_mtime_ns:
                    with file.open("r+b") as stream:
                        stream.write(bytes(file.stat().st_size))
                    self._sealed[file] = file.stat().st_mtime_ns

    def _close_client(self) -> None:
        client, self._client = self._client, None
        self._collections = {}
        self._sealed = {}
        self.reason = "being built"
        if client is not None:
            client.close()

    def _sweep(self, *, keep_damaged: bool = False) -> bool:
        """Remove generations that no longer count; True when none is left."""
        if not self.folder.is_dir():
            return True
        clean = True
        for old in self.folder.iterdir():
            mine = old.name == self.generation or not old.is_dir()
            if mine or (keep_damaged and old.name.startswith("damaged-")):
                continue
            shutil.rmtree(old, ignore_errors=True)
            clean = clean and not old.exists()
        return clean


_ANSWER = ("ids", "documents", "metadatas", "distances")


def _collection_name(outcome: str, workspace: str, language: str) -> str:
    key = json.dumps([workspace, language])
    return f"{outcome}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
