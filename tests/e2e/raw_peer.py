"""Peers that speak bytes: they can say what no client library would."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

TINY = [sys.executable, str(Path(__file__).with_name("tiny_server.py"))]
REAL = [sys.executable, "-m", "falcon_lsp", "serve", "--stdio"]
STDIO_SERVERS = {"tiny": [*TINY, "stdio"], "real": REAL}
"""Commands of the servers that every protocol test runs against."""

PATIENCE = 30.0
LISTENING = re.compile(r"falcon-lsp: listening on ([\d.]+):(\d+)(?: token=(\S+))?\n")


def frame(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def encode(message: Any) -> bytes:
    return json.dumps(message).encode()


def call(method: str, params: Any = None, msg_id: Any = None) -> dict[str, Any]:
    """A request, or a notification without an id."""
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if msg_id is None else {**message, "id": msg_id}


def initialize(msg_id: Any = 0, **options: Any) -> dict[str, Any]:
    params = {"processId": None, "rootUri": None, "capabilities": {}}
    settings = {"engine": "fake", **options}
    return call("initialize", {**params, "initializationOptions": settings}, msg_id)


class RawPeer:
    """Sends bytes; a thread collects every message that comes back."""

    def __init__(self, source: BinaryIO, send: Callable[[bytes], object]) -> None:
        self.messages: list[dict[str, Any]] = []
        self.ended = False
        self._source = source
        self._send = send
        self._news = threading.Condition()
        threading.Thread(target=self._collect, daemon=True).start()

    def send_bytes(self, data: bytes) -> None:
        self._send(data)

    def send_body(self, body: bytes) -> None:
        self._send(frame(body))

    def send(self, *messages: Any) -> None:
        self._send(b"".join(frame(encode(message)) for message in messages))

    def wait_until(self, holds: Callable[[], Any]) -> Any:
        """Wait for what `holds` returns to be true, looking at each new message."""
        with self._news:
            assert self._news.wait_for(lambda: holds() or self.ended, PATIENCE), "no answer came"
            return holds()

    def answers(self, msg_id: Any) -> list[dict[str, Any]]:
        return [m for m in self.messages if "method" not in m and m["id"] == msg_id]

    def answer(self, msg_id: Any) -> dict[str, Any]:
        """Wait for the answer with an id and return it."""
        assert self.wait_until(lambda: self.answers(msg_id)), "ended without an answer"
        return self.answers(msg_id)[0]

    def ask(self, method: str, params: Any = None, msg_id: Any = None) -> dict[str, Any]:
        msg_id = msg_id or f"ask-{len(self.messages)}-{method}"
        self.send(call(method, params, msg_id))
        return self.answer(msg_id)

    def wait_end(self) -> None:
        self.wait_until(lambda: self.ended)

    def popups(self) -> list[dict[str, Any]]:
        return [m for m in self.messages if str(m.get("method")).startswith("window/show")]

    def _collect(self) -> None:
        try:
            while header := self._source.readline():
                length = int(header.removeprefix(b"Content-Length: "))
                self._source.readline()
                body = json.loads(self._source.read(length))
                with self._news:
                    self.messages.append(body)
                    self._news.notify_all()
        except OSError:
            pass
        with self._news:
            self.ended = True
            self._news.notify_all()


class ServerProcess(RawPeer):
    """A server on stdio; what it writes to standard error lies in a file."""

    def __init__(self, command: list[str], folder: Path, **env: str) -> None:
        self.stderr_path = folder / "stderr.txt"
        self.stderr = self.stderr_path.open("wb")
        stores = {"FALCON_DATA_DIR": str(folder / "data"), "FALCON_CACHE_DIR": str(folder / "c")}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env={**os.environ, **stores, **env},
        )
        assert self.process.stdin
        assert self.process.stdout
        super().__init__(self.process.stdout, self._write)

    def _write(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def start(self) -> ServerProcess:
        """Do the handshake."""
        self.send(initialize())
        assert "result" in self.answer(0)
        self.send(call("initialized", {}))
        return self

    def close_stdin(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE)

    def log(self) -> str:
        return self.stderr_path.read_text()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.stderr.close()


class Listener:
    """A server process that listens on a port of its own choice."""

    def __init__(self, transport: str, *arguments: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [*TINY, transport, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )
        assert self.process.stderr
        self.line = self.process.stderr.readline()
        found = LISTENING.fullmatch(self.line)
        assert found, self.line
        self.host, self.port, self.token = found[1], int(found[2]), found[3]

    def connect(self) -> RawPeer:
        connection = socket.create_connection((self.host, self.port), PATIENCE)
        return RawPeer(connection.makefile("rb"), connection.sendall)

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
