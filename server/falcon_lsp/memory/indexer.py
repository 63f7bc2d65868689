"""Brings long-term memory up to date with the ledger, in the background.

It reads the events behind its cursor in batches, writes, and only then moves the cursor: a crash
between the two repeats a batch, which changes nothing. Each generation of the index has a cursor of
its own, so a new one is filled from the start without anybody having to say so.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable

from falcon_lsp.core.op_queue import OpQueue
from falcon_lsp.memory import gate
from falcon_lsp.memory.events import Event, Kind
from falcon_lsp.memory.ledger import Ledger, LedgerUnavailable
from falcon_lsp.memory.long_term import NotOpen, RecallIndex
from falcon_lsp.memory.records import Record

logger = logging.getLogger(__name__)

BATCH = 200


class Indexer:
    """Feeds ``memory`` from ``ledger`` on a thread of its own (Chroma is imported there).

    ``opened`` is called after each attempt to open the index. ``refused`` counts the episodes that
    were not kept, by reason.
    """

    def __init__(
        self,
        ledger: Ledger,
        memory: RecallIndex,
        batch: int = BATCH,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._memory = memory
        self._batch = batch
        self._opened = opened
        self._closing = threading.Event()
        self.refused: Counter[str] = Counter()
        self.queue = OpQueue("falcon-indexer", self.run)

    def request(self, reason: str) -> None:
        """Ask for a run; returns at once."""
        self.queue.request(reason)

    def run(self, reason: str) -> None:
        """Index everything that is new; called on the queue's thread. Never raises."""
        try:
            self._catch_up(reason)
        except NotOpen:
            return
        except LedgerUnavailable as error:
            logger.warning("indexing waits: %s", error)
        except BaseException as error:  # noqa: BLE001 - a panic in Chroma's Rust is no Exception
            logger.warning("indexing failed: %s", type(error).__name__)
            self._memory.fail(error)

    def close(self) -> None:
        """Stop after the batch in hand."""
        self._closing.set()
        self.queue.close()

    def _catch_up(self, reason: str) -> None:
        epoch = self._ledger.cursor("forgotten")
        available = self._memory.open(epoch)
        self._opened()
        if not available:
            return
        self._erase_forgotten(epoch)
        cursor = f"index:{self._memory.generation}"
        done = evicted = 0
        while not self._closing.is_set():
            events = self._ledger.events(self._ledger.cursor(cursor), self._batch)
            if not events:
                break
            self._index([event for _, event in events])
            evicted += self._memory.evict()
            self._ledger.set_cursor(cursor, events[-1][0])
            done += len(events)
        if done:
            logger.info("indexed %d events (%s), evicted %d records", done, reason, evicted)

    def _erase_forgotten(self, epoch: int) -> None:
        """Where no new generation begins for an epoch, name what was forgotten; once for each."""
        cursor = f"erased:{self._memory.generation}"
        if self._memory.host and self._ledger.cursor(cursor) != epoch:
            self._memory.erase(self._ledger.forgotten_ids())
            self._ledger.set_cursor(cursor, epoch)

    def _index(self, events: list[Event]) -> None:
        wanted = dict.fromkeys(e.completion_id for e in events if e.kind is not Kind.SUGGESTED)
        kept: list[Record] = []
        refused: list[Record] = []
        for episode in self._ledger.episodes_of(list(wanted)):
            reason = gate.refusal(episode)
            self.refused[reason] += bool(reason)
            (refused if reason else kept).append(gate.record_of(episode))
        self._memory.upsert(kept)
        self._memory.retract(refused)
