"""Values that travel between layers: plain, immutable, free of any third-party type.

All offsets are Python string indices (code points), end-exclusive; all times are seconds since the
epoch (``time.time()``) unless a name says ``_ms``.
"""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass


def new_id(prefix: str) -> str:
    """Return a unique id such as ``cmp-0f3a...`` (128 random bits, hex)."""
    return f"{prefix}-{uuid.uuid4().hex}"


class Outcome(enum.StrEnum):
    """What became of a suggestion. ``final`` outcomes end an episode's first chapter."""

    SHOWN = "shown"
    ACCEPTED = "accepted"
    PARTIAL = "partial"
    TYPED_THROUGH = "typed_through"
    REJECTED = "rejected"
    IGNORED = "ignored"
    SUPERSEDED = "superseded"
    UNDONE = "undone"

    @property
    def final(self) -> bool:
        """Whether a reward can be computed once this outcome is known."""
        return self not in (Outcome.SHOWN, Outcome.SUPERSEDED)

    @property
    def positive(self) -> bool:
        """Whether the developer took (part of) the text."""
        return self in (Outcome.ACCEPTED, Outcome.PARTIAL, Outcome.TYPED_THROUGH)


@dataclass(frozen=True, slots=True)
class Snippet:
    """Text from elsewhere that is shown to the model before the current file."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is asked: fill in between ``prefix`` and ``suffix`` of ``path``.

    ``path`` is relative to the workspace, with forward slashes. ``snippets`` are ordered from the
    least to the most relevant, so that the most relevant stands nearest to the file itself.
    """

    path: str
    prefix: str
    suffix: str
    snippets: tuple[Snippet, ...] = ()


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One question of the editor, with the document as it stood when it was asked."""

    uri: str
    path: str
    workspace: str
    language: str
    version: int
    text: str
    offset: int
    invoked: bool = False

    @property
    def prefix(self) -> str:
        """Everything before the cursor."""
        return self.text[: self.offset]

    @property
    def suffix(self) -> str:
        """Everything after the cursor."""
        return self.text[self.offset :]


@dataclass(frozen=True, slots=True)
class Lately:
    """What happened just before a request, where it is made; the defaults: nothing is known.

    ``acceptance`` is the share of the workspace's recent suggestions that were taken; ``here`` and
    ``around`` say how the last ones in the document and in the workspace ended, from -1 (declined)
    to 1 (taken). ``pause_s`` is the time since the last edit, ``pace`` the characters typed per
    second lately, ``errors`` the findings of severity 1 near the cursor. ``dismissed`` is the share
    of what was not wanted that was sent away by hand.
    """

    acceptance: float = 0.3
    here: float = 0.0
    around: float = 0.0
    pause_s: float = 0.0
    pace: float = 0.0
    errors: int = 0
    dismissed: float = 0.1


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A text offered at a place, with all that learning needs to know of how it came about.

    ``token_ids`` and ``logprobs`` have one entry per sampled token (natural logarithm, under the
    adapter named by ``adapter_id``); both are empty for text that no model sampled.
    ``healed_chars`` is the generation's: the first tokens spell that many characters before the
    cursor again. ``line`` is the document's line of ``offset``, counted from 0 (-1: not known).
    ``propensity`` is the probability with which the policy showed it, ``features`` the numbers that
    it went by, as version ``features_version`` of `completion.features` defines them (0: none).
    """

    completion_id: str
    text: str
    offset: int
    prompt: Prompt
    source: str
    model_id: str
    adapter_id: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    healed_chars: int = 0
    line: int = -1
    propensity: float = 1.0
    features: tuple[float, ...] = ()
    features_version: int = 0


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding of a compiler or linter; ``line`` counts from 0."""

    line: int
    severity: int
    message: str
    code: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class TextEdit:
    """One replacement: ``text[start:end]`` becomes ``new_text``."""

    start: int
    end: int
    new_text: str
