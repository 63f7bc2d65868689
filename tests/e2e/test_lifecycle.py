"""The order of a connection's life: what is allowed when, and how the process ends."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.raw_peer import STDIO_SERVERS, TINY, ServerProcess, call, encode, initialize
from e2e.tiny_server import make_server
from falcon_lsp.lsp.connection import serve_connection

STEPS = {
    "initialize": initialize(),
    "initialized": call("initialized", {}),
    "request": call("test/echo", {}),
    "unknown": call("no/such/method"),
    "wrong": call("textDocument/inlineCompletion", {"a": 1}),
    "notification": call("textDocument/didClose", {"textDocument": {"uri": "a"}}),
    "cancel": call("$/cancelRequest", {"id": 77}),
    "shutdown": call("shutdown"),
    "exit": call("exit"),
}
REQUESTS = ("initialize", "request", "unknown", "wrong", "shutdown")
WHEN_READY = {"initialize": -32600, "request": 0, "unknown": -32601, "wrong": -32602, "shutdown": 0}


class MemoryChannel:
    """A client that says what is in a list, waiting for each answer that is due."""

    def __init__(self, bodies: list[tuple[bytes, bool]]) -> None:
        self.bodies = iter(bodies)
        self.said: list[dict] = []
        self.news = asyncio.Event()
        self.owed = 0

    async def read(self) -> bytes | None:
        while len(self.said) < self.owed:
            self.news.clear()
            await self.news.wait()
        body, answered = next(self.bodies, (None, False))
        self.owed += answered
        return body

    async def write(self, body: bytes) -> None:
        self.said.append(json.loads(body))
        self.news.set()

    async def close(self) -> None:
        pass


def expected(steps: tuple[str, ...]) -> tuple[list[int], int]:
    """The codes (0 for a result) of the answers, and the exit code: the life cycle, told again."""
    state, codes = "new", []
    for step in steps:
        if step == "exit":
            break
        if step in REQUESTS:
            if state == "shut down":
                codes.append(-32600)
            elif state == "new":
                codes.append(0 if step == "initialize" else -32002)
            else:
                codes.append(WHEN_READY[step])
        if step == "initialize" and state == "new":
            state = "ready"
        elif step == "shutdown" and state == "ready":
            state = "shut down"
    return codes, 0 if state == "shut down" else 1


@pytest.mark.parametrize("before", [(), ("initialize",), ("initialize", "shutdown")], ids=str)
async def test_every_pair_of_messages_is_answered_as_the_life_cycle_says(
    before: tuple[str, ...],
) -> None:
    for pair in itertools.product(STEPS, repeat=2):
        steps = (*before, *pair)
        bodies = [
            (encode(STEPS[step] | ({"id": i} if step in REQUESTS else {})), step in REQUESTS)
            for i, step in enumerate(steps)
        ]
        channel = MemoryChannel(bodies)
        exit_code = await serve_connection(make_server(), channel)
        codes = [message.get("error", {"code": 0})["code"] for message in channel.said]
        assert (codes, exit_code) == expected(steps), steps
        ids = [message["id"] for message in channel.said]
        assert ids == [i for i, step in enumerate(steps) if step in REQUESTS][: len(ids)], steps


@pytest.fixture(params=STDIO_SERVERS)
def command(request: pytest.FixtureRequest) -> list[str]:
    return STDIO_SERVERS[request.param]


def test_before_initialize_and_after_shutdown_requests_are_refused(
    command: list[str], tmp_path: Path
) -> None:
    with ServerProcess(command, tmp_path) as server:
        server.send(call("shutdown", None, "early"))
        assert server.answer("early")["error"]["code"] == -32002
        server.start()
        assert server.ask("shutdown")["result"] is None
        assert server.ask("no/such/method")["error"]["code"] == -32600
        server.send(call("exit"))
        assert server.exit_code() == 0


@pytest.mark.parametrize(
    ("last_words", "code"),
    [
        (["shutdown", "exit"], 0),
        (["shutdown"], 0),
        (["exit"], 1),
        ([], 1),
    ],
)
def test_the_exit_code_tells_whether_the_client_took_leave(
    command: list[str], tmp_path: Path, last_words: list[str], code: int
) -> None:
    with ServerProcess(command, tmp_path) as server:
        server.start()
        for word in last_words:
            if word == "shutdown":
                server.ask("shutdown")
            else:
                server.send(call("exit"))
        if "exit" not in last_words:
            server.close_stdin()
        assert server.exit_code() == code
        assert "Traceback" not in server.log()


def test_a_failed_initialize_may_be_tried_again(command: list[str], tmp_path: Path) -> None:
    with ServerProcess(command, tmp_path) as server:
        server.send(call("initialize", {"capabilities": 3}, "bad"))
        assert server.answer("bad")["error"]["code"] == -32602
        server.start()


@pytest.fixture
def flushed(tmp_path: Path) -> Path:
    return tmp_path / "flushed"


@pytest.fixture
def tiny(tmp_path: Path, flushed: Path) -> Iterator[ServerProcess]:
    with ServerProcess([*TINY, "stdio"], tmp_path, TINY_FLUSHED=str(flushed)) as server:
        yield server.start()


def test_shutdown_is_answered_after_flushing(tiny: ServerProcess, flushed: Path) -> None:
    assert not flushed.exists()
    tiny.ask("shutdown")
    assert flushed.exists()


def test_the_end_of_input_answers_what_runs_and_flushes(tiny: ServerProcess, flushed: Path) -> None:
    tiny.send(*(call("test/wait", {}, i) for i in range(1, 11)))
    tiny.close_stdin()
    assert tiny.exit_code() == 1
    tiny.wait_end()
    assert [tiny.answer(i)["error"]["code"] for i in range(1, 11)] == [-32800] * 10
    assert flushed.read_text() == "x\n"


def test_shutdown_answers_what_runs(tiny: ServerProcess) -> None:
    tiny.send(call("test/wait", {}, 1), call("shutdown", None, 2))
    assert tiny.answer(1)["error"]["code"] == -32800
    assert tiny.answer(2)["result"] is None


def test_a_client_that_dies_in_the_middle_of_a_message_ends_the_process(
    tiny: ServerProcess, flushed: Path
) -> None:
    tiny.send_bytes(b"Content-Length: 500\r\n\r\n{")
    tiny.close_stdin()
    assert tiny.exit_code() == 1
    assert flushed.exists()
