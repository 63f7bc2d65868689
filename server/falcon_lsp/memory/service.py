"""Durable memory as the server sees it: record, recall, forget, and say how it is.

Recording is policy, then redaction, then the ledger; only then is an event "recorded". Indexing and
recall have threads of their own, and nothing that goes wrong there reaches a completion.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from falcon_lsp.config import MemoryOptions
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Snippet
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.events import Event, Kind
from falcon_lsp.memory.indexer import Indexer
from falcon_lsp.memory.ledger import Ledger, LedgerUnavailable
from falcon_lsp.memory.long_term import LongTermMemory, RecallIndex
from falcon_lsp.memory.peers import Question
from falcon_lsp.memory.policy import RecordingPolicy
from falcon_lsp.memory.recall import Recall
from falcon_lsp.memory.records import Recalled
from falcon_lsp.memory.redact import redact_event
from falcon_lsp.memory.rejection_log import RejectionLog, forgiving, refusing
from falcon_lsp.memory.rejections import Rejection, Rejections
from falcon_lsp.memory.team import TeamMemory

if TYPE_CHECKING:
    from falcon_lsp.memory.embedder import Embedder

logger = logging.getLogger(__name__)
T = TypeVar("T")

TICK_SECONDS = 1.0
"""How often to look for what other processes recorded, forgot, or left without an owner."""

MAX_WAITING = 10_000
_MAX_TAINTED = 4096


class MemoryService:
    """Ledger and long-term memory of one store. Every method may be called from any thread.

    A second service on the same store records as well, and recalls through the first. ``server`` is
    the URL of a Chroma server that holds long-term memory; empty: it lies in ``store``. ``follow``
    is called with the ledger whenever it may hold something new.
    ``forgotten`` is called on a thread of ours when it opens and once a second: there the owner
    drops, cheaply when nothing is new, what was made of episodes that any process has forgotten.
    """

    def __init__(
        self,
        store: Store,
        options: MemoryOptions,
        embedder: Embedder | None = None,
        rejections: Rejections | None = None,
        follow: Callable[[Ledger], None] = lambda _ledger: None,
        server: str = "",
        forgotten: Callable[[Ledger], None] = lambda _ledger: None,
    ) -> None:
        self.policy = RecordingPolicy(options)
        self._store = store
        self._long_term = _index_of(store, options, embedder, server)
        self._forgotten = forgotten
        self._ledger: Ledger | None = None
        self._indexer: Indexer | None = None
        self._trouble = ""
        self._waiting: OrderedDict[str, Event] = OrderedDict()
        self._tainted: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.RLock()
        self._following = threading.Lock()
        self._rejections = RejectionLog(rejections or Rejections())
        self._further = follow
        self._closing = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="falcon-memory", daemon=True)
        self.counters: Counter[str] = Counter()
        self._recall = Recall(self._long_term, store.data, self.counters)

    def open(self) -> bool:
        """Open the ledger and start indexing in the background; False: recording is paused."""
        with self._lock:
            ready = self._ready() is not None
        self.follow()
        with self._lock:
            if not self._ticker.is_alive() and not self._closing.is_set():
                self._ticker.start()
        return ready

    def close(self) -> None:
        """Write down what still waits, stop every thread, release the files."""
        self._closing.set()
        if self._waiting:
            self.record(())
        if self._ticker.is_alive():
            self._ticker.join()
        if self._indexer is not None:
            self._indexer.close()
        self._recall.close()
        self._long_term.close()
        if self._ledger is not None:
            self._ledger.close()

    # ---------------------------------------------------------------- recording

    def record(self, events: Sequence[Event]) -> bool:
        """Record ``events``; True means that all of them (and all that waited) are durable.

        Events that the policy refuses are dropped, and the answer is False. When the ledger cannot
        be written, they wait in memory (at most `MAX_WAITING`) for the next call.
        """
        allowed = [event for event in events if self.policy.allows(event.path)]
        self.counters["refused"] += len(events) - len(allowed)
        with self._lock:
            for event in filter(None, map(self._clean, allowed)):
                self._waiting.setdefault(event.event_id, event)
            written = self._write()
        return written and len(allowed) == len(events)

    def _clean(self, event: Event) -> Event | None:
        """Redact ``event``; None for text that settled in the place of a secret."""
        if event.kind is Kind.SETTLED and event.completion_id in self._tainted:
            return None
        seen = self.policy.without_ignored(event)
        clean = redact_event(seen)
        if event.kind is Kind.SUGGESTED and clean is not seen:
            self.counters["redacted"] += 1
            self._tainted[event.completion_id] = None
            if len(self._tainted) > _MAX_TAINTED:
                self._tainted.popitem(last=False)
        return clean

    def _write(self) -> bool:
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)
            self.counters["lost"] += 1
        ledger = self._ready()
        if ledger is None:
            return False
        if not self._waiting:
            return True
        try:
            self.counters["recorded"] += ledger.append(list(self._waiting.values()))
        except LedgerUnavailable as error:
            self._pause(error)
            return False
        self._waiting.clear()
        self._trouble = ""
        self._request("recorded")
        return True

    def _ready(self) -> Ledger | None:
        """Return the ledger, opened if need be; None while it cannot be."""
        if self._ledger is None:
            try:
                self._ledger = Ledger(self._store.ledger)
            except LedgerUnavailable as error:
                self._pause(error)
                return None
            self._trouble = ""
            self._indexer = Indexer(self._ledger, self._long_term, opened=self._recall.tend)
            self._request("opened")
        return self._ledger

    def _pause(self, error: LedgerUnavailable) -> None:
        if not self._trouble:
            logger.warning("recording paused: %s", error)
        self._trouble = f"recording paused: {error}"

    # ------------------------------------------------------------------- recall

    def recall(
        self,
        text: str,
        workspace: str,
        language: str,
        k: int,
        deadline_ms: float,
        exclude: Collection[str] = (),
    ) -> tuple[Snippet, ...]:
        """Return at most ``k`` successes like ``text`` as snippets for a prompt, best first.

        See `recall_records`, which this calls.
        """
        found = self.recall_records(text, workspace, language, k, deadline_ms, exclude)
        return tuple(each.record.snippet for each in found if each.record.outcome == "success")

    def recall_records(
        self,
        text: str,
        workspace: str,
        language: str,
        k: int,
        deadline_ms: float,
        exclude: Collection[str] = (),
    ) -> tuple[Recalled, ...]:
        """Return at most ``k`` successes and ``k`` failures like ``text``, best first.

        Never raises and never takes longer than ``deadline_ms``: a miss is empty and counted. While
        one question is still being answered, others miss at once.
        """
        question = Question(text, workspace, language, k, tuple(exclude))
        return self._recall.records(question, deadline_ms)

    # ---------------------------------------------------------- reading, forgetting

    def read(self, question: Callable[[Ledger], T], default: T) -> T:
        """Return the answer of ``question`` about the ledger, or ``default`` when there is none."""
        with self._lock:
            ledger = self._ready()
        try:
            return default if ledger is None else question(ledger)
        except LedgerUnavailable as error:
            logger.warning("the ledger cannot be read: %s", error)
            return default

    def recent_episodes(self, limit: int) -> list[Episode]:
        """Return the latest ``limit`` episodes, oldest first; empty when there is no ledger."""
        return self.read(lambda ledger: ledger.episodes(limit=limit), [])

    def status(self) -> dict[str, Any]:
        """Say how recording and recall are, in plain JSON values."""
        salvage = self._ledger.salvage if self._ledger is not None else None
        no_counts: dict[str, int] = {}
        return {
            "recording": self.policy.recording and not self._trouble,
            "trouble": self._trouble,
            "waiting": len(self._waiting),
            "counts": self.read(Ledger.counts, no_counts),
            "unreadable": self._ledger.unreadable if self._ledger is not None else 0,
            "salvaged": salvage
            and {"damaged": str(salvage.damaged), "kept": salvage.kept, "lost": salvage.lost},
            "recall": self._recall.status(),
            "counters": dict(self.counters),
        }

    def troubles(self) -> list[str]:
        """Return what the user should know, one sentence each: recording paused, a file repaired.

        Reads no file.
        """
        salvage = self._ledger.salvage if self._ledger is not None else None
        said = [self._trouble] if self._trouble else []
        if salvage is not None:
            said.append(
                f"the ledger was damaged: {salvage.kept} events were kept, {salvage.lost} lost; "
                f"the damaged file is {salvage.damaged}"
            )
        return said

    def forget(
        self,
        *,
        completion_ids: Iterable[str] | None = None,
        event_id: str | None = None,
        path: str | None = None,
        workspace: str | None = None,
        day: dt.date | None = None,
    ) -> list[str]:
        """Erase episodes (see `Ledger.forget`) from ledger and index; returns their ids.

        The index begins anew in a fresh folder, filled in the background. When another process owns
        it, that one does so within `TICK_SECONDS`. Raises `LedgerUnavailable`.
        """
        with self._lock:
            ledger = self._ready()
            if ledger is None or not self._write():
                raise LedgerUnavailable(self._trouble)
            gone = ledger.forget(
                completion_ids=completion_ids,
                event_id=event_id,
                path=path,
                workspace=workspace,
                day=day,
            )
        if gone:
            self._store.quiet.unlink(missing_ok=True)
            self._long_term.discard()
            self._request("forgotten")
            self.follow()
        return gone

    def rejections(self, workspace: str | None = None) -> list[Rejection]:
        """Return what is declined and kept from being offered, the latest first."""
        return self._rejections.rejections.entries(time.time(), workspace)

    def forgive(self, rejection_id: str) -> int:
        """Let a rejection be none, named by any of its completion ids; returns how many it had.

        0 when there is no such rejection. Raises `LedgerUnavailable`.
        """
        found = (e for e in self.rejections() if rejection_id in e.completion_ids)
        if (entry := next(found, None)) is None:
            return 0
        self._say(forgiving, entry.completion_ids)
        self._rejections.rejections.withdraw(entry.completion_ids)
        return len(entry.completion_ids)

    def refuse(self, completion_id: str) -> int:
        """Let a recorded suggestion, and what is nearly the same there, never be offered again.

        Returns 1, or 0 when there is no such episode. Raises `LedgerUnavailable`.
        """
        return self._say(refusing, [completion_id])

    def _say(self, saying: Callable[[list[Episode]], list[Event]], ids: Sequence[str]) -> int:
        """Record and follow at once what the developer says of episodes; returns how many."""
        with self._lock:
            ledger = self._ready()
            if ledger is None or not self._write():
                raise LedgerUnavailable(self._trouble)
            said = ledger.append(saying(ledger.episodes_of(ids)))
        self.follow()
        return said

    def rebuild(self) -> int:
        """Build the index anew and wait for it; returns its number of records.

        0 when another process owns it.
        """
        if self._ready() is None or not self._long_term.discard():
            return 0
        self._request("rebuild")
        self.wait_indexed()
        return self._long_term.count()

    def wait_indexed(self, timeout: float | None = None) -> bool:
        """Block until the indexer rests; False when ``timeout`` seconds passed first."""
        return self._indexer is None or self._indexer.queue.wait_idle(timeout)

    # ---------------------------------------------------------------- mechanics

    def _request(self, reason: str) -> None:
        if self._indexer is not None:
            self._indexer.request(reason)

    def _tick(self) -> None:
        while not self._closing.wait(TICK_SECONDS):
            self._request("tick")
            self.follow()

    def follow(self) -> None:
        """Take over what was declined, forgotten or forgiven, here or by other processes."""
        with self._following:
            self.read(self._rejections.catch_up, None)
            self.read(self._further, None)
            self.read(self._forgotten, None)


def _index_of(
    store: Store, options: MemoryOptions, embedder: Embedder | None, server: str
) -> RecallIndex:
    from falcon_lsp.memory.embedder import HashedNgramEmbedder

    embedder = embedder or HashedNgramEmbedder()
    if server:
        return TeamMemory(server, embedder, options.max_records)
    lock = store.locks / "index.lock"
    return LongTermMemory(store.chroma, embedder, lock, options.max_records)
