"""One generation for a document: who joins it, who ends it, and when each is answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from completion_samples import StubMemory, at, typed
from falcon_lsp.completion.answer import Answer
from falcon_lsp.completion.service import CompletionService
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken, Cancelled, DeadlineExceeded
from falcon_lsp.core.types import CompletionRequest, Prompt
from falcon_lsp.lsp import generations
from falcon_lsp.lsp.generations import Generations
from falcon_lsp.model.engine import Generation, GenerationParams
from falcon_lsp.model.host import EngineHost

REQUEST = at("def f(a, b):\n    total = ‸\n")
LONG = 60.0


class GatedEngine:
    """Says a text character by character, each when `allow` has made room for it."""

    model_id = base_sha256 = "gated"
    adapter_id = "base"

    def __init__(self, text: str) -> None:
        self.text = text
        self.prompts: list[Prompt] = []
        self.ends: list[str] = []
        self.said = 0
        self._room = threading.Semaphore(0)

    def allow(self, tokens: int) -> None:
        self._room.release(tokens)

    def generate(
        self,
        prompt: Prompt,
        params: GenerationParams,
        token: CancellationToken,
        *_sources: object,
    ) -> Generation:
        self.prompts.append(prompt)
        said = ""
        try:
            while said != self.text:
                while not self._room.acquire(timeout=0.005):
                    token.check()
                token.check()
                said = self.text[: len(said) + 1]
                self.said += 1
                if params.stop is not None:
                    params.stop(said)
        except Cancelled:
            self.ends.append("cancelled")
            raise
        except DeadlineExceeded:
            self.ends.append("deadline")
        else:
            self.ends.append("stop")
        return Generation(said, tuple(map(ord, said)), (-0.1,) * len(said), self.ends[-1])


class Desk:
    """Generations on an engine that speaks when it is told to."""

    def __init__(self, text: str) -> None:
        self.engine = GatedEngine(text)
        self.host = EngineHost()
        memory = StubMemory()
        self.service = CompletionService(
            engine=lambda: self.engine,  # type: ignore[arg-type,return-value]
            memory=memory,
            short_term=memory,
            config=Config,
            open_documents=lambda _workspace: [],
            draw=lambda: 1.0,
        )
        self.generations = Generations(self.host, self.service)

    async def ask(self, request: CompletionRequest, seconds: float = LONG) -> asyncio.Task[Answer]:
        """Start asking, and wait until the engine has been reached or joined."""
        task = asyncio.create_task(self.generations.ask(request, seconds))
        await asyncio.sleep(0)
        await until(lambda: bool(self.engine.prompts))
        return task

    async def hear(self, tokens: int) -> None:
        """Let the engine say so many tokens, and wait until it has."""
        self.engine.allow(tokens)
        await until(lambda: self.engine.said >= tokens)


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    while not true():  # noqa: ASYNC110 - it knows nothing of the event loop
        await asyncio.sleep(0.001)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk("combine(a, b)")
    yield desk
    desk.generations.cancel_all()
    desk.engine.allow(1000)
    desk.host.close()


def texts(answer: Answer) -> list[str]:
    return [suggestion.text for suggestion in answer.suggestions]


async def test_who_types_what_is_being_said_gets_the_rest_of_it(desk: Desk) -> None:
    first = await desk.ask(REQUEST)
    desk.engine.allow(5)
    second = await desk.ask(typed(REQUEST, "com"))
    third = await desk.ask(typed(REQUEST, "combine("))
    desk.engine.allow(100)
    answers = await asyncio.gather(first, second, third)
    assert [texts(answer) for answer in answers] == [["combine(a, b)"], ["bine(a, b)"], ["a, b)"]]
    assert [answer.origin for answer in answers] == ["engine", "joined", "joined"]
    offers = [answer.suggestions[0] for answer in answers]
    assert len({offer.completion_id for offer in offers}) == 1
    assert [offer.offset - REQUEST.offset for offer in offers] == [0, 3, 8]
    assert len(desk.engine.prompts) == 1


async def test_the_same_question_twice_is_one_generation(desk: Desk) -> None:
    first, second = await desk.ask(REQUEST), await desk.ask(REQUEST)
    desk.engine.allow(100)
    assert texts(await first) == texts(await second) == ["combine(a, b)"]
    assert len(desk.engine.prompts) == 1


async def test_who_types_something_else_ends_it_at_once(desk: Desk) -> None:
    first = await desk.ask(REQUEST)
    await desk.hear(2)
    second = await desk.ask(typed(REQUEST, "x"))
    assert (await first).reason == "cancelled"
    desk.engine.allow(100)
    assert texts(await second) == ["combine(a, b)"]
    assert desk.engine.ends == ["cancelled", "stop"]


async def test_when_it_turns_away_from_what_was_typed_it_is_asked_anew(desk: Desk) -> None:
    first = await desk.ask(REQUEST)
    second = await desk.ask(typed(REQUEST, "comp"))
    desk.engine.allow(100)
    assert (await first).reason == "cancelled"
    assert texts(await second) == ["combine(a, b)"]
    assert [prompt.prefix[-4:] for prompt in desk.engine.prompts] == ["l = ", "comp"]
    assert desk.engine.ends == ["cancelled", "stop"]


async def test_withdrawing_one_request_leaves_the_others_their_generation(desk: Desk) -> None:
    first, second = await desk.ask(REQUEST), await desk.ask(typed(REQUEST, "c"))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.sleep(generations.LINGER * 1.5)
    desk.engine.allow(100)
    assert texts(await second) == ["ombine(a, b)"]


async def test_a_generation_that_nobody_wants_ends(desk: Desk) -> None:
    asked = await desk.ask(REQUEST)
    asked.cancel()
    await until(lambda: desk.engine.ends == ["cancelled"])


async def test_a_request_that_was_withdrawn_for_the_next_hands_on_its_generation(
    desk: Desk,
) -> None:
    """Editors withdraw the old request before they send the new one."""
    first = await desk.ask(REQUEST)
    await desk.hear(4)
    first.cancel()
    second = await desk.ask(typed(REQUEST, "c"))
    desk.engine.allow(100)
    assert texts(await second) == ["ombine(a, b)"]
    assert desk.engine.ends == ["stop"]


async def test_an_unwanted_generation_makes_way_for_another_document(desk: Desk) -> None:
    first = await desk.ask(REQUEST)
    first.cancel()
    await asyncio.sleep(0)
    other = await desk.ask(at("total = ‸\n", path="b.py"))
    desk.engine.allow(100)
    assert texts(await other) == ["combine(a, b)"]
    assert desk.engine.ends == ["cancelled", "stop"]


async def test_time_in_the_queue_counts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "GRACE", 0.0)
    busy = await desk.ask(REQUEST)
    queued = await desk.ask(at("total = ‸\n", path="b.py"), 0.05)
    assert (await queued).reason == "timed out"
    assert not busy.done()
    assert len(desk.engine.prompts) == 1


async def test_what_is_usable_at_the_deadline_is_offered(desk: Desk) -> None:
    asked = await desk.ask(REQUEST, 3.0)
    desk.engine.allow(10)
    assert texts(await asked) == ["combine(a,"]
    assert desk.engine.ends == ["deadline"]


async def test_a_hundred_documents_are_each_answered(desk: Desk) -> None:
    asked = [await desk.ask(at("total = ‸\n", path=f"{n}.py")) for n in range(100)]
    desk.engine.allow(10_000)
    answers = await asyncio.gather(*asked)
    assert [texts(answer) for answer in answers] == [["combine(a, b)"]] * 100
    assert not desk.generations
