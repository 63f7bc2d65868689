"""What the chance of a suggestion is estimated from: numbers that cost nothing, and no text.

They are recorded with each suggestion, so their meaning never changes: another list is another
`VERSION`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from falcon_lsp.completion.candidates import MIN_MATCH, Candidate
from falcon_lsp.core.text import line_before
from falcon_lsp.core.types import CompletionRequest, Lately

VERSION: Final = 2

CLASSES: Final = ("word", "dot", "opener", "operator", "closer", "start")
"""Kinds of characters before the cursor; a blank behind code is none of them."""

NAMES: Final = (
    "one", *(f"after {kind}" for kind in CLASSES), "inside word", "code behind", "invoked",
    "doubt", "first doubt", "worst doubt", "total doubt", "unseen",
    "copied", "matched", "repeated", "odds", "agreed", "unknown", "length", "lines", "new line",
    "cut", "begun", "acceptance", "here", "around", "pause", "pace", "errors", "waited",
)  # fmt: skip
"""One name per number of a vector, in order."""

DIGITS: Final = 4
"""What is recorded is what was decided by, to the last digit."""

Vector = tuple[float, ...]

_WORD: Final = re.compile(r"[^\W\d]\w{2,}")
_NEAR_BEFORE, _NEAR_BEHIND = 4000, 1000
"""Characters around the cursor in which a suggestion's words are looked for."""

_SURE: Final = Candidate("x" * 16, "model", logprobs=(0.0,))
"""The best that could come: a line that the model has no doubt about."""

_LARGEST: Final = 10.0
"""No feature is larger; an imported event may claim so."""

_INVOKED: Final = NAMES.index("invoked")

_KINDS: Final = {".": "dot", ")": "closer", "]": "closer", "}": "closer", ";": "closer",
                 "(": "opener", "[": "opener", "{": "opener"}  # fmt: skip


def vector(
    request: CompletionRequest,
    lately: Lately,
    candidate: Candidate | None = None,
    waited_s: float = 0.0,
) -> Vector:
    """Return the numbers of a request and a candidate, in the order of `NAMES`.

    Without a candidate they are those of the best that could come. ``waited_s`` is how long it
    took to find it, recall and all.
    """
    text = candidate or _SURE
    found = (
        *_place(request), *_text(text), _unknown(candidate, request) if candidate else 0.0,
        *_form(text), _begun(request), *_moment(lately), min(waited_s, 2.0),
    )  # fmt: skip
    return tuple(round(float(number), DIGITS) for number in found)


def recorded(payload: Mapping[str, Any]) -> Vector | None:
    """Return the vector of an event; None for other versions and for what cannot be any."""
    given = payload.get("features", ())
    if payload.get("features_version") != VERSION or len(given) != len(NAMES):
        return None
    usable = all(isinstance(each, int | float) and abs(each) <= _LARGEST for each in given)
    return tuple(map(float, given)) if usable else None


def asked(given: Vector) -> bool:
    """Whether the developer asked for it."""
    return given[_INVOKED] > 0


def character_class(line: str) -> str:
    """Return what kind of character ends ``line``, the text before the cursor on its line."""
    if not line.strip():
        return "start"
    last = line[-1]
    if last.isalnum() or last == "_":
        return "word"
    return "space" if last.isspace() else _KINDS.get(last, "operator")


def _place(request: CompletionRequest) -> Vector:
    text, offset = request.text, request.offset
    before = character_class(line_before(text, offset))
    end = text.find("\n", offset)
    behind = text[offset : len(text) if end < 0 else end]
    inside = before == "word" and character_class(behind[:1]) == "word"
    code = any(character.isalnum() for character in behind)
    return (1.0, *(float(before == kind) for kind in CLASSES), inside, code, request.invoked)


def _text(candidate: Candidate) -> Vector:
    """Return how a candidate came about; a text that no model has seen is in no doubt."""
    doubts = [-each for each in candidate.logprobs or candidate.scored] or [0.0]
    seen, repeated = candidate.mean_logprob is not None, candidate.chance is not None
    return (
        *_doubts(doubts), not (seen or repeated),
        candidate.source == "copy", min(max(candidate.matched - MIN_MATCH, 0), 64) / 64,
        repeated, _odds(candidate.chance), candidate.agreed,
    )  # fmt: skip


def _odds(chance: float | None) -> float:
    """Return the log-odds of a repeated edit, a quarter of them, bounded; 0 for all else."""
    if chance is None:
        return 0.0
    bounded = min(max(chance, 0.01), 0.99)
    return math.log(bounded / (1 - bounded)) / 4


def _unknown(candidate: Candidate, request: CompletionRequest) -> float:
    """Return which share of a candidate's words does not stand near the cursor."""
    said = _WORD.findall(candidate.text)
    if not said:
        return 0.0
    at = request.offset
    near = set(_WORD.findall(request.text[max(0, at - _NEAR_BEFORE) : at + _NEAR_BEHIND]))
    return sum(word not in near for word in said) / len(said)


def _form(candidate: Candidate) -> Vector:
    """Return how a candidate looks."""
    text = candidate.text
    return (
        math.log1p(min(len(text), 1000)) / 4, "\n" in text.strip("\n"),
        text.startswith(("\n", "\r")), candidate.finish == "deadline",
    )  # fmt: skip


def _begun(request: CompletionRequest) -> float:
    """Return how much of the line stands before the cursor."""
    return math.log1p(min(len(line_before(request.text, request.offset).strip()), 1000)) / 4


def _doubts(doubts: Sequence[float]) -> Vector:
    """Return mean, first, largest and total of the tokens' doubts (nats), each bounded.

    A large one is mostly a token that was forced: one that spells what stood there, or a copy's.
    """
    mean = sum(doubts) / len(doubts)
    total = math.log1p(min(sum(doubts), 100.0))
    return min(mean, 3.0), min(doubts[0], 4.0) / 2, min(max(doubts), 8.0) / 4, total


def _moment(lately: Lately) -> Vector:
    return (
        lately.acceptance - 0.3, lately.here, lately.around,
        math.log1p(min(lately.pause_s, 60.0)) / 2, min(lately.pace, 20.0) / 10,
        min(lately.errors, 3) / 3,
    )  # fmt: skip
