"""Brings long-term memory up to date with the ledger, in the background.

It reads the events behind its cursor in batches, writes, and only then moves the cursor: a crash
between the two repeats a batch, which changes nothing. Each generation of the index has a cursor of
its own, so a new one is filled from the start without anybody having to say so.
"""

from __future__ import annotations

import logging
import threading

from falcon_lsp.core.op_queue import OpQueue
from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.events import Event, Kind
from falcon_lsp.memory.ledger import Ledger, LedgerUnavailable
from falcon_lsp.memory.long_term import LongTermMemory, NotOpen
from falcon_lsp.memory.records import CONTEXT_CHARS, Record
from falcon_lsp.memory.redact import MARKER

logger = logging.getLogger(__name__)

BATCH = 200
MIN_CHARS = 4
"""Texts with fewer characters that are not white space teach nothing."""

_KEPT_SHARE = 0.5
_TEXT_CHARS = 2000
_MAX_DIAGNOSTICS = 8
_MAX_FAILURES = 3


class Indexer:
    """Feeds ``memory`` from ``ledger`` on a thread of its own (Chroma is imported there)."""

    def __init__(self, ledger: Ledger, memory: LongTermMemory, batch: int = BATCH) -> None:
        self._ledger = ledger
        self._memory = memory
        self._batch = batch
        self._failures = 0
        self._closing = threading.Event()
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
            self._failures += 1
            logger.warning("indexing failed (%d): %s", self._failures, type(error).__name__)
            self._memory.fail(error)
            if self._failures >= _MAX_FAILURES:
                self._failures = 0
                self._memory.discard()
        else:
            self._failures = 0

    def _catch_up(self, reason: str) -> None:
        if not self._memory.open(self._ledger.cursor("forgotten")):
            return
        cursor = f"index:{self._memory.generation}"
        done = 0
        while not self._closing.is_set():
            events = self._ledger.events(self._ledger.cursor(cursor), self._batch)
            if not events:
                break
            self._index([event for _, event in events])
            self._ledger.set_cursor(cursor, events[-1][0])
            done += len(events)
        if done:
            evicted = self._memory.evict()
            logger.info("indexed %d events (%s), evicted %d records", done, reason, evicted)

    def close(self) -> None:
        """Stop after the batch in hand."""
        self._closing.set()
        self.queue.close()

    def _index(self, events: list[Event]) -> None:
        wanted = dict.fromkeys(e.completion_id for e in events if e.kind is not Kind.SUGGESTED)
        episodes = self._ledger.episodes_of(list(wanted))
        records = [record for episode in episodes if (record := record_of(episode)) is not None]
        kept = {record.completion_id for record in records}
        self._memory.upsert(records)
        self._memory.delete([key for key in wanted if key not in kept])


def record_of(episode: Episode) -> Record | None:
    """Return what long-term memory keeps of ``episode``, or None: memory helps only when clean.

    Kept are finished episodes with an opinion: text of which at least half stands is a success,
    text that was rejected or undone a failure. Never kept: silence, very short texts, and anything
    that a secret was taken out of.
    """
    outcome = _verdict(episode)
    suggested = episode.suggestion.text[:_TEXT_CHARS]
    settled = episode.settled_text
    settled = None if settled is None else settled[:_TEXT_CHARS]
    context = episode.suggestion.prompt.prefix[-CONTEXT_CHARS:]
    if outcome is None or episode.outcome is None or len("".join(suggested.split())) < MIN_CHARS:
        return None
    if any(MARKER in text for text in (context, suggested, settled or "", episode.path)):
        return None
    return Record(
        completion_id=episode.completion_id,
        outcome=outcome,
        workspace=episode.workspace,
        language=episode.language,
        path=episode.path,
        time=episode.time,
        context=context,
        suggested=suggested,
        settled=settled,
        label=episode.outcome.value,
        chars_kept=episode.chars_kept,
        adapter_id=episode.suggestion.adapter_id,
        diagnostics=_findings(episode),
    )


def _verdict(episode: Episode) -> str | None:
    what = episode.outcome
    if what in {Outcome.REJECTED, Outcome.UNDONE}:
        return "failure"
    if what is None or not (what.final and what.positive):
        return None
    enough = episode.chars_kept >= _KEPT_SHARE * len(episode.suggestion.text)
    return "success" if enough else None


def _findings(episode: Episode) -> str:
    """Return the class and line of each finding added, such as ``F821:12``, one per line."""
    added = episode.diagnostics_added[:_MAX_DIAGNOSTICS]
    return "\n".join(f"{found.code or found.source}:{found.line}" for found in added)
