"""Listening servers: who is let in, and what happens to who is not."""

import base64
import contextlib
import http.client
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from e2e.raw_peer import TINY, Listener, ServerProcess, call, encode, frame, initialize
from falcon_lsp.lsp.base import FalconServer
from falcon_lsp.lsp.transport import RemoteRefused, run_tcp, run_ws

CASES = 500
MARK = call("test/mark")


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file in which an executed `test/mark` leaves a line."""
    return tmp_path_factory.mktemp("marks") / "marks"


@pytest.fixture(scope="module")
def tcp(marks: Path) -> Iterator[Listener]:
    with Listener("tcp", TINY_MARKED=str(marks)) as listener:
        yield listener


@pytest.fixture(scope="module")
def ws(marks: Path) -> Iterator[Listener]:
    with Listener("ws", TINY_MARKED=str(marks)) as listener:
        yield listener


@pytest.fixture(autouse=True)
def no_marks(marks: Path) -> None:
    marks.unlink(missing_ok=True)


def abusive_headers() -> Iterator[bytes]:
    """Header blocks that look like a browser's, or like nothing at all."""
    rng = random.Random("headers")
    verbs = [b"POST", b"GET", b"PUT", b"OPTIONS", b"CONNECT", b"\x16\x03\x01", b"PRI"]
    lines = [
        b"Host: localhost:80",
        b"Origin: https://example.org",
        b"Cookie: a=b",
        b"Content-Type: text/plain; charset=latin-1",
        b"Transfer-Encoding: chunked",
        b"Upgrade: websocket",
        b"X-Header: " + b"x" * 300,
        b": empty",
        b"no colon",
        b"\x00\xff",
    ]
    lengths = [
        b"-5",
        b"+5",
        b"0x10",
        b"1e3",
        b"",
        b" ",
        b"5 5",
        b"\xd9\xa5",
        b"9" * 30,
        b"5;",
        b"NaN",
    ]
    while True:
        good = b"Content-Length: %d\r\n" % rng.randrange(1, 500)
        kind = rng.randrange(6)
        if kind == 0:
            path = b"/" + bytes(rng.choices(b"abcdef/", k=rng.randrange(9)))
            first = rng.choice(verbs) + b" " + path + b" HTTP/1.1\r\n"
            yield first + b"".join(f + b"\r\n" for f in rng.sample(lines, 3)) + good + b"\r\n"
        elif kind == 1:
            block = [good, rng.choice(lines) + b"\r\n"]
            rng.shuffle(block)
            yield b"".join(block) + b"\r\n"
        elif kind == 2:
            yield b"Content-Length: " + rng.choice(lengths) + b"\r\n\r\n"
        elif kind == 3:
            yield (
                rng.choice([good * 2, good.replace(b"\r", b""), b"\r\n" + good, b" " + good])
                + b"\r\n"
            )
        elif kind == 4:
            yield b"Content-Length: %d\r\n\r\n" % rng.randrange(1 << 26, 1 << 59)
        else:
            yield rng.randbytes(rng.randrange(1, 70_000)) + b"\n"


def test_no_abuse_of_headers_gets_a_message_executed(tcp: Listener, marks: Path) -> None:
    smuggled = frame(encode(initialize(token=tcp.token))) + frame(encode(MARK))
    for header in itertools.islice(abusive_headers(), CASES):
        peer = tcp.connect()
        with contextlib.suppress(ConnectionError):  # closed before everything was sent
            peer.send_bytes(header + smuggled)
        peer.wait_end()
        assert peer.messages == [], header
    assert not marks.exists()
    assert_serves(tcp, marks)


def assert_serves(listener: Listener, marks: Path) -> None:
    """The listener still serves a client that does as it should."""
    peer = listener.connect()
    peer.send(initialize(token=listener.token), MARK)
    peer.ask("test/echo", {})
    assert marks.read_text() == "x\n"


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Length: 99999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
        b"Origin: null\r\n",
        b"x" * 100_000 + b"\n",
    ],
)
def test_abuse_of_headers_on_stdio_ends_the_process_in_good_order(
    tmp_path: Path, header: bytes
) -> None:
    flushed = tmp_path / "flushed"
    with ServerProcess([*TINY, "stdio"], tmp_path, TINY_FLUSHED=str(flushed)) as server:
        server.start()
        server.send_bytes(header)
        assert server.exit_code() == 1
        assert "Traceback" not in server.log()
        assert flushed.exists()


def test_a_web_page_s_post_executes_nothing(tcp: Listener, marks: Path) -> None:
    body = frame(encode(initialize(token=tcp.token))) + frame(encode(MARK))
    connection = http.client.HTTPConnection(tcp.host, tcp.port, timeout=30)
    with contextlib.suppress(ConnectionError):  # closed before everything was sent
        connection.request("POST", "/", body, {"Origin": "https://example.org"})
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()
    assert not marks.exists()
    assert_serves(tcp, marks)


WRONG_TOKENS: list[Any] = ["", "wrong", "é", "\ud800", 7, None, True, ["x"], {"a": 1}]


@pytest.mark.parametrize("token", WRONG_TOKENS, ids=ascii)
def test_a_wrong_token_is_told_and_ends_the_connection(
    tcp: Listener, marks: Path, token: Any
) -> None:
    peer = tcp.connect()
    peer.send(initialize(1, token=token), initialize(2, token=tcp.token), MARK)
    peer.wait_end()
    assert [m["id"] for m in peer.messages] == [1]
    assert "token" in peer.messages[0]["error"]["message"]
    assert not marks.exists()


@pytest.mark.parametrize(
    "first",
    [
        encode(MARK),
        encode(call("test/echo", {}, 1)),
        encode(call("initialize", [], 1)),
        encode(call("initialize", {"capabilities": {}}, 1)),
        encode(call("initialized", {})),
        encode(call("exit")),
        encode({"jsonrpc": "2.0", "id": 1, "result": None}),
        b"broken",
        b"",
        b"[]",
        b"x" * (17 << 20),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_nothing_comes_before_the_token(tcp: Listener, marks: Path, first: bytes) -> None:
    peer = tcp.connect()
    with contextlib.suppress(ConnectionError):  # closed before everything was sent
        peer.send_body(first)
        peer.send(initialize(2, token=tcp.token), MARK)
    peer.wait_end()
    assert all("error" in message for message in peer.messages)
    assert not marks.exists()


def test_connections_have_servers_of_their_own_and_end_alone(tcp: Listener, marks: Path) -> None:
    first, second = tcp.connect(), tcp.connect()
    for peer in (first, second):
        peer.send(initialize(token=tcp.token))
        assert "result" in peer.answer(0)
    first.ask("shutdown")
    first.send(call("exit"))
    first.wait_end()
    assert second.ask("test/echo", {"a": 1})["result"] == {"a": 1}
    second.send_bytes(b"Content-Length: 50\r\n\r\n{")
    assert_serves(tcp, marks)


def test_the_token_comes_from_the_environment_and_is_then_not_printed(marks: Path) -> None:
    token = base64.b32encode(random.randbytes(20)).decode()
    with Listener("tcp", FALCON_TOKEN=token, TINY_MARKED=str(marks)) as listener:
        assert token not in listener.line
        assert listener.token is None
        listener.token = token
        assert_serves(listener, marks)


@pytest.mark.parametrize("run", [run_tcp, run_ws])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_listening_to_other_machines_needs_the_flag(run: Any, host: str) -> None:
    with pytest.raises(RemoteRefused, match="allow remote"):
        run(FalconServer, host, 0)


def test_a_port_that_is_taken_is_told_in_one_line(tcp: Listener) -> None:
    code = f"from falcon_lsp.lsp.transport import *; exit(run_tcp(None, port={tcp.port}))"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"falcon-lsp: cannot listen on 127.0.0.1:{tcp.port}: ")
    assert ended.stderr.count("\n") == 1


def say(socket: Any, *messages: Any) -> None:
    for message in messages:
        socket.send(json.dumps(message))


def test_a_websocket_client_with_the_token_is_served(ws: Listener, marks: Path) -> None:
    with connect(f"ws://{ws.host}:{ws.port}") as socket:
        say(socket, initialize(token=ws.token))
        assert "result" in json.loads(socket.recv(30))
        socket.send(encode(MARK))
        say(socket, call("test/echo", {"text": "é😀"}, 1))
        assert json.loads(socket.recv(30))["result"] == {"text": "é😀"}
        say(socket, call("shutdown", None, 2), call("exit"))
        assert json.loads(socket.recv(30))["id"] == 2
        with pytest.raises(ConnectionClosed):
            socket.recv(30)
    assert marks.exists()


@pytest.mark.parametrize("origin", ["https://example.org", "http://localhost", "null", "file://"])
def test_a_websocket_handshake_with_an_origin_is_refused(ws: Listener, origin: str) -> None:
    address = f"ws://{ws.host}:{ws.port}"
    with pytest.raises(InvalidStatus) as refused, connect(address, origin=origin):  # type: ignore[arg-type]
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_websocket_client_without_the_token_is_told_and_closed(
    ws: Listener, marks: Path, token: str | None
) -> None:
    with connect(f"ws://{ws.host}:{ws.port}") as socket:
        say(socket, initialize(1, token=token), MARK)
        assert "token" in json.loads(socket.recv(30))["error"]["message"]
        with pytest.raises(ConnectionClosed):
            socket.recv(30)
    assert not marks.exists()


def test_a_websocket_message_too_large_ends_its_connection_only(ws: Listener, marks: Path) -> None:
    with connect(f"ws://{ws.host}:{ws.port}", compression=None) as socket:
        with contextlib.suppress(ConnectionClosed):  # closed before everything was sent
            socket.send(b"x" * (17 << 20))
        with pytest.raises(ConnectionClosed):
            socket.recv(30)
    with connect(f"ws://{ws.host}:{ws.port}") as socket:
        say(socket, initialize(token=ws.token))
        assert "result" in json.loads(socket.recv(30))
