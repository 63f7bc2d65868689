"""Candidates: texts that could be offered, sampled by the model or copied from open files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from falcon_lsp.core.types import CompletionRequest
from falcon_lsp.memory.edits import Edit
from falcon_lsp.memory.repeats import repeat
from falcon_lsp.model.drafts import MAX_MATCH, Sources
from falcon_lsp.model.engine import Generation

MIN_MATCH: Final = 16
"""Shortest context, in characters, that a copy must share with the text before the cursor."""

MOST_SEARCHED: Final = 1_000_000
"""Characters that are searched for what to copy, again for each token that is drafted."""

_READ_BACK: Final = 2 * MAX_MATCH
"""Characters before the cursor that hold a match as long as is measured, whatever its line ends."""

MATCH_WORTH: Final = 0.04
"""What a copy's match adds to its log-likelihood, in nats per character.

The best of a grid at 63 cursors in installed packages where there was something to copy: 44 lines
right; the model alone has 35, the longest match alone 37, one of them 47.
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that may be offered at the cursor.

    ``token_ids``, ``logprobs`` and ``healed_chars`` describe what the model sampled and never
    change; filters only shorten ``text``. ``matched`` is the length of the context that a copy
    shares with the text before the cursor; ``scored`` is what `Engine.score` says of it, empty
    where nobody asked. ``chance`` is how likely such an edit is to be repeated, 0 to 1; None for
    everything else. ``agreed`` says that it was found in more than one way.
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
    scored: tuple[float, ...] = ()
    chance: float | None = None
    agreed: bool = False

    @property
    def mean_logprob(self) -> float | None:
        """Mean natural log-probability of the tokens; None when no model has seen them."""
        logprobs = self.logprobs or self.scored
        return sum(logprobs) / len(logprobs) if logprobs else None

    @property
    def weight(self) -> float | None:
        """What texts for one place are ranked by: the model's likelihood and the match, in nats.

        None when no model has seen the text.
        """
        logprobs = self.logprobs or self.scored
        return sum(logprobs) + MATCH_WORTH * self.matched if logprobs else None


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


def sources_at(request: CompletionRequest, others: Sequence[str]) -> Sources:
    r"""Return what may be copied from: the file itself, then ``others``, most relevant first.

    At most `MOST_SEARCHED` characters, of the file those next to the cursor; line ends are ``\n``.
    """
    at, left = request.offset, MOST_SEARCHED
    texts: list[str] = []
    for text in (request.text[max(0, at - left) : at], request.text[at : at + left], *others):
        texts.append(text[:left].replace("\r\n", "\n"))
        left -= len(texts[-1])
    return Sources(texts)


def copy_candidate(request: CompletionRequest, sources: Sources) -> Candidate | None:
    """Return the rest of the line after the longest match of the text before the cursor.

    None where nothing of `MIN_MATCH` characters matches, or where the line ends behind it.
    """
    prefix = request.text[max(0, request.offset - _READ_BACK) : request.offset]
    prefix = prefix.replace("\r\n", "\n")
    if sum(map(str.isalnum, prefix[-MIN_MATCH:])) < MIN_MATCH // 3:
        return None
    match = sources.follow(prefix, MIN_MATCH, usable=lambda text: _rest_of_line(text).strip())
    return Candidate(_rest_of_line(match.text), "copy", matched=match.matched) if match else None


def repeat_candidate(request: CompletionRequest, edits: Sequence[Edit]) -> Candidate | None:
    """Return what follows if one of ``edits``, the latest first, is being made again here."""
    found = repeat(edits, request.path, request.text, request.offset)
    return Candidate(found.text, "repeat", chance=found.chance) if found else None


def _rest_of_line(text: str) -> str:
    return text.partition("\n")[0]
