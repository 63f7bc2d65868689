"""Requests written with a cursor mark, and parts that a completion service can be given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from falcon_lsp.core.cancellation import CancellationToken, DeadlineExceeded
from falcon_lsp.core.types import CompletionRequest, Lately, Prompt, Snippet
from falcon_lsp.memory.edits import Edit
from falcon_lsp.model.drafts import NO_SOURCES, Sources
from falcon_lsp.model.engine import Generation, GenerationParams

CURSOR = "\u2038"
WORKSPACE = "file:///w"


def at(
    marked: str,
    language: str = "python",
    *,
    path: str = "a.py",
    workspace: str = WORKSPACE,
    invoked: bool = False,
) -> CompletionRequest:
    """Return the request for a document with a cursor mark in it."""
    return CompletionRequest(
        uri=f"{workspace}/{path}",
        path=path,
        workspace=workspace,
        language=language,
        version=1,
        text=marked.replace(CURSOR, ""),
        offset=marked.index(CURSOR),
        invoked=invoked,
    )


def typed(request: CompletionRequest, text: str, closed: str = "") -> CompletionRequest:
    """Return the request after ``text`` was typed and the editor put ``closed`` behind it."""
    marked = request.prefix + text + CURSOR + closed + request.suffix
    return at(marked, request.language, path=request.path, workspace=request.workspace)


class StubEngine:
    """Says given texts, one character a token; ``on_token`` is called before each of them."""

    model_id = "stub-model"
    adapter_id = "stub-adapter"

    def __init__(
        self,
        *texts: str,
        logprob: float = -0.1,
        finish: str = "stop",
        copy_logprob: float = -0.1,
        on_token: Callable[[int, CancellationToken], None] = lambda _count, _token: None,
    ) -> None:
        self._texts = texts
        self._logprob = logprob
        self._finish = finish
        self._copy_logprob = copy_logprob
        self._on_token = on_token
        self.prompts: list[Prompt] = []
        self.params: list[GenerationParams] = []
        self.sources: list[Sources] = []
        self.scored: list[str] = []
        self.said = 0

    def generate(
        self,
        prompt: Prompt,
        params: GenerationParams,
        token: CancellationToken,
        sources: Sources = NO_SOURCES,
    ) -> Generation:
        self.sources.append(sources)
        text = self._texts[min(len(self.prompts), len(self._texts) - 1)]
        self.prompts.append(prompt)
        self.params.append(params)
        for count in range(len(text)):
            self._on_token(count, token)
            try:
                token.check()
            except DeadlineExceeded:
                return self._generation(text[:count], "deadline")
            self.said += 1
        return self._generation(text, self._finish)

    def score(self, prompt: Prompt, text: str, token: CancellationToken) -> tuple[float, ...]:
        self.scored.append(text)
        return (self._copy_logprob,) * (len(text) + 1)

    def _generation(self, text: str, finish: str) -> Generation:
        ids, logprobs = tuple(map(ord, text)), (self._logprob,) * len(text)
        return Generation(text, ids, logprobs, finish, healed_chars=1)

    def load_adapter(self, adapter: Path | None, adapter_id: str) -> None:
        raise AssertionError("the completion service never loads adapters")


class StubMemory:
    """Both memories: what they are told to say, by workspace."""

    def __init__(self, recalled: dict[str, Sequence[Snippet]] | None = None) -> None:
        self.recalled = recalled or {}
        self.edits: dict[str, Sequence[Edit]] = {}
        self.rejected: set[tuple[str, str]] = set()
        self.rate = 0.3
        self.asked: list[tuple[str, float]] = []
        self.error: Exception | None = None

    def recall(
        self,
        text: str,
        workspace: str,
        language: str,
        k: int,
        deadline_ms: float,
        exclude: Sequence[str] = (),
    ) -> Sequence[Snippet]:
        self.asked.append((workspace, deadline_ms))
        if self.error is not None:
            raise self.error
        return self.recalled.get(workspace, ())[:k]

    def rejected_before(self, workspace: str, prefix_tail: str, text: str) -> bool:
        return (workspace, text) in self.rejected

    def recent_edits(self, workspace: str, limit: int) -> Sequence[Edit]:
        return self.edits.get(workspace, ())[:limit]

    def lately(self, workspace: str, path: str, uri: str, line: int) -> Lately:
        return Lately(acceptance=self.rate)
