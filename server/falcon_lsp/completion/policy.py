"""Whether to show a suggestion or stay quiet: the estimated chance that it is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from falcon_lsp.completion import features
from falcon_lsp.completion.belief import Belief
from falcon_lsp.completion.features import Vector
from falcon_lsp.config import CompletionOptions
from falcon_lsp.core.types import Lately

EXPLORE_BAND: Final = 0.05
"""Width of the band below the threshold in which a suggestion is shown now and then."""

EXPLORE_SHARE: Final = 0.05
"""How often inside the band: often enough to learn from, too seldom to disturb."""

UNKNOWN: Final = Lately()
"""What is assumed of a developer who has not been seen yet."""

FACTORS: Final = {"eager": 0.5, "balanced": 1.0, "quiet": 2.0}
"""What each aggressiveness makes of the threshold."""

ANNOYED: Final = 4.0
"""How much the threshold rises with the share of unwanted suggestions that are sent away by hand.

Who presses Escape says that it was in the way; most people just type on.
"""

MOST_ANNOYED: Final = 1.6
"""Most that this makes of the threshold."""

Believed = Callable[[], Belief]
"""Returns what is believed of the developer now."""


@dataclass(frozen=True, slots=True)
class Decision:
    """``propensity`` is the chance with which the policy shows such a suggestion, 0 to 1.

    ``least`` is the ``probability`` from which on it always does.
    """

    show: bool
    propensity: float
    probability: float
    least: float

    def __str__(self) -> str:
        """Say in figures why something was too unlikely to be taken."""
        return f"chance {self.probability:.0%}, threshold {self.least:.0%}"


def threshold(options: CompletionOptions, lately: Lately = UNKNOWN) -> float:
    """Return the least chance, 0 to 1, at which a suggestion is always shown."""
    annoyed = 1 + ANNOYED * (lately.dismissed - UNKNOWN.dismissed)
    factor = FACTORS[options.aggressiveness] * min(max(annoyed, 1.0), MOST_ANNOYED)
    return min(1.0, options.threshold * factor)


def show_share(chance: float, least: float, *, invoked: bool = False) -> float:
    """Return how often a suggestion is shown whose chance is ``chance``, at a threshold."""
    if invoked or chance >= least:
        return 1.0
    return EXPLORE_SHARE if chance >= least - EXPLORE_BAND else 0.0


def decide(
    given: Vector,
    belief: Belief,
    options: CompletionOptions,
    draw: float = 1.0,
    lately: Lately = UNKNOWN,
) -> Decision:
    """Decide; ``draw`` is uniform in [0, 1) and settles the cases just below the threshold.

    The default draw never explores. What the developer asked for is always shown.
    """
    chance = belief.probability(given)
    least = threshold(options, lately)
    share = show_share(chance, least, invoked=features.asked(given))
    return Decision(share == 1.0 or draw < share, share, chance, least)
