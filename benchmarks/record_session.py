"""Records a real editing session: stands between an editor and the server and writes what passes.

Set it as the editor's server command, with the file and the server behind it::

    python benchmarks/record_session.py SESSION.jsonl falcon-lsp serve --stdio

The file holds source text: it is the developer's own, readable by the owner only, and stays where
it is. ``benchmarks/agreement.py SESSION.jsonl`` compares what the server infers of it with what
the extension reported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Any

FOLLOWED = frozenset(
    f"textDocument/{name}" for name in ("didOpen", "didChange", "didClose", "inlineCompletion")
) | {"workspace/executeCommand", "falcon/feedback"}


class Recorder:
    """Writes what a replay needs, one JSON object a line; any thread may call it."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._asked: set[Any] = set()

    def client(self, message: dict[str, Any]) -> None:
        """Take in what the editor sent."""
        if message.get("method") in FOLLOWED:
            if message["method"].endswith("inlineCompletion"):
                self._asked.add(message["id"])
            self._write("client", message)

    def server(self, message: dict[str, Any]) -> None:
        """Take in what the server sent: answers that hold suggestions."""
        if "method" not in message and message.get("id") in self._asked:
            self._asked.discard(message["id"])
            self._write("server", message)

    def _write(self, who: str, message: dict[str, Any]) -> None:
        entry = {"time": round(time.time(), 4), "from": who, "message": message}
        with self._lock:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()


def pump(source: IO[bytes], sink: IO[bytes], take: Callable[[dict[str, Any]], None]) -> None:
    """Pass messages on as they come, each taken in before it is passed on, until the end."""
    while header := _read_header(source):
        length = next(
            int(line.split(b":")[1])
            for line in header.splitlines()
            if line.lower().startswith(b"content-length:")
        )
        body = source.read(length)
        take(json.loads(body))
        sink.write(header + body)
        sink.flush()
    sink.close()


def _read_header(source: IO[bytes]) -> bytes:
    header = b""
    while line := source.readline():
        header += line
        if line == b"\r\n":
            return header
    return b""


def main() -> int:
    """Run the server behind the recorder; returns its exit code."""
    path, *command = sys.argv[1:]
    opener = lambda name, flags: os.open(name, flags, 0o600)  # noqa: E731 - as open() wants it
    with (
        open(path, "a", encoding="utf-8", opener=opener) as file,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server,
    ):
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the server has no pipes")
        recorder = Recorder(file)
        ahead = (sys.stdin.buffer, server.stdin, recorder.client)
        threading.Thread(target=pump, args=ahead, daemon=True).start()
        pump(server.stdout, sys.stdout.buffer, recorder.server)
        return server.wait()


if __name__ == "__main__":
    sys.exit(main())
