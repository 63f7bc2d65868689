"""Whether to show a suggestion or stay quiet: the estimated chance that it is accepted.

A logistic model over a handful of features that cost nothing. Its weights are priors: for a
developer who accepts three in ten, a suggestion whose tokens have half a nat of doubt each is shown
at the default threshold, one with a nat and a half, or in the middle of a word, is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from falcon_lsp.completion.candidates import MIN_MATCH, Candidate
from falcon_lsp.config import CompletionOptions
from falcon_lsp.core.types import CompletionRequest

EXPLORE_BAND: Final = 0.05
"""Width of the band below the threshold in which a suggestion is shown now and then."""

EXPLORE_SHARE: Final = 0.05
"""How often inside the band: often enough to learn from, too seldom to disturb."""

TYPICAL_ACCEPTANCE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Features:
    """What the chance is estimated from. ``doubt`` is minus the mean token log-probability.

    ``doubt`` is None for a copy that the model has not scored; ``matched`` is the length of the
    context that a copy shares.
    ``acceptance`` is the share of recent suggestions that were accepted, 0 to 1.
    """

    acceptance: float
    after: str
    inside_word: bool
    invoked: bool
    doubt: float | None = 0.0
    matched: int = 0
    length: int = 16


@dataclass(frozen=True, slots=True)
class Decision:
    """``propensity`` is the chance with which the policy shows such a suggestion, 0 to 1."""

    show: bool
    propensity: float
    probability: float


_AFTER: Final = {"word": 0.1, "dot": 0.3, "opener": 0.2, "operator": 0.2, "space": 0.0,
                 "start": 0.0, "closer": -0.7}  # fmt: skip


def features(
    request: CompletionRequest, acceptance: float, candidate: Candidate | None = None
) -> Features:
    """Return the features of a request, and of a candidate where there is one already.

    Without one they are those of the best candidate that could come.
    """
    before, after = request.text[request.offset - 1 : request.offset], request.suffix[:1]
    common = (acceptance, character_class(before), after.isalnum() or after == "_", request.invoked)
    if candidate is None:
        return Features(*common)
    mean = candidate.mean_logprob
    doubt = None if mean is None else -mean
    return Features(*common, doubt, candidate.matched, len(candidate.text))


def character_class(character: str) -> str:
    """Return what kind of character stands before the cursor; ``start`` for none."""
    if not character or character == "\n":
        return "start"
    if character.isalnum() or character == "_":
        return "word"
    kinds = {".": "dot", ")": "closer", "]": "closer", "}": "closer", ";": "closer",
             "(": "opener", "[": "opener", "{": "opener"}  # fmt: skip
    return "space" if character.isspace() else kinds.get(character, "operator")


def probability(given: Features) -> float:
    """Return the estimated chance, 0 to 1, that the developer takes the suggestion."""
    score = 0.2 + 2.0 * (given.acceptance - TYPICAL_ACCEPTANCE) + _AFTER[given.after]
    score -= 2.5 * given.inside_word
    score -= 0.8 if given.doubt is None else 1.2 * given.doubt
    score += 0.015 * min(max(given.matched - MIN_MATCH, 0), 64)
    score -= 0.004 * max(0, given.length - 40)
    return 1 / (1 + math.exp(-score))


def decide(given: Features, options: CompletionOptions, draw: float = 1.0) -> Decision:
    """Decide; ``draw`` is uniform in [0, 1) and settles the cases just below the threshold.

    The default draw never explores. What the developer asked for is always shown.
    """
    chance = probability(given)
    if given.invoked or chance >= options.threshold:
        return Decision(show=True, propensity=1.0, probability=chance)
    near = chance >= options.threshold - EXPLORE_BAND
    share = EXPLORE_SHARE if near else 0.0
    return Decision(show=draw < share, propensity=share, probability=chance)
