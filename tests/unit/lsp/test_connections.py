"""What one connection leaves behind, and what it takes along, in a server that others use too."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from episodes_factory import suggestion
from falcon_lsp.config import Config
from falcon_lsp.core.text import TextSnapshot
from falcon_lsp.core.types import Outcome
from falcon_lsp.lsp.application import Application
from falcon_lsp.lsp.connection import serve_connection
from falcon_lsp.lsp.server import create_server
from falcon_lsp.memory.events import Place


class Client:
    """A channel that sends what it is given and ends when `leave` is called."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()

    def say(self, method: str, params: Any, **more: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        self.inbox.put_nowait(json.dumps(message).encode())

    def leave(self) -> None:
        self.inbox.put_nowait(None)

    async def read(self) -> bytes | None:
        return await self.inbox.get()

    async def write(self, body: bytes) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.fixture
def app() -> Iterator[Application]:
    with contextlib.closing(Application()) as application:
        yield application


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_connection_that_has_ended_is_told_nothing_more(
    app: Application, tmp_path: Path
) -> None:
    config = Config(engine="fake", data_dir=str(tmp_path / "d"), cache_dir=str(tmp_path / "c"))
    client = Client()
    serving = asyncio.create_task(serve_connection(create_server(app, config), client))
    client.say("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, id=1)
    client.say("initialized", {})
    await until(lambda: app.listeners)
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
