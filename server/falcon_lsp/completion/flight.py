"""A generation under way, which goes on while the developer types what it is about to say."""

from __future__ import annotations

import threading

from falcon_lsp.completion.cache import Place
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import CompletionRequest


class Flight:
    """What one generation was asked and has said so far; its ``token`` ends it.

    `hear` is called on the engine's thread, `join` on any.
    """

    def __init__(self, request: CompletionRequest, deadline: float) -> None:
        self.request = request
        self.token = CancellationToken()
        self.token.deadline = deadline
        self._place = Place.of(request)
        self._lock = threading.Lock()
        self._said = ""
        self._typed = ""

    def join(self, request: CompletionRequest, deadline: float) -> bool:
        """Let ``request`` have the rest of it, if all that was typed since agrees with it so far.

        From then on it ends as soon as it says something else than this request's text.
        """
        if self.token.cancelled or not self._place.surrounds(request):
            return False
        typed = request.text[self._place.offset : request.offset].replace("\r\n", "\n")
        with self._lock:
            if not _agree(self._said, typed):
                return False
            self._typed = typed
            self.token.deadline = max(deadline, self.token.deadline or deadline)
            self.request = request
        return True

    def hear(self, said: str) -> None:
        """Take note of the text so far; where it leaves what was typed, nobody wants the rest."""
        with self._lock:
            self._said = said
            if not _agree(said, self._typed):
                self.token.cancel()


def _agree(said: str, typed: str) -> bool:
    return said.startswith(typed) or typed.startswith(said)
