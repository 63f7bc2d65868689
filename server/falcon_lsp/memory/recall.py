"""Recall as the service offers it: in time or not at all, from the index or from who owns it."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from falcon_lsp.memory.long_term import OWNED_ELSEWHERE, RecallIndex
from falcon_lsp.memory.peers import Answer, PeerServer, Question, ask_owner
from falcon_lsp.memory.records import Recalled

logger = logging.getLogger(__name__)

_PING_SECONDS = 0.5
_PING = Question("", "", "", 0)


class Recall:
    """Asks ``index``, or the server that owns it; serves others (in ``folder``) when it owns it.

    ``counters`` gets ``recalled``, ``recall_missed``, ``recall_failed`` and ``recall_off``.
    """

    def __init__(self, index: RecallIndex, folder: Path, counters: Counter[str]) -> None:
        self._index = index
        self._folder = folder
        self._counters = counters
        self._one = _OneAtATime()
        self._server: PeerServer | None = None
        self._owner_records: int | None = None
        self._tending = threading.Lock()
        self._closed = False

    def records(self, question: Question, deadline_ms: float) -> tuple[Recalled, ...]:
        """Return the answer. Never raises and never takes longer: a miss is empty and counted.

        While one question is still being answered, others miss at once.
        """
        if not self._index.available and self._owner_records is None:
            self._counters["recall_off"] += 1
            return ()
        until = time.monotonic() + deadline_ms / 1000
        future = self._one.ask(lambda: self._answer(question, until))
        try:
            found = future.result(deadline_ms / 1000) if future is not None else None
        except FutureTimeout:
            found = None
        except Exception as error:  # noqa: BLE001 - memory is a help, never a reason to fail
            logger.warning("recall failed: %s", type(error).__name__)
            self._counters["recall_failed"] += 1
            return ()
        self._counters["recall_missed" if found is None else "recalled"] += 1
        return found or ()

    def tend(self) -> None:
        """Serve others if the index is ours, look for its owner if not; cheap when all is well."""
        with self._tending:
            if self._closed:
                return
            serving = self._index.available and not self._index.host
            if serving and self._server is None:
                self._serve()
            elif not serving and self._server is not None:
                self._server.close()
                self._server = None
            self._owner_records = self._ping() if self._index.reason == OWNED_ELSEWHERE else None

    def status(self) -> dict[str, Any]:
        """Say in plain JSON whether recall is on, through whom, and of how many records."""
        own = self._index.available
        available = own or self._owner_records is not None
        return {
            "available": available,
            "reason": "" if available else f"recall is off: {self._index.reason}",
            "records": self._index.count() if own else self._owner_records or 0,
            "through": "" if own or not available else OWNED_ELSEWHERE,
            "server": self._index.host,
        }

    def close(self) -> None:
        """Stop serving, and let the thread end once it is done."""
        with self._tending:
            self._closed = True
            if self._server is not None:
                self._server.close()
                self._server = None
        self._one.close()

    def _answer(self, question: Question, until: float) -> tuple[Recalled, ...]:
        if self._index.available:
            return tuple(self._query(question))
        return ask_owner(self._folder, question, until - time.monotonic()).found

    def _query(self, question: Question) -> list[Recalled]:
        return self._index.query(
            question.text, question.workspace, question.language, question.k, question.exclude
        )

    def _serve(self) -> None:
        try:
            self._server = PeerServer(self._folder, self._answer_peer)
        except OSError as error:
            logger.warning("other servers cannot recall through this one: %s", error.strerror)

    def _answer_peer(self, question: Question) -> Answer:
        found = self._query(question) if question.k else ()
        return Answer(self._index.count(), tuple(found))

    def _ping(self) -> int | None:
        try:
            return ask_owner(self._folder, _PING, _PING_SECONDS).records
        except (OSError, ValueError):
            return None


class _OneAtATime:
    """One daemon thread that answers one question at a time."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._free = threading.Semaphore(1)
        self._thread: threading.Thread | None = None

    def ask(
        self, question: Callable[[], tuple[Recalled, ...]]
    ) -> Future[tuple[Recalled, ...]] | None:
        """Have ``question`` answered; None while another one is."""
        if not self._free.acquire(blocking=False):
            return None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="falcon-recall", daemon=True)
            self._thread.start()
        future: Future[tuple[Recalled, ...]] = Future()
        self._inbox.put((future, question))
        return future

    def close(self) -> None:
        """Let the thread end once it is done."""
        self._inbox.put(None)

    def _run(self) -> None:
        while (item := self._inbox.get()) is not None:
            future, question = item
            try:
                future.set_result(question())
            except BaseException as error:  # noqa: BLE001 - Chroma's Rust panics are no Exception
                known = isinstance(error, Exception)
                future.set_exception(error if known else RuntimeError(type(error).__name__))
            finally:
                self._free.release()
