"""Candidates: texts that could be offered, sampled by the model or copied from open files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from falcon_lsp.core.types import CompletionRequest
from falcon_lsp.model.engine import Generation

MIN_MATCH: Final = 16
"""Shortest context, in characters, that a copy must share with the text before the cursor."""

MAX_MATCH: Final = 256
MAX_PLACES: Final = 64
"""How far a match is measured, and how many places of one text are looked at (nearest first)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may be offered at the cursor.

    ``token_ids``, ``logprobs`` and ``healed_chars`` describe what the model sampled and never
    change; filters only shorten ``text``. ``matched`` is the length of the context that a copy
    shares with the text before the cursor.
    """

    text: str
    source: str
    model_id: str = ""
    adapter_id: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    healed_chars: int = 0
    finish: str = "stop"
    matched: int = 0

    @property
    def mean_logprob(self) -> float | None:
        """Mean natural log-probability of the sampled tokens; None when no model sampled it."""
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a candidate is not offered; ``name`` is shown in the status report."""

    name: str


def from_generation(generation: Generation, model_id: str, adapter_id: str) -> Candidate:
    """Return what the model sampled as a candidate."""
    return Candidate(
        text=generation.text,
        source="model",
        model_id=model_id,
        adapter_id=adapter_id,
        token_ids=generation.token_ids,
        logprobs=generation.logprobs,
        healed_chars=generation.healed_chars,
        finish=generation.finish,
    )


def copy_candidate(request: CompletionRequest, others: Sequence[str]) -> Candidate | None:
    """Return the rest of the line after the longest match of the text before the cursor.

    Looks in the file itself and in ``others``, most relevant first; of equally long matches the
    first found wins, and inside one text the one nearest to its end (to the cursor, in the file
    itself). None where nothing of `MIN_MATCH` characters matches or a line ends there.
    """
    prefix = request.prefix
    key = prefix[-MIN_MATCH:]
    if sum(map(str.isalnum, key)) < MIN_MATCH // 3:
        return None
    best: Candidate | None = None
    for text in (prefix, request.suffix, *others):
        for end in _ends(text, key, exclude_tail=text is prefix):
            continuation = _rest_of_line(text, end)
            matched = _common_tail(prefix, text[:end])
            if continuation.strip() and (best is None or matched > best.matched):
                best = Candidate(continuation, "copy", matched=matched)
    return best


def _ends(text: str, key: str, *, exclude_tail: bool) -> Iterator[int]:
    stop = len(text) - 1 if exclude_tail else len(text)
    for _ in range(MAX_PLACES):
        found = text.rfind(key, 0, stop)
        if found < 0:
            return
        yield found + len(key)
        stop = found + len(key) - 1


def _rest_of_line(text: str, start: int) -> str:
    end = text.find("\n", start)
    return text[start : len(text) if end < 0 else end].rstrip("\r")


def _common_tail(left: str, right: str) -> int:
    """Return how many characters both end with, at most `MAX_MATCH`."""
    left, right = left[-MAX_MATCH:], right[-MAX_MATCH:]
    count = 0
    for ours, theirs in zip(reversed(left), reversed(right), strict=False):
        if ours != theirs:
            break
        count += 1
    return count
