"""One connection from its first byte to its last, the same for every transport."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from falcon_lsp.lsp.base import FalconServer
from falcon_lsp.lsp.framing import BadHeader, Oversized
from falcon_lsp.lsp.messages import Code, Refused

MAX_UNSENT = 64 * 1024 * 1024
"""Bytes that may wait for a client that does not read; beyond it the connection is closed."""
AUTHENTICATION_SECONDS = 10.0
"""How long a connection that owes a token may stay silent."""
DRAIN_SECONDS = 2.0
"""How long a client may take to read the last answers."""


class Channel(Protocol):
    """Whole messages over some transport."""

    async def read(self) -> bytes | None:
        """Return the next body, None at the end; raises `Oversized` and `BadHeader`."""

    async def write(self, body: bytes) -> None:
        """Send one body; returns when the transport takes more. Raises `OSError` once closed."""

    async def close(self) -> None:
        """Close both directions; idempotent."""


class Outbox:
    """Bodies on their way out; the writer that pygls sees. `write` may be called by any thread.

    Sending is a task of its own, so a client that reads slowly never holds up a handler.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._waiting = 0

    def write(self, body: bytes) -> None:
        """Queue one body; dropped silently once the loop is gone."""
        with contextlib.suppress(RuntimeError):  # raised by a closed loop
            self._loop.call_soon_threadsafe(self._put, body)

    def close(self) -> None:
        """Let `send_all` return when everything before has been sent."""
        self.write(b"")  # no body is empty

    async def send_all(self, channel: Channel) -> None:
        """Send until closed; returns early when the client is gone or reads nothing."""
        with contextlib.suppress(OSError):
            while self._waiting <= MAX_UNSENT and (body := await self._queue.get()):
                await channel.write(body)
                self._waiting -= len(body)

    def _put(self, body: bytes) -> None:
        self._waiting += len(body)
        self._queue.put_nowait(body)


async def serve_connection(server: FalconServer, channel: Channel) -> int:
    """Serve one client until it leaves; returns the exit code that the protocol asks for."""
    protocol, outbox = server.protocol, Outbox()
    protocol.set_writer(outbox)
    sending = asyncio.create_task(outbox.send_all(channel))
    receiving = asyncio.create_task(_receive_all(server, channel))
    try:
        await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        receiving.cancel()
        await protocol.close()
        server.flush()
        outbox.close()
        await asyncio.wait({sending, receiving}, timeout=DRAIN_SECONDS)
        sending.cancel()
        protocol.writer = None
        await channel.close()
    return protocol.exit_code


async def _receive_all(server: FalconServer, channel: Channel) -> None:
    protocol = server.protocol
    try:
        while not protocol.ended:
            async with asyncio.timeout(AUTHENTICATION_SECONDS if protocol.token else None):
                body = await _next_body(server, channel)
            if body is None:
                return
            protocol.receive(body)
            await asyncio.sleep(0)  # handlers run up to their first await, see `protocol`
    except BadHeader as error:
        server.report("bad_header", str(error))
    except OSError as error:  # a TimeoutError is one, too
        server.report("connection_lost", type(error).__name__)


async def _next_body(server: FalconServer, channel: Channel) -> bytes | None:
    while True:
        try:
            return await channel.read()
        except Oversized as error:
            if server.protocol.token is not None:
                raise BadHeader("a large message before the token") from error
            why = "the message is too large and was skipped"
            server.protocol.refuse(Refused(Code.INVALID_REQUEST, why))
