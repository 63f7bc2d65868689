"""From a request to its prompt, with the documents' contexts kept still between keystrokes."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Final, TypeVar

from falcon_lsp.completion import context
from falcon_lsp.completion.modules import WorkspaceFiles
from falcon_lsp.completion.prompt import build_prompt, window_steps
from falcon_lsp.completion.sources import (
    LongTerm,
    OpenDocument,
    OpenDocuments,
    Shares,
    ShortTerm,
    everything,
)
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import CompletionRequest, Prompt, Snippet
from falcon_lsp.memory.edits import Edit

logger = logging.getLogger(__name__)
T = TypeVar("T", Snippet, OpenDocument, Edit)

RECALL_COUNT: Final = 4
RECALL_CHARACTERS: Final = 600
"""How much of the text before the cursor long-term memory is asked with."""

RECENT_EDITS: Final = 4
MAX_CONTEXTS: Final = 32


@dataclass(frozen=True, slots=True)
class _Context:
    """A document's snippets and what was recalled; good for as long as ``key`` holds."""

    key: tuple[object, ...]
    snippets: tuple[Snippet, ...]
    recalled: tuple[Snippet, ...]


class Prompter:
    """Builds prompts, on the engine's thread; the other methods may be called from any.

    Snippets stand at the beginning of a prompt, so new ones cost the engine its whole key-value
    cache. They are renewed when the text below the cursor's line changes, or when the cursor has
    moved on by a quarter of the prefix window, and not in between.
    """

    def __init__(
        self,
        memory: LongTerm | None,
        short_term: ShortTerm,
        open_documents: OpenDocuments,
        shares: Shares = everything,
    ) -> None:
        self._memory = memory
        self._short_term = short_term
        self._open_documents = open_documents
        self._shares = shares
        self._files = WorkspaceFiles()
        self._contexts: OrderedDict[str, _Context] = OrderedDict()

    def prompt(
        self, request: CompletionRequest, config: Config, token: CancellationToken
    ) -> Prompt:
        """Return the prompt of a request; recall takes at most its deadline and never fails."""
        steps = window_steps(request.offset, config.context)
        below = hash(request.suffix.partition("\n")[2])
        key = (request.workspace, config.context, steps, below)
        contexts = self._contexts
        known = contexts.get(request.uri)
        if known is None or known.key != key:
            known = self._gather(key, request, config, token)
        contexts.pop(request.uri, None)
        contexts[request.uri] = known
        while len(contexts) > MAX_CONTEXTS:
            contexts.popitem(last=False)
        return build_prompt(request, known.snippets, config.context)

    def is_warm(self, uri: str) -> bool:
        """Whether a document's context has been read already (safe from any thread)."""
        return uri in self._contexts

    def others(self, request: CompletionRequest) -> list[OpenDocument]:
        """Return the other open documents of the request's workspace, latest used first."""
        rows = [OpenDocument(*row) for row in self._open_documents(request.workspace)]
        rows = [row for row in self._quotable(request, rows) if row.path != request.path]
        return sorted(rows, key=lambda row: row.last_used, reverse=True)

    def recalled(self, request: CompletionRequest) -> Sequence[Snippet]:
        """Return what was recalled for the latest prompt of the request's document."""
        known = self._contexts.get(request.uri)
        return known.recalled if known is not None else ()

    def edits(self, request: CompletionRequest, limit: int) -> list[Edit]:
        """Return the latest edits that may be quoted, the latest first."""
        return self._quotable(request, self._short_term.recent_edits(request.workspace, limit))

    def _quotable(self, request: CompletionRequest, found: Iterable[T]) -> list[T]:
        """Return what comes from files that may be quoted; any may be quoted in itself."""
        allowed = cache(partial(self._shares, request.workspace))
        return [each for each in found if each.path == request.path or allowed(each.path)]

    def reset(self) -> None:
        """Forget every context, those that are being gathered too; the next prompts gather anew."""
        self._contexts = OrderedDict()

    def _gather(
        self,
        key: tuple[object, ...],
        request: CompletionRequest,
        config: Config,
        token: CancellationToken,
    ) -> _Context:
        recalled = self._quotable(request, self._recall(request, config, token))
        around = context.Surroundings(
            edits=self.edits(request, RECENT_EDITS),
            recalled=recalled if config.context.recall_examples else (),
            documents=self.others(request),
            imported=self._quotable(request, self._files.imported(request)),
        )
        return _Context(key, context.gather(request, config.context, around), tuple(recalled))

    def _recall(
        self, request: CompletionRequest, config: Config, token: CancellationToken
    ) -> Sequence[Snippet]:
        if self._memory is None or not config.context.recall or token.expired:
            return ()
        deadline_ms = min(config.context.recall_deadline_ms, token.remaining * 1000)
        text = request.prefix[-RECALL_CHARACTERS:]
        try:
            return self._memory.recall(
                text, request.workspace, request.language, RECALL_COUNT, deadline_ms
            )
        except Exception:
            logger.exception("recall failed; going on without long-term memory")
            return ()
