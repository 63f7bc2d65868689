"""Whether an adapter turned out worse in use than what was served before it, and back if so.

The gate foretells; this looks at what became of the suggestions. Every episode of a version is a
bet against "it is no worse than before": capital grows when less is kept. Under that hypothesis
its expectation never rises, so that it ever exceeds `ALARM` has a chance below ``1 / ALARM``,
however often one looks (Ville's inequality; betting as in arXiv 2010.09686).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from falcon_lsp.learning.judging.verdicts import ROLLED_BACK, VerdictLog
from falcon_lsp.learning.rewards import kept_characters
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model.adapters import BASE, GLOBAL, AdapterRefused, AdapterRegistry, scope_of

logger = logging.getLogger(__name__)

ALARM = 40.0
"""Capital at which a version is left: false at most once in 40 versions, beside `FLOOR_SIGMAS`."""

FLOOR_SIGMAS = 1.96
"""What was before is taken to have been worth its one-sided 97.5 % lower bound."""

LEAST_BEFORE = 30
MOST_BEFORE = 400


@dataclass(frozen=True, slots=True)
class Evidence:
    """Mean worth before and in use, in [0, 1], with counts; ``floor`` is what was bet against."""

    before: float
    since: float
    floor: float
    capital: float
    count_before: int
    count_since: int

    @property
    def worse(self) -> bool:
        """Whether the version is to be left."""
        return self.capital >= ALARM


def step_back(registry: AdapterRegistry, episodes: Sequence[Episode]) -> list[tuple[str, str]]:
    """Leave every served version that is worse in use; returns pairs of what was and is served.

    ``episodes`` are those with an outcome, oldest first. A version is left by itself only once:
    whoever serves it again knows better. Raises `AdapterRefused`, when another process is changing
    the adapters, and `OSError`.
    """
    log = VerdictLog(registry.folder)
    left = {
        row.get("adapter")
        for row in log.rows()
        if (row.get("what"), row.get("by")) == (ROLLED_BACK, "use")
    }
    done = []
    for scope, served in registry.served().items():
        if served == BASE or served in left:
            continue
        found = evidence_of(registry, served, scope, episodes)
        if found is None or not found.worse:
            continue
        registry.rollback(scope=scope)
        now = registry.current(scope=scope)
        log.add(ROLLED_BACK, served, scope, {"to": now, "by": "use", **asdict(found)})
        logger.warning("adapter %s was worse in use: %s is served", served, now)
        done.append((served, now))
    return done


def evidence_of(
    registry: AdapterRegistry, adapter_id: str, scope: str, episodes: Sequence[Episode]
) -> Evidence | None:
    """Compare a version with the one before it, where both were used; None: too little to say."""
    try:
        manifest = registry.show(adapter_id)
    except AdapterRefused:
        return None
    before_id = str(manifest.metrics.get("against", manifest.parent))
    mine = [e for e in episodes if scope in (GLOBAL, scope_of(e.workspace))]
    since = [e for e in mine if e.suggestion.adapter_id == adapter_id]
    before = [e for e in mine if e.suggestion.adapter_id == before_id]
    places = {e.workspace for e in since} & {e.workspace for e in before}
    return evidence(
        [worth(e) for e in before if e.workspace in places][-MOST_BEFORE:],
        [worth(e) for e in since if e.workspace in places],
    )


def evidence(before: Sequence[float], since: Sequence[float]) -> Evidence | None:
    """Bet on ``since`` being worth less than ``before``; values in [0, 1], in order of time."""
    if len(before) < LEAST_BEFORE or not since:
        return None
    floor = _lower_bound(before)
    return Evidence(
        fmean(before), fmean(since), floor, _capital(since, floor), len(before), len(since)
    )


def worth(episode: Episode) -> float:
    """Return the share of the suggestion that was kept; 0 for what was not taken, or undone."""
    text = episode.suggestion.text
    if episode.outcome is None or not episode.outcome.positive or not text:
        return 0.0
    return min(1.0, kept_characters(episode) / len(text))


def _lower_bound(values: Sequence[float]) -> float:
    """Return a lower bound of the mean; two imagined values keep it off the edges."""
    widened = [*values, 0.0, 1.0]
    mean = fmean(widened)
    variance = fmean((value - mean) ** 2 for value in widened)
    return max(0.0, mean - FLOOR_SIGMAS * math.sqrt(variance / len(widened)))


def _capital(values: Sequence[float], floor: float) -> float:
    """Return the most that bets against a mean of ``floor`` or more ever came to, from 1.

    Each stake goes by earlier values only, and never risks more than half.
    """
    capital = most = 1.0
    total, squares, count = 0.5, 0.25, 1.0
    for value in values:
        mean = total / count
        variance = max(squares / count - mean * mean, 0.01)
        edge = floor - mean
        stake = min(max(edge / (variance + edge * edge), 0.0), 0.5 / max(1e-9, 1.0 - floor))
        capital *= 1.0 + stake * (floor - value)
        most = max(most, capital)
        total, squares, count = total + value, squares + value * value, count + 1.0
    return most
