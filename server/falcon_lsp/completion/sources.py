"""What the service asks of others, as protocols: memories and the editor's open documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from falcon_lsp.core.types import Lately, Snippet
from falcon_lsp.memory.edits import Edit


class OpenDocument(NamedTuple):
    """A document that the editor has open; ``last_used`` only orders, the latest is largest."""

    path: str
    language: str
    text: str
    last_used: float


OpenDocuments = Callable[[str], Sequence[tuple[str, str, str, float]]]
"""Returns the open documents of one workspace (its argument), as the fields of `OpenDocument`."""


Shares = Callable[[str, str], bool]
"""Whether a file (its workspace, its path there) may be quoted in other files' prompts."""


def everything(_workspace: str, _path: str) -> bool:
    """Let every file be quoted."""
    return True


class LongTerm(Protocol):
    """What is needed of long-term memory."""

    def recall(
        self,
        text: str,
        workspace: str,
        language: str,
        k: int,
        deadline_ms: float,
        exclude: Sequence[str] = (),
    ) -> Sequence[Snippet]:
        """Return the nearest successes of this workspace, or nothing when time runs out."""


class ShortTerm(Protocol):
    """What is needed of short-term memory; every call is cheap and safe from any thread."""

    def rejected_before(self, workspace: str, before: str, text: str) -> bool:
        """Whether the developer refused (nearly) this text where the end of ``before`` stands."""

    def recent_edits(self, workspace: str, limit: int) -> Sequence[Edit]:
        """Return what was edited lately, the latest first."""

    def lately(self, workspace: str, path: str, uri: str, line: int) -> Lately:
        """Return what happened just before, where a suggestion is wanted now."""
