"""Standard input and output as a channel, on two daemon threads of their own.

Daemon threads, because a read or write that never returns must not keep the process alive; their
own, because a handler that fills a shared pool must not keep messages from being read.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from falcon_lsp.lsp.framing import STREAM_LIMIT, frame, read_message

CHUNK = 1 << 18


class StdioChannel:
    """The client that started this process. Must be created on the event loop, once.

    From then on the descriptors 0 and 1 belong to nobody: what a library prints goes to standard
    error and cannot garble the protocol, and a child process cannot eat the client's messages.
    """

    def __init__(self) -> None:
        source, self._sink = _claim_descriptors()
        self._input = _Feed(source)
        self._writer = _Worker("falcon-stdout")
        self._feeding = asyncio.create_task(self._input.feed())

    async def read(self) -> bytes | None:
        """Return the next body, None at the end; raises `Oversized` and `BadHeader`."""
        return await read_message(self._input.stream)

    async def write(self, body: bytes) -> None:
        """Send one body; raises `BrokenPipeError` when nobody reads any more."""
        await self._writer.call(_write_all, self._sink, frame(body))

    async def close(self) -> None:
        """Stop reading; the descriptors end with the process."""
        self._feeding.cancel()


class _Feed(asyncio.ReadTransport):
    """Fills ``stream`` from a descriptor, no faster than it is read."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.stream = asyncio.StreamReader(limit=STREAM_LIMIT)
        self.stream.set_transport(self)
        self._descriptor = descriptor
        self._reader = _Worker("falcon-stdin")
        self._room = asyncio.Event()
        self._room.set()

    def pause_reading(self) -> None:
        """Called by the stream when it is full."""
        self._room.clear()

    def resume_reading(self) -> None:
        """Called by the stream when there is room again."""
        self._room.set()

    async def feed(self) -> None:
        """Run until the end of the input, which an error is, too."""
        try:
            while chunk := await self._reader.call(os.read, self._descriptor, CHUNK):
                self.stream.feed_data(chunk)
                await self._room.wait()
        except OSError:
            pass
        finally:
            self.stream.feed_eof()


class _Worker:
    """A daemon thread that runs blocking calls, one after the other."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], Any]]
        self._jobs = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what ``function`` returns, raise what it raises."""
        future: Future[Any] = Future()
        self._jobs.put((future, function, args))
        return await asyncio.wrap_future(future)

    def _run(self) -> None:
        while True:
            future, function, args = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function(*args))
            except Exception as error:  # noqa: BLE001 - raised again where it is awaited
                future.set_exception(error)


def _claim_descriptors() -> tuple[int, int]:
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
