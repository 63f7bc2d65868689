"""The simulated developer: what they do with a suggestion, knowing what they are about to write.

The constants were fixed before the first reported run and are not to be tuned: figures of
different versions can be compared only while they stay.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass
from typing import Final

from falcon_lsp.core.text import common_length
from falcon_lsp.replay.strokes import first_line

NOISE: Final = 0.03
"""How often a decision is the wrong way round."""
PATIENCE_SECONDS: Final = 1.0
"""A suggestion that takes longer is not seen: the hands are typing again."""
PARTIAL_SHARE: Final = 0.5
"""Share of the suggestion's first line that must be right for its right words to be taken."""
PARTIAL_CHARS: Final = 4
"""Right characters, blanks aside, below which nobody takes single words."""
ESCAPE_SHARE: Final = 0.25
"""How often an unwanted suggestion is dismissed with Escape; else it is typed over."""
ARRIVE_SECONDS: Final = 0.5
"""How long a place in the text is looked at before the first key."""
READ_SECONDS: Final = 0.35
"""How long an unwanted suggestion is looked at before that."""


class Reaction(enum.Enum):
    """What is done with a suggestion."""

    ACCEPT = "accept"
    WORDS = "words"
    ESCAPE = "escape"
    TYPE_ON = "type on"


@dataclass(frozen=True, slots=True)
class Decision:
    """``taken`` counts the characters of the suggestion that are put into the text."""

    reaction: Reaction
    taken: int = 0


def decide(suggestion: str, truth: str, rng: random.Random) -> Decision:
    """Return what the developer does who will write ``truth``, which goes on to the hunk's end.

    Always draws the same number of times, so that two arms stay in step.
    """
    slip, dismiss = rng.random() < NOISE, rng.random() < ESCAPE_SHARE
    decline = Decision(Reaction.ESCAPE if dismiss else Reaction.TYPE_ON)
    wanted = _wanted(suggestion, truth)
    if slip:
        return decline if wanted else Decision(Reaction.ACCEPT, len(suggestion))
    return wanted or decline


def is_exact(suggestion: str, truth: str) -> bool:
    """Whether the suggestion's first line is the rest of the line that is really written."""
    said = first_line(suggestion)
    return bool(said.strip()) and said == first_line(truth)


def words(text: str) -> list[str]:
    """Return ``text`` in the pieces that an editor takes word by word; joined they are ``text``."""
    pieces: list[str] = []
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or _boundary(text, at):
            pieces.append(text[start:at])
            start = at
    return pieces


def kept_characters(text: str) -> int:
    """Return how many characters ``text`` has, white space aside."""
    return len("".join(text.split()))


def _wanted(suggestion: str, truth: str) -> Decision | None:
    if is_exact(suggestion, truth):
        return Decision(Reaction.ACCEPT, len(suggestion))
    said = first_line(suggestion)
    right = _right_words(said, first_line(truth))
    enough = kept_characters(said[:right]) >= PARTIAL_CHARS and right >= PARTIAL_SHARE * len(said)
    if not enough:
        return None
    whole = right == len(suggestion.rstrip())
    return Decision(Reaction.ACCEPT, len(suggestion)) if whole else Decision(Reaction.WORDS, right)


def _right_words(said: str, truth: str) -> int:
    """Return the length of the longest common beginning that ends with a word of both."""
    at = common_length(said, truth)
    while at and (not _ends(said, at) or not _ends(truth, at)):
        at -= 1
    return at


def _ends(text: str, at: int) -> bool:
    return at >= len(text) or _boundary(text, at)


def _boundary(text: str, at: int) -> bool:
    """Whether a word begins or ends at ``at``: not between two characters of a name or blanks."""
    before, after = text[at - 1], text[at]
    inside_name = _is_name(before) and _is_name(after)
    return not inside_name and not before.isspace()


def _is_name(character: str) -> bool:
    return character.isalnum() or character == "_"
