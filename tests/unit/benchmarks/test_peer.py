"""Facts about asking llama.cpp's server: what is sent and read, and that leaving is noticed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from keystrokes.peer import HOST, Completion, Peer, body
from keystrokes.recording import Part, Step
from keystrokes.replay import Moment, Withdrawn
from keystrokes.shadow import Question

ORIGINAL = "value = 12\n"
PART = Part("package", "m.py", ORIGINAL, ((8, 10),), 0.0, ())
MOMENT = Moment(PART, 3, Step(0.0, 8, 0, (8, 9), 9, 9), "value = \n", "value = 1\n")
LINE = Question((5, 6, 7), 48, single_line=True)


class Said:
    """What the stand-in was asked, and whether the connection was closed before it had ended."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.asked, self.left = asyncio.Event(), asyncio.Event()


@asynccontextmanager
async def server(messages: Sequence[dict[str, Any]], *, ends: bool = True) -> AsyncIterator[Any]:
    """Stream ``messages`` in chunks, as llama.cpp's server does."""
    said = Said()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        (length,) = (line[16:] for line in head.split("\r\n") if line.startswith("Content-Length"))
        said.bodies.append(json.loads(await reader.readexactly(int(length))))
        said.asked.set()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for message in messages:
            event = f"data: {json.dumps(message)}\n\n".encode()
            writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        if not ends:
            await reader.read()
            said.left.set()
        writer.close()

    listening = await asyncio.start_server(serve, HOST, 0)
    try:
        yield listening.sockets[0].getsockname()[1], said
    finally:
        listening.close()


class At:
    """A server at a port, as `Peer` uses one."""

    def __init__(self, port: int) -> None:
        self.port = port

    def post(self, asked: dict[str, Any]) -> Completion:
        return Completion(self.port, asked)


STREAM = [
    {"content": "", "stop": False},
    {"content": "2 +", "stop": False},
    {"content": " 3", "stop": False},
    {"content": "", "stop": True, "tokens_predicted": 4, "timings": {"predicted_per_second": 9}},
]


async def test_the_pieces_of_an_answer_are_put_together() -> None:
    async with server(STREAM) as (port, said):
        found = await Completion(port, {"prompt": [1]}).result()
    assert said.bodies == [{"prompt": [1]}]
    assert found["content"] == "2 + 3"
    assert found["timings"] == {"predicted_per_second": 9}


async def test_a_withdrawn_question_closes_its_connection() -> None:
    async with server(STREAM[:2], ends=False) as (port, said):
        asked = Peer("peer", At(port), {("m.py", 3): LINE}).ask(MOMENT)
        answer = asyncio.create_task(asked.answer())
        await said.asked.wait()
        asked.withdraw()
        with pytest.raises(Withdrawn):
            await answer
        await asyncio.wait_for(said.left.wait(), 5)


async def test_an_answer_without_an_end_is_an_error_for_a_measurement() -> None:
    async with server(STREAM[:2]) as (port, _):
        with pytest.raises(ConnectionError, match="did not end"):
            await Completion(port, {}).result()


@pytest.mark.parametrize(("content", "shown", "exact"), [("2", "2", True), ("", "", False)])
async def test_the_answer_is_judged_as_ours_is(content: str, shown: str, exact: bool) -> None:
    async with server([{"content": content, "stop": True, "tokens_predicted": 1}]) as (port, _):
        asked = Peer("peer", At(port), {("m.py", 3): LINE}).ask(MOMENT)
        assert await asked.answer() == (shown, "", exact, 1)


def test_where_our_engine_was_asked_nothing_nobody_is() -> None:
    assert Peer("peer", At(0), {("m.py", 4): LINE}).ask(MOMENT) is None


@pytest.mark.parametrize(("single_line", "stop"), [(True, ["\n"]), (False, [])])
def test_the_request_ends_where_ours_does(single_line: bool, stop: list[str]) -> None:
    sent = body(Question((1, 2), 48, single_line))
    assert (sent["prompt"], sent["n_predict"], sent["stop"]) == ((1, 2), 48, stop)
    assert (sent["temperature"], sent["cache_prompt"], sent["stream"]) == (0.0, True, True)
