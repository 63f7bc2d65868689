"""What the model says is followed while it is being said."""

from completion_samples import StubMemory, at
from falcon_lsp.completion.service import CompletionService
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.model.fake import FakeEngine


def make_service() -> CompletionService:
    memory = StubMemory()
    return CompletionService(
        engine=FakeEngine,
        memory=memory,
        short_term=memory,
        config=Config,
        open_documents=lambda _workspace: [],
        draw=lambda: 1.0,
    )


def test_every_token_is_heard() -> None:
    heard: list[str] = []
    request = at("total = compute(a)\na = 1\nb = 2\nc = 3\nd = 4\ne = 5\ntotal = ‸\n")
    answer = make_service().answer(request, CancellationToken(), heard.append)
    text = answer.suggestions[0].text
    assert heard == [text[:end] for end in range(1, len(text) + 1)]


def test_an_answer_of_several_lines_ends_with_its_block() -> None:
    request = at("def f(x):\n    return x\n\nprint(f(1))\n\ndef f(x):‸")
    (suggestion, *_) = make_service().answer(request, CancellationToken()).suggestions
    assert suggestion.text == "\n    return x"
    assert bytes(suggestion.token_ids).decode() == "\n    return x\n\np"
