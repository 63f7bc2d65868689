"""Whether to show a suggestion or stay quiet: the estimated chance that it is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from falcon_lsp.completion import features
from falcon_lsp.completion.belief import Belief
from falcon_lsp.completion.features import Vector
from falcon_lsp.config import CompletionOptions

EXPLORE_BAND: Final = 0.05
"""Width of the band below the threshold in which a suggestion is shown now and then."""

EXPLORE_SHARE: Final = 0.05
"""How often inside the band: often enough to learn from, too seldom to disturb."""

FACTORS: Final = {"eager": 0.5, "balanced": 1.0, "quiet": 2.0}
"""What each aggressiveness makes of the threshold."""

Believed = Callable[[], Belief]
"""Returns what is believed of the developer now."""


@dataclass(frozen=True, slots=True)
class Decision:
    """``propensity`` is the chance with which the policy shows such a suggestion, 0 to 1."""

    show: bool
    propensity: float
    probability: float


def threshold(options: CompletionOptions) -> float:
    """Return the least chance, 0 to 1, at which a suggestion is always shown."""
    return min(1.0, options.threshold * FACTORS[options.aggressiveness])


def describe(chance: float, options: CompletionOptions) -> str:
    """Return in figures why something was too unlikely to be taken."""
    return f"chance {chance:.0%}, threshold {threshold(options):.0%}"


def show_share(chance: float, least: float, *, invoked: bool = False) -> float:
    """Return how often a suggestion is shown whose chance is ``chance``, at a threshold."""
    if invoked or chance >= least:
        return 1.0
    return EXPLORE_SHARE if chance >= least - EXPLORE_BAND else 0.0


def decide(
    given: Vector, belief: Belief, options: CompletionOptions, draw: float = 1.0
) -> Decision:
    """Decide; ``draw`` is uniform in [0, 1) and settles the cases just below the threshold.

    The default draw never explores. What the developer asked for is always shown.
    """
    return weigh(belief.probability(given), options, draw, invoked=features.asked(given))


def weigh(
    chance: float, options: CompletionOptions, draw: float = 1.0, *, invoked: bool = False
) -> Decision:
    """Decide about a suggestion whose chance is known."""
    share = show_share(chance, threshold(options), invoked=invoked)
    return Decision(show=share == 1.0 or draw < share, propensity=share, probability=chance)
