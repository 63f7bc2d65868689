"""At most one generation for a document, and everybody who waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from functools import partial
from typing import Final

from falcon_lsp.completion.answer import Answer
from falcon_lsp.completion.flight import Flight
from falcon_lsp.completion.service import CompletionService
from falcon_lsp.core.types import CompletionRequest
from falcon_lsp.model.host import EngineHost

logger = logging.getLogger(__name__)

LINGER: Final = 0.12
"""Seconds that a generation goes on after the last who wanted it has withdrawn.

Editors withdraw a request at the next key press, and ask again a moment later.
"""

GRACE: Final = 0.25
"""Seconds after its deadline in which an answer may still be put together."""


class _Run:
    """A generation with what becomes of it: ``answer`` is settled once, early if it is given up."""

    def __init__(self, request: CompletionRequest, deadline: float) -> None:
        self.request = request
        self.flight = Flight(request, deadline)
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting = 0

    def settle(self, answer: Answer) -> None:
        """Give everybody who waits the answer, unless there is one already."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def give_up(self) -> None:
        """End it: who waits is answered at once, the engine stops at its next token."""
        self.flight.token.cancel()
        self.settle(Answer.nothing("cancelled"))


class Generations:
    """Asks the engine for one connection. Belongs to the event loop.

    A request whose text agrees with what a generation of its document says joins it and gets the
    rest; any other ends that generation and begins its own. Nobody waits longer than to the
    deadline of the generation, time in the queue included.
    """

    def __init__(self, host: EngineHost, completion: CompletionService) -> None:
        self._host = host
        self._completion = completion
        self._runs: dict[str, _Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        return bool(self._runs)

    async def ask(self, request: CompletionRequest, seconds: float) -> Answer:
        """Return the engine's answer, the best there is after ``seconds``."""
        deadline = time.monotonic() + seconds
        run = self._runs.get(request.uri)
        if run is not None and run.flight.join(request, deadline):
            joined = await self._joined(run, request)
            if joined is not None:
                return joined
        return await self._wait(self._begin(request, deadline))

    def cancel(self, uri: str) -> None:
        """End the generation for a document, if one runs."""
        if run := self._runs.pop(uri, None):
            run.give_up()

    def cancel_all(self) -> None:
        """End every generation."""
        for uri in list(self._runs):
            self.cancel(uri)

    async def _joined(self, run: _Run, request: CompletionRequest) -> Answer | None:
        """Wait for another request's generation; None when it has to be asked anew."""
        whole = await self._wait(run)
        rest = self._completion.answer_fast(request)
        if rest is not None and rest.suggestions:
            return replace(rest, origin="joined")
        reason = whole.reason or "superseded"
        same = (run.request.text, run.request.offset) == (request.text, request.offset)
        if same or reason == "timed out" or run.flight.request is not request:
            return Answer.nothing(reason)
        return None

    def _begin(self, request: CompletionRequest, deadline: float) -> _Run:
        unwanted = [uri for uri, run in self._runs.items() if not run.waiting]
        for uri in {request.uri, *unwanted}:
            self.cancel(uri)
        run = self._runs[request.uri] = _Run(request, deadline)
        task = asyncio.ensure_future(self._fly(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def _fly(self, run: _Run) -> None:
        flight = run.flight
        job = partial(self._completion.answer, run.request, flight.token, flight.hear)
        try:
            run.settle(await self._host.run(job))
        except Exception:
            logger.exception("the engine could not be asked")
        finally:
            run.settle(Answer.nothing("stopped"))
            if self._runs.get(run.request.uri) is run:
                del self._runs[run.request.uri]

    async def _wait(self, run: _Run) -> Answer:
        run.waiting += 1
        try:
            await asyncio.wait({run.answer}, timeout=run.flight.token.remaining + GRACE)
        finally:
            run.waiting -= 1
            if not run.waiting and not run.answer.done():
                asyncio.get_running_loop().call_later(LINGER, self._drop, run)
        return run.answer.result() if run.answer.done() else Answer.nothing("timed out")

    def _drop(self, run: _Run) -> None:
        if not run.waiting:
            run.give_up()
