"""What one connection leaves behind, and what it takes along, in a server that others use too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp

from episodes_factory import suggestion
from falcon_lsp.completion.answer import Answer
from falcon_lsp.config import Config, LearningOptions
from falcon_lsp.core.text import Position, TextSnapshot
from falcon_lsp.core.types import Outcome
from falcon_lsp.lsp import status
from falcon_lsp.lsp.application import Application
from falcon_lsp.lsp.connection import serve_connection
from falcon_lsp.lsp.server import create_server, on_completion
from falcon_lsp.memory.events import Event, Place


class Client:
    """A channel that sends what it is given and ends when `leave` is called."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.welcomed = asyncio.Event()

    def say(self, method: str, params: Any, **more: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        self.inbox.put_nowait(json.dumps(message).encode())

    def leave(self) -> None:
        self.inbox.put_nowait(None)

    async def read(self) -> bytes | None:
        return await self.inbox.get()

    async def write(self, body: bytes) -> None:
        self.welcomed.set()

    async def close(self) -> None:
        pass


@pytest.fixture
def app() -> Iterator[Application]:
    with contextlib.closing(Application()) as application:
        yield application


async def test_a_connection_that_has_ended_is_told_nothing_more(
    app: Application, tmp_path: Path
) -> None:
    config = Config(engine="fake", data_dir=str(tmp_path / "d"), cache_dir=str(tmp_path / "c"))
    client = Client()
    serving = asyncio.create_task(serve_connection(create_server(app, config), client))
    client.say("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id=1)
    client.say("initialized", {})
    await client.welcomed.wait()
    await asyncio.sleep(0)
    assert len(app.listeners) == 1
    client.leave()
    await serving
    assert app.listeners == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_report_whose_request_is_withdrawn_is_recorded_all_the_same(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: Future[bool] = Future()
    monkeypatch.setattr(app, "record", lambda _events: waiting)
    session = create_server(app).session
    place = Place("c1", "file:///w", "a.py", "python")
    snapshot = TextSnapshot("file:///w/a.py", "python", 1, "")
    session.observer.offered(suggestion("c1"), place, snapshot.uri, snapshot, 0.0)
    report = asyncio.create_task(session.report("c1", Outcome.ACCEPTED, None, "e1"))
    await asyncio.sleep(0)
    report.cancel()
    with pytest.raises(asyncio.CancelledError):
        await report
    assert waiting.set_running_or_notify_cancel()


async def test_a_report_that_is_repeated_is_acknowledged_again_but_recorded_once(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[Event] = []

    def record(events: Sequence[Event]) -> Future[bool]:
        recorded.extend(events)
        done: Future[bool] = Future()
        done.set_result(True)
        return done

    monkeypatch.setattr(app, "record", record)
    session = create_server(app).session
    place = Place("c1", "file:///w", "a.py", "python")
    snapshot = TextSnapshot("file:///w/a.py", "python", 1, "")
    session.observer.offered(suggestion("c1"), place, snapshot.uri, snapshot, 0.0)
    for _ in range(2):
        assert await session.report("c1", Outcome.ACCEPTED, None, "e1")
    assert not await session.report("c2", Outcome.ACCEPTED, None, "e2")
    assert [event.event_id for event in recorded] == ["e1"]


async def test_while_the_model_loads_the_answer_is_why_there_is_none(app: Application) -> None:
    server = create_server(app)
    server.documents.open("file:///w/a.py", "python", 1, "x = ")
    answer = await server.session.complete("file:///w/a.py", Position(0, 4), invoked=True)
    assert (answer.suggestions, answer.reason) == ((), "loading")


async def test_items_for_a_document_that_has_changed_meanwhile_are_not_placed(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, uri = create_server(app), "file:///w/a.py"
    server.documents.open(uri, "python", 1, "value = ")

    async def complete(*_question: object, **_more: object) -> Answer:
        server.documents.open(uri, "python", 2, "v")
        return Answer((suggestion("c1"),))

    monkeypatch.setattr(server.session, "complete", complete)
    params = lsp.CompletionParams(lsp.TextDocumentIdentifier(uri), lsp.Position(0, 8))
    assert await on_completion(server, params) == lsp.CompletionList(True, [])


class Trainer:
    """Stands in for the supervisor: says whether it may train, notes that it was halted."""

    running = False
    halted = 0

    def halt(self) -> None:
        self.halted += 1

    def train_now(self) -> str:
        return "started"

    def close(self) -> None:
        pass

    def status(self) -> dict[str, str]:
        return {"read by": threading.current_thread().name}


async def test_a_pause_ends_training_too(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer()
    monkeypatch.setattr(app, "supervisor", trainer)
    app.pause(True)
    assert trainer.halted == 1
    assert "paused" in app.train_now()
    app.pause(False)
    assert (trainer.halted, app.train_now()) == (1, "started")


async def test_switching_learning_off_ends_training(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer()
    monkeypatch.setattr(app, "supervisor", trainer)
    app.reconfigure(Config(learning=LearningOptions(enable=False)))
    assert trainer.halted == 1


async def test_the_ledger_is_not_read_on_the_event_loop(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "supervisor", Trainer())
    server = create_server(app)
    told = await status.report(app, server.session, server.counters)
    assert told["training"]["read by"] != threading.current_thread().name
