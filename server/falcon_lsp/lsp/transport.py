"""The ways to reach the server: standard input and output, TCP, WebSocket.

Over stdio the client is whoever started the process. A listening server is open to every process
of the machine, and through a browser to every web page, so there it takes a token before anything
is executed, listens on the loopback interface, and refuses what a browser cannot help sending:
HTTP lines over TCP, an ``Origin`` over WebSocket.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from falcon_lsp.lsp.base import FalconServer
from falcon_lsp.lsp.connection import Channel, serve_connection
from falcon_lsp.lsp.framing import MAX_BODY, STREAM_LIMIT, frame, read_message
from falcon_lsp.lsp.stdio import StdioChannel

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "FALCON_TOKEN"  # noqa: S105 - the name of a variable, not a secret
CLOSE_SECONDS = 1.0
INTERRUPTED = 130
TURN_SECONDS = 0.0005
"""How long a thread that computes in Python may keep the one that answers the editor waiting.

It waits after each read and each write. With Python's own 5 ms, on two busy cores, requests that
were withdrawn at once took four to seven times as long to answer (benchmarks/storms.py, median).
"""

MakeServer = Callable[[], FalconServer]
OnClient = Callable[[Channel], Awaitable[None]]
Listening = Callable[[OnClient, str, int], Awaitable[Any]]


class RemoteRefused(Exception):
    """Asked to listen to other machines without the flag that says so."""


def run_stdio(server: FalconServer) -> int:
    """Serve the process that started this one; returns the exit code."""

    async def serve() -> int:
        return await serve_connection(server, StdioChannel())

    sys.setswitchinterval(TURN_SECONDS)
    try:
        return asyncio.run(serve())
    except KeyboardInterrupt:
        return INTERRUPTED


def run_tcp(
    make_server: MakeServer,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    *,
    allow_remote: bool = False,
) -> int:
    """Listen until interrupted, with a new server from ``make_server`` for each connection.

    The token is ``token``, else `TOKEN_VARIABLE` of the environment, else a new one, which is then
    printed on standard error with the address. Raises `RemoteRefused` when ``host`` is not the
    loopback interface and ``allow_remote`` is not set.
    """
    return _run(make_server, _listen_tcp, host, port, token, allow_remote)


def run_ws(
    make_server: MakeServer,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    *,
    allow_remote: bool = False,
) -> int:
    """Do the same as `run_tcp` over WebSocket: one message per frame, no headers."""
    return _run(make_server, _listen_ws, host, port, token, allow_remote)


class TcpChannel:
    """A client that connected over TCP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes | None:
        """Return the next body, None at the end; raises `Oversized` and `BadHeader`."""
        return await read_message(self._reader)

    async def write(self, body: bytes) -> None:
        """Send one body; raises `ConnectionError` when the client is gone."""
        self._writer.write(frame(body))
        await self._writer.drain()

    async def close(self) -> None:
        """Close both directions, by force when the client does not take what is left."""
        self._writer.close()
        with contextlib.suppress(OSError):  # a TimeoutError is one, too
            await asyncio.wait_for(self._writer.wait_closed(), CLOSE_SECONDS)
        self._writer.transport.abort()


class WebSocketChannel:
    """A client that connected over WebSocket; the library limits the size of messages."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    async def read(self) -> bytes | None:
        """Return the next body, None at the end."""
        from websockets.exceptions import ConnectionClosed

        try:
            return await self._socket.recv(decode=False)
        except ConnectionClosed:
            return None

    async def write(self, body: bytes) -> None:
        """Send one body; raises `ConnectionError` when the client is gone."""
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(body, text=True)
        except ConnectionClosed as error:
            raise ConnectionError from error

    async def close(self) -> None:
        """Close both directions."""
        await self._socket.close()


def _run(
    make_server: MakeServer,
    listen: Listening,
    host: str,
    port: int,
    token: str | None,
    allow_remote: bool,
) -> int:
    if not (allow_remote or _is_loopback(host)):
        raise RemoteRefused(
            f"{host} can be reached from other machines: listen on 127.0.0.1, or allow remote"
            " clients explicitly"
        )
    given = token or os.environ.get(TOKEN_VARIABLE)
    needed = given or secrets.token_urlsafe(32)

    async def on_client(channel: Channel) -> None:
        try:
            server = make_server()
            server.protocol.token = needed
            await serve_connection(server, channel)
        except Exception as error:  # noqa: BLE001 - one client's end is not the others'
            logger.warning("a connection failed: %s", type(error).__name__)
        finally:
            await channel.close()

    async def serve() -> None:
        listener = await listen(on_client, host, port)
        _announce(listener.sockets, "" if given else f" token={needed}")
        try:
            await listener.serve_forever()
        finally:
            listener.close()

    sys.setswitchinterval(TURN_SECONDS)
    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        sys.stderr.write(f"falcon-lsp: cannot listen on {host}:{port}: {error.strerror}\n")
        return 1
    return 0


async def _listen_tcp(on_client: OnClient, host: str, port: int) -> asyncio.Server:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await on_client(TcpChannel(reader, writer))

    return await asyncio.start_server(connected, host, port, limit=STREAM_LIMIT)


async def _listen_ws(on_client: OnClient, host: str, port: int) -> Any:
    from websockets.asyncio.server import serve

    async def connected(socket: ServerConnection) -> None:
        await on_client(WebSocketChannel(socket))

    quiet = logging.getLogger(f"{__name__}.handshakes")
    quiet.setLevel(logging.CRITICAL)  # a refused handshake is logged with its stack trace
    return await serve(
        connected, host, port, origins=[None], compression=None, max_size=MAX_BODY, logger=quiet
    )


def _announce(sockets: Sequence[Any], suffix: str) -> None:
    host, port = next(iter(sockets)).getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    sys.stderr.write(f"falcon-lsp: listening on {shown}:{port}{suffix}\n")
    sys.stderr.flush()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
