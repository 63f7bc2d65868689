"""Background jobs: at most one running and one waiting, each with a reason.

Any number of requests while a job runs collapse into one more run, so a job that works through
everything that is pending never piles up and never misses a request.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class OpQueue:
    """Runs ``job(reason)`` on a daemon thread of its own, coalescing requests."""

    def __init__(self, name: str, job: Callable[[str], None]) -> None:
        self.name = name
        self._job = job
        self._condition = threading.Condition()
        self._waiting: str | None = None
        self._running: str | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self.failures = 0

    def request(self, reason: str) -> None:
        """Ask for a run; returns at once. Ignored once closed."""
        with self._condition:
            if self._closed:
                return
            self._waiting = reason
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self._thread.start()
            self._condition.notify_all()

    @property
    def running(self) -> str | None:
        """The reason of the job that runs now, if one does."""
        return self._running

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Block until nothing runs or waits; False when ``timeout`` seconds passed first."""
        with self._condition:
            return self._condition.wait_for(
                lambda: self._running is None and self._waiting is None, timeout
            )

    def close(self, timeout: float = 5.0) -> None:
        """Drop what waits, let what runs finish (at most ``timeout`` seconds)."""
        with self._condition:
            self._closed = True
            self._waiting = None
            self._condition.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while (reason := self._next()) is not None:
            try:
                self._job(reason)
            except Exception:
                self.failures += 1
                logger.exception("background job %s failed", self.name)
            finally:
                with self._condition:
                    self._running = None
                    self._condition.notify_all()

    def _next(self) -> str | None:
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._waiting is not None)
            self._running, self._waiting = self._waiting, None
            return self._running
