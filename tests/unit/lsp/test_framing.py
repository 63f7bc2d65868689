"""Header rules and size limits of the byte stream."""

import asyncio

import pytest

from falcon_lsp.lsp import framing
from falcon_lsp.lsp.framing import BadHeader, Oversized, frame, read_message


async def read_all(data: bytes) -> list[object]:
    """Everything that can be read from a stream; the refusals in their places."""
    stream = asyncio.StreamReader(limit=framing.STREAM_LIMIT)
    stream.feed_data(data)
    stream.feed_eof()
    found: list[object] = []
    while True:
        try:
            if (body := await read_message(stream)) is None:
                return found
            found.append(body)
        except Oversized:
            found.append(Oversized)
        except BadHeader:
            return [*found, BadHeader]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (frame(b"{}") + frame(b"[1]"), [b"{}", b"[1]"]),
        (b"Content-Length: 0\r\n\r\n" + frame(b"1"), [b"", b"1"]),
        (b"content-length:2\r\n\r\n{}", [b"{}"]),
        (b"Content-Type: x; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}", [b"{}"]),
        (b"Content-Length: 2\r\nContent-Type: x; charset=UTF8\r\n\r\n{}", [b"{}"]),
        (b"Content-Length: 2\r\nContent-Type: application/vscode-jsonrpc\r\n\r\n{}", [b"{}"]),
        (b"", []),
        (b"Content-Le", []),
        (b"Content-Length: 2\r\n", []),
        (b"Content-Length: 5\r\n\r\n{}", []),
        (b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", [BadHeader]),
        (b"Content-Length: 2\r\nContent-Type: x; charset=latin-1\r\n\r\n{}", [BadHeader]),
        (b"Content-Length: 2\n\n{}", [BadHeader]),
        (b"\r\nContent-Length: 2\r\n\r\n{}", [BadHeader]),
        (frame(b"{}") + b"GET / HTTP/1.1\r\n\r\n", [b"{}", BadHeader]),
        (b"Content-Length: -2\r\n\r\n{}", [BadHeader]),
        (b"Content-Length: 99999999999999\r\n\r\n{}", [BadHeader]),
        (b"Content-Length: " + b"9" * 200 + b"\r\n\r\n{}", [BadHeader]),
        (b"X" * 100_000, [BadHeader]),
        (b"Content-Type: x\r\n" * 9, [BadHeader]),
    ],
)
async def test_only_our_own_header_lines_are_read(data: bytes, expected: list[object]) -> None:
    assert await read_all(data) == expected


async def test_a_modest_excess_is_skipped_and_the_next_message_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(framing, "MAX_BODY", 10)
    monkeypatch.setattr(framing, "MAX_DRAIN", 20)
    data = frame(b"x" * 10) + frame(b"x" * 11) + frame(b"y") + frame(b"x" * 20) + frame(b"z")
    assert await read_all(data) == [b"x" * 10, Oversized, b"y", Oversized, b"z"]
    assert await read_all(frame(b"y") + frame(b"x" * 21) + frame(b"z")) == [b"y", BadHeader]
    assert await read_all(frame(b"x" * 15)[:-1]) == []
