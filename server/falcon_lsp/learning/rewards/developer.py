"""What the developer's behaviour says of a suggestion, and how much of it stayed."""

from __future__ import annotations

from difflib import SequenceMatcher
from statistics import fmean
from typing import Final

from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.episodes import Episode

THRESHOLD: Final = 0.25
"""t: the chance of being accepted from which a suggestion is worth an interruption."""
UNDO: Final = -0.25
INFERRED_WEIGHT: Final = 0.5
SHORTEST_KEPT_PIECE: Final = 3


def developer_term(episode: Episode, threshold: float = THRESHOLD) -> float:
    """Return what the developer's behaviour says, in [-t - 0.25, 1 - t]; silence is 0."""
    if episode.outcome is None:
        return 0.0
    if episode.outcome is Outcome.UNDONE:
        return -threshold + UNDO
    if episode.outcome is Outcome.REJECTED:
        return -threshold * (INFERRED_WEIGHT if episode.inferred else 1.0)
    if not episode.outcome.positive or not episode.suggestion.text:
        return 0.0
    return (1.0 - threshold) * kept_characters(episode) / len(episode.suggestion.text)


def kept_characters(episode: Episode) -> float:
    """Return how many of the suggestion's characters persist: the mean over the looks made.

    Looks are at 30, 120, 300 and 600 seconds. Before the first, what was taken counts.
    """
    text = episode.suggestion.text
    if not episode.settled:
        return min(max(0, episode.chars_kept), len(text))
    return fmean(common_characters(text, stands) for stands in episode.settled.values())


def common_characters(suggested: str, settled: str) -> int:
    """Return how many characters of ``suggested`` occur in ``settled`` in order, in real pieces.

    Pieces below three characters are coincidence, unless they are the whole suggestion.
    """
    shortest = min(SHORTEST_KEPT_PIECE, len(suggested))
    blocks = SequenceMatcher(None, suggested, settled, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= shortest)


def similarity_term(text: str, settled: str, threshold: float = THRESHOLD) -> float:
    """Return how like ``text`` is to what settled in its place, less ``t``: [-t, 1 - t].

    The likeness is `difflib`'s ratio, as in SWE-RL (arXiv 2502.18449). Saying nothing is 0, so a
    guess pays from the likeness on from which a suggestion is worth an interruption.
    """
    if not text:
        return 0.0
    return SequenceMatcher(None, text, settled, autojunk=False).ratio() - threshold
