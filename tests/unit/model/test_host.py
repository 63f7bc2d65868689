"""Spare work on the engine's thread: one piece, and any request ends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.model.engine import Engine, EngineError, Progress
from falcon_lsp.model.fake import FakeEngine
from falcon_lsp.model.host import EngineHost


@pytest.fixture
def host() -> Iterator[EngineHost]:
    host = EngineHost()
    yield host
    host.close()


class Patient:
    """Spare work that goes on until it is told to end."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def __call__(self, token: CancellationToken) -> None:
        self.begun.set()
        while True:
            token.check()
            threading.Event().wait(0.001)


async def test_a_request_ends_spare_work(host: EngineHost) -> None:
    work = Patient()
    done = host.spare(work)
    assert work.begun.wait(5)
    assert await host.run(lambda: "answer") == "answer"
    assert done.result(5) is False


def test_newer_spare_work_takes_the_place_of_older(host: EngineHost) -> None:
    running, waiting, ran = Patient(), Patient(), list[str]()
    first = host.spare(running)
    assert running.begun.wait(5)
    second = host.spare(waiting)
    third = host.spare(lambda _token: ran.append("third"))
    assert [each.result(5) for each in (first, second, third)] == [False, False, True]
    assert not waiting.begun.is_set()
    assert ran == ["third"]


def test_spare_work_that_fails_is_logged_and_over(
    host: EngineHost, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_token: CancellationToken) -> None:
        raise RuntimeError

    assert host.spare(fail).result(5) is False
    assert host.spare(lambda _token: None).result(5) is True
    assert [record.message for record in caplog.records] == ["work ahead failed"]


@pytest.mark.parametrize("failure", [None, EngineError("No weights."), RuntimeError("broken")])
def test_progress_ends_however_loading_ends(host: EngineHost, failure: Exception | None) -> None:
    def load(progress: Progress) -> Engine:
        progress("Loading the model", 0.95)
        if failure is not None:
            raise failure
        return FakeEngine()

    told: list[float] = []
    host.load(load, lambda _message, share: told.append(share)).result(5)
    assert told == [0.95, 1.0]
