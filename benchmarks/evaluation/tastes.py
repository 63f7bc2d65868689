"""From recorded sightings to the prior of the quiet policy, and what quiet costs and spares."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.intervals import Ratio
from evaluation.sightings import Sighting
from falcon_lsp.completion import features
from falcon_lsp.completion.belief import Belief, Prior, dot, logistic
from falcon_lsp.completion.evidence import Allowance, evidence
from falcon_lsp.completion.features import Vector
from falcon_lsp.completion.policy import show_share, threshold
from falcon_lsp.config import CompletionOptions
from falcon_lsp.core.types import Lately, Outcome
from falcon_lsp.memory.short_term import share_dismissed, share_taken, trend
from falcon_lsp.replay.user import NOISE

GUESSES: Mapping[str, float] = {
    "inside word": -5.5, "after closer": -0.7, "unseen": -0.8, "acceptance": 0.5, "here": 0.2,
    "around": 0.1, "errors": -0.2, "waited": -0.2,
}  # fmt: skip
"""Weights that are believed before fitting; most are of what a replay never shows. Others are 0."""

UNSEEN = ("invoked", "cut", "pause", "pace", "errors", "waited")
"""Features that a replay leaves still, or that say more about its machine: never fitted."""

RIDGE = 1.0
"""How much the fit is held at `GUESSES`, in outcomes; chosen on the development projects."""

SPREAD, SPREAD_OF_ONE = 0.1, 0.4
"""How much developers are believed to differ: in each weight, and in how often they accept at all.

Chosen on the development projects: wider spreads learn other developers than the usual one sooner
and the usual one worse.
"""

THRESHOLDS = (0.04, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.2, 0.24, 0.3)

STEP_SECONDS = 3600.0
"""How far apart commits are, for the allowance's recovery: a developer makes several a day."""


def matrix(rows: Sequence[Sighting]) -> NDArray[np.float64]:
    """Return the features, one row each."""
    return np.array([row.features for row in rows])


def wanted(rows: Sequence[Sighting]) -> NDArray[np.float64]:
    """Return 1 for each suggestion that the developer would take, else 0."""
    return np.array([row.wanted for row in rows], dtype=np.float64)


def fit(rows: Sequence[Sighting]) -> Prior:
    """Return the weights of a logistic regression, held at `GUESSES`, on what was taken.

    The target is the chance that the simulated user takes a suggestion, noise and all.
    """
    given, taken = matrix(rows), NOISE + (1 - 2 * NOISE) * wanted(rows)
    guess = np.array([GUESSES.get(name, 0.0) for name in features.NAMES])
    hold = np.array([1e9 if name in UNSEEN else RIDGE for name in features.NAMES])
    hold[0] = 0.01
    weights = guess.copy()
    for _ in range(50):
        chance = 1 / (1 + np.exp(-given @ weights))
        curvature = (given * (chance * (1 - chance))[:, None]).T @ given + np.diag(hold)
        step = np.linalg.solve(curvature, given.T @ (taken - chance) - hold * (weights - guess))
        weights += step
        if np.abs(step).max() < 1e-10:
            break
    spread = (SPREAD_OF_ONE, *(SPREAD for _ in features.NAMES[1:]))
    return Prior(tuple(round(float(w), 4) for w in weights), spread)


def without_each(rows: Sequence[Sighting]) -> Iterator[tuple[Prior, list[Sighting]]]:
    """Yield each project's rows with the prior that all the others make."""
    for project, own in by_project(rows).items():
        yield fit([row for row in rows if row.project != project]), own


def by_project(rows: Sequence[Sighting]) -> dict[str, list[Sighting]]:
    """Return the rows of each project, in time order as recorded."""
    found: dict[str, list[Sighting]] = defaultdict(list)
    for row in rows:
        found[row.project].append(row)
    return found


@dataclass(slots=True)
class Judged:
    """A sighting with the chance that the policy gave it and how often it would be shown."""

    row: Sighting
    chance: float
    share: float


def judge(
    rows: Sequence[Sighting], prior: Prior, least: float, *, learning: bool, seed: int = 1
) -> list[Judged]:
    """Return what the policy does at one developer's sightings, in time order.

    Where it learns, it does so from what it shows alone (explored ones too), and what happened
    lately is what happened to those.
    """
    developer = _Developer(Belief.fresh(prior), random.Random(f"{seed}:{rows[0].project}"))
    return [developer.meet(row, least, learning=learning) for row in rows]


class Said(NamedTuple):
    """A verdict, and whether it was concluded from what was typed."""

    outcome: Outcome
    inferred: bool


class _Developer:
    def __init__(self, belief: Belief, rng: random.Random) -> None:
        self._belief = belief
        self._rng = rng
        self._allowance = Allowance()
        self._everywhere: list[Outcome] = []
        self._here: dict[int, list[Outcome]] = defaultdict(list)
        self._verdicts: list[Said] = []

    def meet(self, row: Sighting, least: float, *, learning: bool) -> Judged:
        here = self._here[row.file] if learning else []
        given = with_history(row.features, self._everywhere if learning else [], here)
        chance = self._belief.probability(given)
        lately = Lately(dismissed=share_dismissed(self._verdicts))
        share = show_share(chance, threshold(CompletionOptions(threshold=least), lately))
        if learning and (share == 1.0 or self._rng.random() < share):
            self._learn(row, given)
        return Judged(row, chance, share)

    def _learn(self, row: Sighting, given: Vector) -> None:
        what = Outcome.ACCEPTED if row.took else Outcome.REJECTED
        self._everywhere.append(what)
        self._here[row.file].append(what)
        self._verdicts.append(Said(what, inferred=not row.said))
        found = evidence({"outcome": what.value, "inferred": not row.said})
        if found is not None:
            taken, worth = found
            now = row.step * STEP_SECONDS
            granted = self._allowance.grant(row.project, str(row.file), worth, now)
            self._belief = self._belief.learned(given, taken, granted)


def with_history(given: Vector, everywhere: Sequence[Outcome], here: Sequence[Outcome]) -> Vector:
    """Return features with another past."""
    changed = {
        "acceptance": share_taken(everywhere) - 0.3, "here": trend(here),
        "around": trend(everywhere), "waited": 0.0,
    }  # fmt: skip
    return tuple(
        changed.get(name, number) for name, number in zip(features.NAMES, given, strict=True)
    )


def outcome(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return how much is not shown, and how much of what was wanted is lost, with intervals.

    Of what is explored the share that is shown counts as shown.
    """
    clusters = [f"{each.row.project}:{each.row.step}" for each in judged]
    hidden = [1 - each.share for each in judged]
    want = [float(each.row.wanted) for each in judged]
    lost = [w * h for w, h in zip(want, hidden, strict=True)]
    shown = [1 - h for h in hidden]
    got = [w * s for w, s in zip(want, shown, strict=True)]
    kept = [float(each.row.kept if each.row.wanted else 0) for each in judged]
    spared = [k * h for k, h in zip(kept, hidden, strict=True)]
    return {
        "fewer": _with_interval(Ratio(hidden, [1.0] * len(judged), clusters)),
        "accepts_lost": _with_interval(Ratio(lost, want, clusters)),
        "kept_chars_lost": _with_interval(Ratio(spared, kept, clusters)),
        "acceptance": _with_interval(Ratio(got, shown, clusters)),
    }


def calibration(judged: Sequence[Judged], bins: int = 10) -> dict[str, float]:
    """Return Brier score, expected calibration error (equal-count bins) and AUC, against took."""
    chance = np.array([each.chance for each in judged])
    took = np.array([float(each.row.took) for each in judged])
    order = np.argsort(chance, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    error = sum(len(p) * abs(chance[p].mean() - took[p].mean()) for p in parts) / len(judged)
    return {
        "brier": round(float(((chance - took) ** 2).mean()), 4),
        "brier_of_the_mean": round(float(took.mean() * (1 - took.mean())), 4),
        "ece": round(float(error), 4),
        "auc": round(area(chance, took), 4),
    }


def area(chance: NDArray[np.float64], took: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve: how often one that is taken ranks before one not."""
    order = np.argsort(chance, kind="stable")
    ranks = np.empty(len(chance))
    ranks[order] = np.arange(1, len(chance) + 1)
    for value in np.unique(chance):
        ranks[chance == value] = ranks[chance == value].mean()
    yes = took.sum()
    no = len(took) - yes
    return float((ranks[took == 1].sum() - yes * (yes + 1) / 2) / max(yes * no, 1))


def curve(judged: Sequence[Judged]) -> list[tuple[float, float]]:
    """Return (share of all that is hidden, share of wanted ones lost) for rising thresholds."""
    ordered = sorted(judged, key=lambda each: each.chance)
    total = max(1, sum(each.row.wanted for each in ordered))
    lost = itertools.accumulate(float(each.row.wanted) for each in ordered)
    return [((at + 1) / len(ordered), gone / total) for at, gone in enumerate(lost)]


def log_loss(judged: Sequence[Judged]) -> float:
    """Return the mean negative log-likelihood of what was taken (nats)."""
    chance = np.clip([each.chance for each in judged], 1e-6, 1 - 1e-6)
    took = np.array([float(each.row.took) for each in judged])
    return float(-(took * np.log(chance) + (1 - took) * np.log(1 - chance)).mean())


def written(prior: Prior, rows: Sequence[Sighting]) -> dict[str, Any]:
    """Return a prior as `Prior.read` reads it, with what it was made from."""
    weights = {
        name: {"mean": mean, "spread": spread}
        for name, mean, spread in zip(features.NAMES, prior.mean, prior.spread, strict=True)
    }
    projects = sorted({row.project for row in rows})
    about = {"sightings": len(rows), "projects": projects, "ridge": RIDGE}
    return {"version": features.VERSION, "fitted_on": about, "weights": weights}


def other_developers(rows: Sequence[Sighting]) -> dict[str, list[Sighting]]:
    """Return what others than the usual developer would have done at the same suggestions."""
    rng = random.Random(7)
    length = features.NAMES.index("length")
    return {
        "the usual one": list(rows),
        "takes three in ten of what the usual one takes": [
            _declined(row) if rng.random() > 0.3 else row for row in rows
        ],
        "takes nothing below 24 characters": [
            _declined(row) if row.features[length] < SHORT else row for row in rows
        ],
    }


SHORT = 0.8
"""What `features` makes of 24 characters."""


def one_life(rows: Sequence[Sighting]) -> list[Sighting]:
    """Return all rows as one developer's in one long history, commit after commit."""
    order = {key: at for at, key in enumerate(dict.fromkeys((r.project, r.step) for r in rows))}
    return [replace(row, step=order[row.project, row.step]) for row in rows]


def by_hand(rows: Sequence[Sighting]) -> list[Judged]:
    """Return what the policy did before there was data: weights set by hand, threshold 0.25."""
    weights = [BY_HAND.get(name, 0.0) for name in features.NAMES]
    chances = [logistic(dot(weights, row.features)) for row in rows]
    return [Judged(row, c, show_share(c, 0.25)) for row, c in zip(rows, chances, strict=True)]


BY_HAND: Mapping[str, float] = {
    "one": 0.2, "after word": 0.1, "after dot": 0.3, "after opener": 0.2, "after operator": 0.2,
    "after closer": -0.7, "inside word": -2.5, "unseen": -0.8, "doubt": -1.2, "matched": 0.96,
    "acceptance": 2.0,
}  # fmt: skip


def _declined(row: Sighting) -> Sighting:
    return replace(row, wanted=False, took=False, kept=0)


def _with_interval(ratio: Ratio) -> dict[str, float]:
    low, high = ratio.interval()
    return {"value": round(ratio.value, 4), "low": round(low, 4), "high": round(high, 4)}
