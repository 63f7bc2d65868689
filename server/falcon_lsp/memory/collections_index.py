"""Records in Chroma's collections: one per outcome, workspace and language.

So no query needs a filter (a ``where`` takes Chroma 50 times as long at 100,000 records), and no
workspace sees another's records. The client is given: embedded, or of a Chroma server.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from falcon_lsp.memory.records import (
    CONTEXT_CHARS,
    Damaged,
    Recalled,
    Record,
    document,
    metadata,
    rank,
    recalled,
    worth,
)

if TYPE_CHECKING:
    from falcon_lsp.memory.embedder import Embedder

OUTCOMES = ("success", "failure")
KEPT_SHARE = 0.95
"""What is left of the most records after an eviction."""

_PAGE = 1000
_GRAPH = {
    "space": "cosine", "max_neighbors": 32, "ef_construction": 200, "ef_search": 300,
    "sync_threshold": 1000, "batch_size": 100,
}  # fmt: skip
"""How Chroma builds and walks its graphs, and after how many changes it writes one to disk. The
rest it adds at start, 0.5 ms a record."""

Group = tuple[str, str, str]
"""``outcome, workspace, language``."""


class CollectionsIndex:
    """Reads and writes records through ``client``; ``total`` counts those it knows of.

    Collections that are there already are looked up when they are first needed, or by `load_all`.
    Changes come from one thread; `query` may come from others.
    """

    def __init__(self, client: Any, embedder: Embedder) -> None:
        self._client = client
        self._embedder = embedder
        self._known: dict[str, Any] = {}
        self._there: frozenset[str] = frozenset()
        self.total = 0
        self.refresh()

    def refresh(self) -> None:
        """Look which collections there are by now: others may use the same server."""
        found = (collection.name for collection in self._client.list_collections())
        self._there = frozenset(name for name in found if name.startswith(OUTCOMES))

    def load_all(self) -> None:
        """Have Chroma load every graph now: it raises if it cannot."""
        for name in sorted(self._there):
            self._find(name)

    def upsert(self, records: Sequence[Record]) -> None:
        """Add ``records``; of those with one key, here and there already, the latest stays."""
        groups: dict[Group, dict[str, Record]] = defaultdict(dict)
        for record in sorted(records, key=lambda r: rank(r.time, r.completion_id)):
            key = record.key
            for outcome in OUTCOMES:
                groups[outcome, record.workspace, record.language].pop(key, None)
            groups[record.outcome, record.workspace, record.language][key] = record
        for group, found in groups.items():
            self._put(group, found)

    def query(
        self, text: str, workspace: str, language: str, k: int, exclude: Collection[str]
    ) -> list[Recalled]:
        """Return at most ``k`` successes and ``k`` failures like ``text``, most alike first.

        ``exclude`` holds completion ids; they are asked for and dropped. Raises `Damaged`.
        """
        vector = self._embedder.embed([text[-CONTEXT_CHARS:]])
        found: list[Recalled] = []
        for outcome in OUTCOMES:
            collection = self._find(self._name((outcome, workspace, language)))
            if collection is None:
                continue
            answer = collection.query(
                query_embeddings=vector,
                n_results=k + len(exclude),
                include=["metadatas", "documents", "distances"],
            )
            rows = zip(*(answer[key][0] for key in _ANSWER), strict=True)
            these = [recalled(outcome, *row) for row in rows]
            found += [each for each in these if each.record.completion_id not in exclude][:k]
        if any((r.record.workspace, r.record.language) != (workspace, language) for r in found):
            raise Damaged
        return sorted(found, key=lambda each: (-each.score, each.record.completion_id))

    def retract(self, records: Iterable[Record]) -> None:
        """Remove ``records`` wherever their very episodes are kept; others with their keys stay."""
        groups: dict[Group, dict[str, str]] = defaultdict(dict)
        for record in records:
            for outcome in OUTCOMES:
                group = (outcome, record.workspace, record.language)
                groups[group][record.key] = record.completion_id
        for group, wanted in groups.items():
            name = self._name(group)
            held = self._held(name, list(wanted))
            self._remove(name, [k for k, r in held.items() if r[1] == wanted[k]])

    def ids(self) -> set[str]:
        """Return the completion id of every record."""
        return {fields["completion_id"] for _, _, fields in self._rows()}

    def erase(self, completion_ids: Collection[str]) -> int:
        """Remove the records of these episodes from every collection; returns how many."""
        self.load_all()
        rows = [row for row in self._rows() if row[2]["completion_id"] in completion_ids]
        return self._remove_rows([(name, key) for name, key, _ in rows])

    def evict(self, most: int) -> int:
        """When there are more than ``most`` records, remove those of least `worth`: 5 % of it.

        Returns how many.
        """
        if self.total <= most:
            return 0
        rows = sorted(
            (worth(int(fields["chars_kept"]), float(fields["time"])), key, name)
            for name, key, fields in self._rows()
        )
        surplus = rows[: len(rows) - int(most * KEPT_SHARE)]
        return self._remove_rows([(name, key) for _, key, name in surplus])

    # ------------------------------------------------------------------ one collection

    def _put(self, group: Group, found: dict[str, Record]) -> None:
        """Store what is newer than what has the same key, and remove that from the other side."""
        outcome, workspace, language = group
        name = self._name(group)
        other = self._name((OUTCOMES[1 - OUTCOMES.index(outcome)], workspace, language))
        held = {where: self._held(where, list(found)) for where in (name, other)}
        latest = {
            key: record
            for key, record in found.items()
            if all(
                key not in rows or rows[key] <= rank(record.time, record.completion_id)
                for rows in held.values()
            )
        }
        if not latest:
            return
        self._remove(other, [key for key in latest if key in held[other]])
        self._collection(group).upsert(
            ids=list(latest),
            embeddings=self._embedder.embed([r.context for r in latest.values()]),
            documents=[document(record) for record in latest.values()],
            metadatas=[metadata(record) for record in latest.values()],
        )
        self.total += len(latest.keys() - held[name].keys())

    def _held(self, name: str, keys: list[str]) -> dict[str, tuple[float, str]]:
        """Return the `rank` of each of these keys that is there."""
        collection = self._find(name)
        if collection is None or not keys:
            return {}
        answer = collection.get(ids=keys, include=["metadatas"])
        return {
            key: rank(float(fields["time"]), str(fields["completion_id"]))
            for key, fields in zip(answer["ids"], answer["metadatas"], strict=True)
        }

    def _collection(self, group: Group) -> Any:
        name = self._name(group)
        if self._find(name) is None:
            outcome, workspace, language = group
            self._known[name] = self._client.get_or_create_collection(
                name,
                embedding_function=None,
                configuration={"hnsw": _GRAPH},
                metadata={
                    "outcome": outcome,
                    "workspace": workspace,
                    "language": language,
                    "embedder": self._embedder.id,
                },
            )
        return self._known[name]

    def _find(self, name: str) -> Any:
        """Return the collection, or None when there is none."""
        if name not in self._known and name in self._there:
            collection = self._client.get_collection(name, embedding_function=None)
            self.total += collection.count()
            self._known[name] = collection
        return self._known.get(name)

    def _name(self, group: Group) -> str:
        outcome, workspace, language = group
        key = json.dumps([workspace, language, self._embedder.id])
        return f"{outcome}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"

    def _rows(self) -> Iterable[tuple[str, str, dict[str, Any]]]:
        """Yield collection, key and metadata of every record."""
        for name, collection in list(self._known.items()):
            for offset in range(0, collection.count(), _PAGE):
                page = collection.get(include=["metadatas"], limit=_PAGE, offset=offset)
                for key, fields in zip(page["ids"], page["metadatas"], strict=True):
                    yield name, key, fields

    def _remove_rows(self, rows: Iterable[tuple[str, str]]) -> int:
        by_name: dict[str, list[str]] = defaultdict(list)
        for name, key in rows:
            by_name[name].append(key)
        return sum(self._remove(name, keys) for name, keys in by_name.items())

    def _remove(self, name: str, keys: list[str]) -> int:
        for start in range(0, len(keys), _PAGE):
            self._known[name].delete(ids=keys[start : start + _PAGE])
        self.total -= len(keys)
        return len(keys)


_ANSWER = ("documents", "metadatas", "distances")
