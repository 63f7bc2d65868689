"""llama.cpp's server as an editor plug-in asks it: the whole prompt as tokens, at each keystroke.

It gets for nothing what our server has to make at each keystroke: context, prompt, tokens. Its
prompt cache is on; answers are streamed, which is how it notices soonest that a connection was
closed (other answers it only looks up from once a second).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keystrokes.recording import Part
from keystrokes.replay import Moment, Withdrawn
from keystrokes.shadow import Question

HOST = "127.0.0.1"
CONTEXT = 2048
START_SECONDS = 60.0
OPTIONS = ("--parallel", "1", "--cache-reuse", "256", "--no-ui", "--log-disable", "--offline")
"""One slot, and chunks of the cache shifted to where they stand now, as llama.vim advises."""

Questions = Mapping[tuple[str, int], Question]
"""What is asked, by the part's path and the step's number."""


class PeerServer:
    """One process of llama.cpp's server."""

    def __init__(self, program: Path, weights: Path, threads: int) -> None:
        self._port = _free_port()
        self._command = [str(program), "--model", str(weights), "--host", HOST,
                         "--port", str(self._port), "--threads", str(threads),
                         "--ctx-size", str(CONTEXT), *OPTIONS]  # fmt: skip
        self._process: Process | None = None

    async def __aenter__(self) -> PeerServer:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=DEVNULL, stderr=DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(self._is_healthy):
            if time.monotonic() > deadline or self._process.returncode is not None:
                raise RuntimeError("llama.cpp's server does not start.")
            await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    @property
    def pid(self) -> int:
        """The process; raises `RuntimeError` before the start."""
        if self._process is None:
            raise RuntimeError("llama.cpp's server was not started.")
        return self._process.pid

    def post(self, body: Mapping[str, Any]) -> Completion:
        """Ask; the answer is awaited with `Completion.result`."""
        return Completion(self._port, body)

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._port}/health", timeout=1) as found:
                return bool(found.status == 200)
        except (urllib.error.URLError, OSError):
            return False


class Completion:
    """One streamed answer over a connection of its own."""

    def __init__(self, port: int, body: Mapping[str, Any]) -> None:
        self._task = asyncio.ensure_future(_stream(port, json.dumps(body).encode()))
        self._closed = False

    async def result(self) -> dict[str, Any]:
        """Return the last message with the whole text as ``content``.

        Raises `Withdrawn` after `close`, and `OSError` when the server left first.
        """
        try:
            return await self._task
        except (asyncio.CancelledError, OSError) as error:
            if self._closed:
                raise Withdrawn from error
            raise

    def close(self) -> None:
        """Close the connection, which tells the server to stop."""
        self._closed = True
        self._task.cancel()


async def _stream(port: int, body: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection(HOST, port, limit=1 << 22)
    head = f"POST /completion HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    try:
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        text = ""
        while line := await reader.readline():
            if not line.startswith(b"data: "):
                continue
            message: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            if "content" not in message:
                raise RuntimeError(f"llama.cpp's server refused: {message}")
            text += message["content"]
            if message["stop"]:
                return {**message, "content": text}
        raise ConnectionError("the answer did not end")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class Peer:
    """llama.cpp's server, in the shape that `keystrokes.replay` types into."""

    def __init__(self, name: str, server: PeerServer, questions: Questions) -> None:
        self.name, self.server, self._questions = name, server, questions

    def open(self, part: Part) -> None:
        """Nothing: it knows no files."""

    def close(self, part: Part) -> None:
        """Nothing: it knows no files."""

    def rest(self, part: Part, text: str, cursor: int) -> None:
        """Nothing: only our server can be told."""

    def ask(self, moment: Moment) -> _Asked | None:
        """Ask what our engine was asked at this keystroke; None where it was asked nothing."""
        question = self._questions.get((moment.part.path, moment.number))
        if question is None:
            return None
        return _Asked(self.server.post(body(question)), moment)


class _Asked:
    def __init__(self, completion: Completion, moment: Moment) -> None:
        self._completion, self._moment = completion, moment

    async def answer(self) -> tuple[str, str, bool | None, int]:
        said = await self._completion.result()
        text = str(said["content"])
        shown = text if text.strip() else ""
        return shown, "", self._moment.is_exact(text), int(said["tokens_predicted"])

    def withdraw(self) -> None:
        self._completion.close()


def body(question: Question) -> dict[str, Any]:
    """Return the request for a question: greedy, as long as ours, up to the same end."""
    return {
        "prompt": question.ids,
        "n_predict": question.max_tokens,
        "stop": ["\n"] if question.single_line else [],
        "temperature": 0.0,
        "cache_prompt": True,
        "stream": True,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
