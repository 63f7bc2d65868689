"""What may go wrong in a replay, as sentences for the person who asked for it."""

from __future__ import annotations


class ReplayError(Exception):
    """The replay cannot be done; the message is one sentence that says what to do."""
