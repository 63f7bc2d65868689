"""Whether a candidate may serve: measured on what came later, decided by one pure function.

The rule, in the order in which reasons are given:

1. every weight is finite, and the KL to the base stays under its cap;
2. at least `LEAST_LIKED` held-out texts exist, all later than anything that was trained on;
3. their mean log-likelihood (nats per token) rises against the adapter in use, and the one-sided
   90 % bound of a paired bootstrap stays above `-TOLERANCE`. A bootstrap of very few values is too
   sure of itself, so below `SMALL_SAMPLE` texts the bound must be above zero;
4. the likelihood of rejected text rises no more than that of liked text;
5. on a frozen set of ordinary code the loss rises by less than 2 % against the *base*: measured
   against the adapter in use, fifty updates could each lose a little;
6. no file, and no workspace, with `LEAST_LIKED` later texts has surely lost: feedback that
   contradicts itself, as when somebody feeds in what others decline, promotes nothing;
7. asked again for what the developer went on to write, it says no less of it, breaks no more
   files, and takes no longer: an adapter costs nothing per token once merged, so tokens are time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

LEAST_LIKED = 4
SMALL_SAMPLE = 8
TOLERANCE = 0.01
KL_CAP = 0.3
REGRESSION_CAP = 0.02
CONFIDENCE = 0.9
RESAMPLES = 2000
LENGTH_CAP = 1.25
"""So many times the tokens of before may an answer take, and two more."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """Mean log-likelihoods per token (nats), one entry per text, in the same order on both sides.

    ``kl`` is the mean KL(candidate || base) per token on the held-out texts. ``files`` and
    ``workspaces`` say where each liked text stands. Of the answers that were asked for again,
    ``kept`` is the share of the liked text that they hold, ``broken`` how many break their file,
    ``tokens`` how many they took together.
    """

    liked_current: Sequence[float]
    liked_candidate: Sequence[float]
    disliked_current: Sequence[float]
    disliked_candidate: Sequence[float]
    regression_base: Sequence[float]
    regression_candidate: Sequence[float]
    kl: float
    finite: bool
    files: Sequence[str] = ()
    workspaces: Sequence[str] = ()
    kept_current: Sequence[float] = ()
    kept_candidate: Sequence[float] = ()
    broken_current: int = 0
    broken_candidate: int = 0
    tokens_current: int = 0
    tokens_candidate: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, its reasons (empty when promoted) and every number behind it.

    Gains are in nats per token; ``regression`` is the relative rise of the loss (0.01 is 1 %).
    ``losers`` counts files and workspaces that surely lost. ``kept_gain`` is a difference of
    shares over ``replayed`` answers, ``broken`` one of counts, ``length`` a ratio of tokens.
    """

    promoted: bool
    reasons: tuple[str, ...]
    liked: int
    disliked: int
    liked_gain: float
    liked_gain_bound: float
    disliked_gain: float
    regression: float
    kl: float
    finite: bool
    losers: int = 0
    replayed: int = 0
    kept_gain: float = 0.0
    broken: int = 0
    length: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON; a number that is not finite becomes None."""
        numbers = asdict(self) | {"reasons": list(self.reasons)}
        return {key: _plain(value) for key, value in numbers.items()}


def judge(measured: Measurements, seed: int = 0) -> Verdict:
    """Decide by the rule above; deterministic for a seed."""
    gains = _differences(measured.liked_candidate, measured.liked_current)
    disliked = _differences(measured.disliked_candidate, measured.disliked_current)
    gain, bound = _mean(gains), bootstrap_bound(gains, CONFIDENCE, seed)
    regression = _relative_rise(measured.regression_base, measured.regression_candidate)
    disliked_gain = _mean(disliked)
    floor = 0.0 if len(gains) < SMALL_SAMPLE else -TOLERANCE
    losers = sum(_losers(gains, groups, seed) for groups in (measured.files, measured.workspaces))
    kept_gain = _mean(_differences(measured.kept_candidate, measured.kept_current))
    broken = measured.broken_candidate - measured.broken_current
    allowed = LENGTH_CAP * measured.tokens_current + 2 * len(measured.kept_current)
    checks = (
        (measured.finite, "a weight is not a finite number"),
        (measured.kl <= KL_CAP, f"KL to the base {measured.kl:.3f} above {KL_CAP:g}"),
        (
            len(gains) >= LEAST_LIKED,
            f"too few later texts to judge by: {len(gains)} of {LEAST_LIKED}",
        ),
        (gain > 0.0, f"liked text became no likelier ({gain:+.4f} nats per token)"),
        (bound > floor, f"not sure enough: the 90 % bound is {bound:+.4f}, needed {floor:+.2f}"),
        (
            not disliked or disliked_gain <= gain,
            f"rejected text gained more ({disliked_gain:+.4f}) than liked text ({gain:+.4f})",
        ),
        (regression < REGRESSION_CAP, f"ordinary code lost {regression:.1%} against the base"),
        (losers == 0, f"what is liked in {losers} places became less likely: they contradict"),
        (kept_gain >= 0.0, f"asked again, it says {-kept_gain:.1%} less of what was kept"),
        (broken <= 0, f"asked again, it breaks {broken} more files"),
        (
            measured.tokens_candidate <= allowed,
            f"asked again, it takes {measured.tokens_candidate} tokens, not "
            f"{measured.tokens_current}",
        ),
    )
    reasons = tuple(reason for passed, reason in checks if not passed)
    return Verdict(
        not reasons,
        reasons,
        len(gains),
        len(disliked),
        gain,
        bound,
        disliked_gain,
        regression,
        measured.kl,
        measured.finite,
        losers,
        len(measured.kept_candidate),
        kept_gain,
        broken,
        measured.tokens_candidate / max(1, measured.tokens_current),
    )


def _losers(gains: Sequence[float], groups: Sequence[str], seed: int) -> int:
    """Return how many groups of `LEAST_LIKED` texts or more have surely lost."""
    members: dict[str, list[float]] = {}
    for gain, group in zip(gains, groups, strict=False):
        members.setdefault(group, []).append(gain)
    large = (each for each in members.values() if LEAST_LIKED <= len(each) < len(gains))
    return sum(
        -bootstrap_bound([-gain for gain in each], CONFIDENCE, seed) < -TOLERANCE for each in large
    )


def bootstrap_bound(values: Sequence[float], confidence: float, seed: int) -> float:
    """Return the one-sided lower bound of the mean of ``values``; -inf when there are none."""
    if not values or not all(map(math.isfinite, values)):
        return -math.inf
    rng = random.Random(seed)
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return means[int((1.0 - confidence) * RESAMPLES)]


def _differences(after: Sequence[float], before: Sequence[float]) -> list[float]:
    return [new - old for new, old in zip(after, before, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0


def _relative_rise(base: Sequence[float], candidate: Sequence[float]) -> float:
    """Return how much the mean loss rose, relative to the base; NaN poisons the comparison."""
    before, after = -_mean(base), -_mean(candidate)
    return (after - before) / before if before > 0.0 else after - before


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
