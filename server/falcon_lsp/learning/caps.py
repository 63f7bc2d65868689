"""How much of one source an update may take: a flood of feedback fills no batch.

The ledger already bounds what a file adds to the queue in a day; here a burst within that is bound,
before anything is held out, so that a flood neither trains an adapter nor sits in judgement on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from falcon_lsp.memory.episodes import Episode

MOST_PER_FILE_AND_HOUR = 48
"""Nearly one a minute, all hour, in one file: more than people accept and decline."""

_HOUR_SECONDS = 3600


def surplus(episodes: Sequence[Episode], most: int = MOST_PER_FILE_AND_HOUR) -> frozenset[str]:
    """Return the ids of what one file has too many of in any hour; the first ``most`` stay."""
    counts: Counter[tuple[str, str, int]] = Counter()
    over = set()
    for episode in sorted(episodes, key=lambda one: (one.time, one.completion_id)):
        source = (episode.workspace, episode.path, int(episode.time // _HOUR_SECONDS))
        counts[source] += 1
        if counts[source] > most:
            over.add(episode.completion_id)
    return frozenset(over)
