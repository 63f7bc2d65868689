"""How messages lie in a byte stream: header lines, an empty line, a body of the length they name.

The rules are strict on purpose. A web page can make a browser send almost any body to a local
port, but not without lines such as ``POST / HTTP/1.1`` or ``Origin:`` before it, so a line that is
not ours ends the connection before anything is read as a message.
"""

from __future__ import annotations

import asyncio
import re

MAX_BODY = 16 * 1024 * 1024
"""Bytes of the largest message that is read."""
MAX_DRAIN = 4 * MAX_BODY
"""Bytes of the largest message that is skipped; beyond it the connection is closed."""
MAX_HEADER_LINE = 256
MAX_HEADER_LINES = 4
STREAM_LIMIT = 1 << 16
"""Bytes that an `asyncio.StreamReader` may hold before its transport is paused."""

_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_TYPE = re.compile(rb"content-type:([^\r\n]*)\r\n", re.IGNORECASE)
_CHARSET = re.compile(rb"charset=\"?([^\s;\"]+)", re.IGNORECASE)


class BadHeader(Exception):
    """The peer does not speak this protocol, or not any more; the connection must be closed."""


class Oversized(Exception):
    """A message larger than `MAX_BODY` came and was skipped; the next one can be read."""


def frame(body: bytes) -> bytes:
    """Return ``body`` with the header that announces it."""
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


async def read_message(stream: asyncio.StreamReader) -> bytes | None:
    """Return the next body, or None at the end of the stream.

    Raises `Oversized` when one was skipped, and `BadHeader` when the stream is of no more use.
    """
    length = await _read_header(stream)
    if length is None:
        return None
    try:
        if length > MAX_BODY:
            await _skip(stream, length)
            raise Oversized
        return await stream.readexactly(length)
    except asyncio.IncompleteReadError:
        return None


async def _read_header(stream: asyncio.StreamReader) -> int | None:
    length: int | None = None
    for _ in range(MAX_HEADER_LINES):
        line = await _read_line(stream)
        if line is None:
            return None
        if line == b"\r\n" and length is not None:
            return length
        if (match := _LENGTH.fullmatch(line)) and length is None:
            length = int(match[1])
        elif not _is_our_content_type(line):
            raise BadHeader("only one Content-Length and Content-Type are allowed")
    raise BadHeader("too many header lines")


async def _read_line(stream: asyncio.StreamReader) -> bytes | None:
    try:
        line = await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        if len(error.partial) > MAX_HEADER_LINE:
            raise BadHeader("a header line is too long") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise BadHeader("a header line is too long") from error
    if len(line) > MAX_HEADER_LINE:
        raise BadHeader("a header line is too long")
    return line


def _is_our_content_type(line: bytes) -> bool:
    if (match := _TYPE.fullmatch(line)) is None:
        return False
    charset = _CHARSET.search(match[1])
    return charset is None or charset[1].lower() in (b"utf-8", b"utf8")


async def _skip(stream: asyncio.StreamReader, length: int) -> None:
    if length > MAX_DRAIN:
        raise BadHeader("a message is too large to be skipped")
    while length > 0:
        chunk = await stream.read(min(length, STREAM_LIMIT))
        if not chunk:
            raise asyncio.IncompleteReadError(b"", length)
        length -= len(chunk)
