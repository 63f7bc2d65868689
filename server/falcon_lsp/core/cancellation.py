"""Cancellation and deadlines as one object, checked between two tokens and between two steps."""

from __future__ import annotations

import threading
import time


class Cancelled(Exception):
    """The question is no longer of interest: a newer one came, or the client withdrew it."""


class DeadlineExceeded(Exception):
    """The answer would come too late to be of use."""


class CancellationToken:
    """May be cancelled from any thread; may carry a deadline (``time.monotonic()`` seconds)."""

    def __init__(self, timeout: float | None = None) -> None:
        self._event = threading.Event()
        self.deadline = None if timeout is None else time.monotonic() + timeout

    def cancel(self) -> None:
        """Withdraw the question; idempotent."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; infinity without one, never negative."""
        if self.deadline is None:
            return float("inf")
        return max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raise `Cancelled` or `DeadlineExceeded` when there is no point in going on."""
        if self.cancelled:
            raise Cancelled
        if self.expired:
            raise DeadlineExceeded
