"""Everything that the learning report says, read once from the store; how it looks is `page`'s.

The editor, the command line and the page that it writes all show one `Report`.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falcon_lsp.core.paths import Store
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.learning.rewards import reward
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.memory.rejection_log import RejectionLog
from falcon_lsp.memory.rejections import Rejection, Rejections
from falcon_lsp.model.adapters import GLOBAL, PROMOTED, AdapterManifest, AdapterRegistry
from falcon_lsp.report.periods import DAY, Period, periods, span

WEEKS = 26
"""How far back the report looks."""

MOST_ENTRIES, MOST_FILES, MOST_REJECTIONS, MOST_DECISIONS = 100, 30, 100, 50
"""Rows that one table shows."""

LEFT_BY = {"use": ("it was worse in use",), "hand": ("by hand",)}
"""Why a version was left, by what the log of verdicts says."""

REWARDED, GROUP = 320, 32
"""Rewards are those of the latest so many finished suggestions, in groups as large as a batch."""


@dataclass(frozen=True, slots=True)
class RewardGroup:
    """Mean reward and mean of each of its terms over ``count`` suggestions that end at ``time``."""

    time: float
    count: int
    total: float
    terms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Version:
    """One adapter; gains in nats per token (None: not measured), ``regression`` relative.

    ``everywhere`` is false of a version that serves one workspace alone, ``current`` says whether
    it is the one that is served there, or everywhere.
    """

    id: str
    created: float
    parent: str
    learned: int
    promoted: bool
    current: bool
    everywhere: bool
    verdict: str
    reasons: tuple[str, ...]
    gain: float | None
    bound: float | None
    rejected_gain: float | None
    regression: float | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a version at ``time``, for which reasons; ``to`` is served instead."""

    time: float
    what: str
    adapter: str
    reasons: tuple[str, ...]
    to: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """How much is recorded of one file."""

    workspace: str
    path: str
    suggestions: int
    taken: int


@dataclass(frozen=True, slots=True)
class StorageRow:
    """One kind of file, what it is for, and its size in bytes."""

    name: str
    purpose: str
    size: int


@dataclass(frozen=True, slots=True)
class Report:
    """``made`` in seconds; ``entries`` are the latest of ``found`` ones that match ``search``."""

    made: float
    store: str
    counts: Mapping[str, int]
    this_week: Period
    last_week: Period
    periods: Sequence[Period]
    rewards: Sequence[RewardGroup]
    current: str
    versions: Sequence[Version]
    decisions: Sequence[Decision]
    search: str
    found: int
    entries: Sequence[Episode]
    files: Sequence[FileRow]
    rejections: Sequence[Rejection]
    storage: Sequence[StorageRow]


def gather(
    store: Store,
    ledger: Ledger,
    *,
    search: str = "",
    scope: str = GLOBAL,
    rejections: Sequence[Rejection] | None = None,
    now: float | None = None,
) -> Report:
    """Read the report's figures, as the workspace of ``scope`` is served.

    ``rejections`` spares the reader who knows them already. Raises `LedgerUnavailable`.
    """
    now = time.time() if now is None else now
    recorded = ledger.outlines(now - WEEKS * 7 * DAY)
    episodes = [each for each in recorded if each.time <= now]  # clocks have been wrong before
    matching = [each for each in episodes if matches(each, search)]
    registry = AdapterRegistry(store.adapters)
    return Report(
        made=now,
        store=str(store.data),
        counts=ledger.counts(),
        this_week=span(episodes, now - 7 * DAY, now),
        last_week=span(episodes, now - 14 * DAY, now - 7 * DAY),
        periods=periods(episodes, now),
        rewards=_rewards(ledger.episodes(limit=REWARDED, with_outcome=True)),
        current=registry.current(scope=scope),
        versions=[_version(manifest, registry) for manifest in reversed(registry.list())],
        decisions=_decisions(store),
        search=search,
        found=len(matching),
        entries=matching[: -MOST_ENTRIES - 1 : -1],
        files=_files(matching),
        rejections=(_rejections(ledger, now) if rejections is None else rejections)[
            :MOST_REJECTIONS
        ],
        storage=_storage(store),
    )


def this_week(ledger: Ledger, now: float | None = None) -> Period:
    """Return the figures of the last seven days alone; raises `LedgerUnavailable`."""
    now = time.time() if now is None else now
    return span(ledger.outlines(now - 7 * DAY), now - 7 * DAY, now)


def matches(episode: Episode, search: str) -> bool:
    """Whether every word of ``search`` occurs in the episode's text, place or outcome."""
    said = (episode.suggestion.text, episode.settled_text or "", episode.path, episode.language)
    text = "\n".join((*said, episode.outcome or "", episode.completion_id)).casefold()
    return all(word in text for word in search.casefold().split())


def _rewards(episodes: Sequence[Episode]) -> list[RewardGroup]:
    """Return the latest groups, oldest first; the newest is full, the oldest may be short."""
    starts = range(len(episodes) % GROUP - GROUP, len(episodes), GROUP)
    groups = [episodes[max(0, start) : start + GROUP] for start in starts]
    return [_group(group) for group in groups if group]


def _group(episodes: Sequence[Episode]) -> RewardGroup:
    rewards = [reward(episode) for episode in episodes]
    sums: Counter[str] = Counter()
    for each in rewards:
        sums.update(each.terms)
    size = len(rewards)
    terms = {name: value / size for name, value in sums.items()}
    total = sum(each.total for each in rewards) / size
    return RewardGroup(episodes[-1].time, size, total, terms)


def _version(manifest: AdapterManifest, registry: AdapterRegistry) -> Version:
    verdict = manifest.metrics.get("verdict")
    known: Mapping[str, Any] = verdict if isinstance(verdict, dict) else {}
    return Version(
        id=manifest.id,
        created=_number(manifest.created) or 0.0,
        parent=manifest.parent,
        learned=len(manifest.completion_ids),
        promoted=manifest.status == PROMOTED,
        current=manifest.id == registry.current(scope=manifest.scope),
        everywhere=manifest.scope == GLOBAL,
        verdict=manifest.verdict,
        reasons=tuple(str(reason) for reason in manifest.reasons),
        gain=_number(known.get("liked_gain")),
        bound=_number(known.get("liked_gain_bound")),
        rejected_gain=_number(known.get("disliked_gain")) if known.get("disliked") else None,
        regression=_number(known.get("regression")),
    )


def _decisions(store: Store) -> list[Decision]:
    """Return the latest decisions, newest first; versions may be gone that they are about."""
    rows = VerdictLog(store.adapters).rows()[: -MOST_DECISIONS - 1 : -1]
    return [
        Decision(
            time=_number(row.get("time")) or 0.0,
            what=str(row.get("what", "")),
            adapter=str(row.get("adapter", "")),
            reasons=_texts(row.get("reasons")) or LEFT_BY.get(str(row.get("by")), ()),
            to=str(row.get("to", "")),
        )
        for row in rows
    ]


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _number(value: object) -> float | None:
    """Return a finite number of a manifest, which anyone may have written."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _files(episodes: Sequence[Episode]) -> list[FileRow]:
    known = Counter((each.workspace, each.path) for each in episodes)
    taken = Counter(
        (each.workspace, each.path)
        for each in episodes
        if each.outcome is not None and each.outcome.positive
    )
    return [FileRow(*file, count, taken[file]) for file, count in known.most_common(MOST_FILES)]


def _rejections(ledger: Ledger, now: float) -> Sequence[Rejection]:
    log = RejectionLog(Rejections())
    log.catch_up(ledger)
    return log.rejections.entries(now)


def _storage(store: Store) -> list[StorageRow]:
    ledger = store.data.glob(f"{store.ledger.stem}*")
    return [
        StorageRow("Ledger", "all that was recorded", sum(map(_size, ledger))),
        StorageRow("Long-term memory", "the index for recall", _size(store.chroma)),
        StorageRow("Adapters", "what was trained", _size(store.adapters)),
        StorageRow("Models", "fetched and converted once", _size(store.models)),
        StorageRow("Quantised weights", "made from the model", _size(store.quantised)),
    ]


def _size(path: Path) -> int:
    """Return the bytes of a file or of all in a folder; what vanishes meanwhile counts nothing."""
    try:
        if not path.is_dir():
            return path.stat().st_size
        return sum(_size(entry) for entry in path.iterdir() if not entry.is_symlink())
    except OSError:
        return 0
