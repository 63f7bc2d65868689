"""The server of one connection before it knows any feature: counters, documents, flushing."""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from pygls.lsp.server import LanguageServer

from falcon_lsp import __version__
from falcon_lsp.lsp.documents import DocumentStore
from falcon_lsp.lsp.protocol import FalconProtocol
from falcon_lsp.lsp.structure import strict_converter

logger = logging.getLogger(__name__)

LOG_INTERVAL_S = 10.0
"""At most one line about problems in this time, however many there are."""


class FalconServer(LanguageServer):
    """A language server on `FalconProtocol`.

    ``counters`` says how often what went wrong (and a few harmless things) happened. ``on_flush``
    is called, in order, before ``shutdown`` is answered and again when the connection ends: what
    stands there must be quick to repeat.
    """

    protocol: FalconProtocol

    def __init__(self, name: str = "falcon-lsp", version: str = __version__) -> None:
        self.counters: collections.Counter[str] = collections.Counter()
        self.documents = DocumentStore(self.report)
        self.on_flush: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        self._unlogged: collections.Counter[str] = collections.Counter()
        self._logged_at = float("-inf")
        quiet_libraries()
        super().__init__(
            name, version, protocol_cls=FalconProtocol, converter_factory=strict_converter
        )

    def count(self, kind: str) -> None:
        """Count something that is worth knowing but no problem."""
        with self._lock:
            self.counters[kind] += 1

    def report(self, kind: str, detail: str = "") -> None:
        """Count a problem and, at most every `LOG_INTERVAL_S`, log what has been counted.

        ``detail`` must not hold source text. May be called from any thread.
        """
        with self._lock:
            self.counters[kind] += 1
            self._unlogged[kind] += 1
            if time.monotonic() - self._logged_at < LOG_INTERVAL_S:
                return
            self._logged_at = time.monotonic()
            counted = dict(self._unlogged)
            self._unlogged.clear()
        logger.warning("problems: %s; the last one: %r", counted, detail)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Count what pygls reports; its own way is a pop-up in the editor for each."""
        self.report("server_error", f"{type(error).__name__} ({source.__name__})")

    def flush(self) -> None:
        """Run every `on_flush` callback; one that fails does not keep the others from running."""
        for callback in self.on_flush:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - the others still have to be written down
                self.report("flush_failed", type(error).__name__)

    def thread(self) -> NoReturn:
        """Refuse pygls' thread handlers: they cannot be cancelled and share one pool."""
        raise TypeError("use a coroutine handler that awaits an executor of its own")


def quiet_libraries() -> None:
    """Keep libraries from logging whole messages: pygls does at INFO, websockets at DEBUG."""
    for name in ("pygls", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
