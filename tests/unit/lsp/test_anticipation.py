"""The place where the cursor rests is prepared once, when the engine has time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from test_generations import until

from completion_samples import StubMemory, at, typed
from falcon_lsp.completion.service import CompletionService
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import CompletionRequest
from falcon_lsp.lsp import anticipation
from falcon_lsp.lsp.anticipation import Anticipation
from falcon_lsp.model.fake import FakeEngine
from falcon_lsp.model.host import EngineHost

SOURCE = "first = compute(a)\nlast = compute(b)\na = 1\nb = 2\nc = 3\nd = 4\ne = 5\n"
LINE = at(SOURCE + "first = ‸\n")
NEXT = at(SOURCE + "first = compute(a)\n‸\n")


class Desk:
    """A place to work ahead at, with the engine that needs no weights."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.host = EngineHost()
        memory = StubMemory()
        self.service = CompletionService(
            engine=lambda: self.engine,
            memory=memory,
            short_term=memory,
            config=Config,
            open_documents=lambda _workspace: [],
            draw=lambda: 1.0,
        )
        self.anticipation = Anticipation(self.host, self.service)

    async def rest(self, request: CompletionRequest) -> None:
        """Let the cursor rest there, and the engine's thread come to its end."""
        self.anticipation.rest_at(request)
        await until(lambda: self.anticipation._timer is None)
        await self.settled()

    async def settled(self) -> None:
        work = self.anticipation._work
        await until(lambda: work is None or work.done())

    @property
    def read(self) -> list[str]:
        return [prompt.prefix for prompt in self.engine.prefilled]


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(anticipation, "IDLE_SECONDS", 0.01)
    desk = Desk()
    desk.host.load(lambda _progress: desk.engine, lambda _message, _share: None).result(5)
    yield desk
    desk.anticipation.forget()
    desk.host.close()


async def test_where_the_cursor_rests_the_prompt_is_read_once(desk: Desk) -> None:
    await desk.rest(LINE)
    await desk.rest(LINE)
    assert desk.read == [LINE.prefix]
    assert desk.service.is_warm(LINE.uri)
    assert desk.engine.calls == 0


async def test_while_it_moves_nothing_is_read(desk: Desk) -> None:
    for text in ("c", "co", "com"):
        desk.anticipation.rest_at(typed(LINE, text))
    await desk.rest(typed(LINE, "comp"))
    assert desk.read == [typed(LINE, "comp").prefix]


async def test_work_that_had_to_make_way_is_done_later(desk: Desk) -> None:
    desk.engine.token_seconds = 0.5
    desk.anticipation.rest_at(LINE)
    await until(lambda: desk.anticipation._work is not None)
    await desk.host.run(lambda: None)
    await desk.settled()
    assert desk.read == []
    await desk.rest(LINE)
    assert desk.read == [LINE.prefix]


async def test_a_closed_document_is_not_prepared(desk: Desk) -> None:
    desk.anticipation.rest_at(LINE)
    desk.anticipation.forget("file:///w/other.py")
    desk.anticipation.forget(LINE.uri)
    assert desk.anticipation._timer is None


async def test_after_a_change_of_weights_it_is_prepared_again(desk: Desk) -> None:
    await desk.rest(LINE)
    desk.anticipation.renew()
    await until(lambda: len(desk.read) == 2)


async def test_when_an_offer_was_taken_the_next_line_is_said_ahead(desk: Desk) -> None:
    (offered,) = desk.service.answer(LINE, CancellationToken()).suggestions
    assert offered.text == "compute(a)"
    await desk.rest(typed(LINE, offered.text))
    assert desk.engine.calls == 2
    answer = desk.service.answer_fast(NEXT)
    assert answer is not None
    assert answer.origin == "ahead"
    assert [each.text for each in answer.suggestions] == ["last = compute(b)"]
    assert desk.engine.calls == 2


async def test_before_it_is_taken_whole_no_next_line_is_said(desk: Desk) -> None:
    desk.service.answer(LINE, CancellationToken())
    await desk.rest(typed(LINE, "compute"))
    assert desk.engine.calls == 1
    assert desk.read == [typed(LINE, "compute").prefix]
