"""What the developer has declined, so that it is not offered in that context again.

A text is kept back by all that was said against its like in its context, whatever file, adapter or
process that came from; what was said fades. `falcon_lsp.memory.likeness` says what is alike.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.likeness import MAX_CHARACTERS, Spot, Tokens, alike, spot

SAID, GUESSED = 1.0, 0.5
"""What a rejection weighs at first: a guess from edits half of what the developer reported."""
BLOCKING = 0.5
"""A text against which more than this was said is not offered."""
HALF_LIFE = 30 * 86400.0
"""Seconds after which a rejection weighs half: one that was said holds so long."""
MAX_AGE = 4 * HALF_LIFE
"""Older rejections are not even read from the ledger."""
MAX_REJECTIONS = 10_000
MAX_PER_CONTEXT = 64
"""Rejections with one beginning in one context: the bound on what one question compares."""

_Key = tuple[str, Tokens, str]
"""Workspace, a line of the context, first token."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """What was said against one text in one context; ``id`` is that of its latest suggestion.

    ``weight`` is that of now, ``until`` (seconds since the epoch) when it falls to `BLOCKING`;
    where ``never`` was said, it does not fall.
    """

    id: str
    workspace: str
    path: str
    language: str
    text: str
    time: float
    weight: float
    until: float
    completion_ids: tuple[str, ...]
    never: bool = False

    @property
    def blocks(self) -> bool:
        """Whether the text is kept from being offered."""
        return self.weight > BLOCKING


@dataclass(frozen=True, slots=True, eq=False)
class _No:
    """One suggestion that was declined."""

    completion_id: str
    workspace: str
    path: str
    language: str
    text: str
    time: float
    first_weight: float
    never: bool
    spot: Spot

    def weight(self, now: float) -> float:
        if self.never:
            return self.first_weight
        return self.first_weight * math.exp2(-max(0.0, now - self.time) / HALF_LIFE)


class Rejections:
    """The latest `MAX_REJECTIONS` of all workspaces. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[_Key, list[_No]] = {}
        self._by_id: OrderedDict[str, _No] = OrderedDict()

    def take(self, episode: Episode) -> None:
        """Let ``episode`` count as its outcome says now; taking it again changes nothing.

        What is taken makes good for what was declined before. An outcome that says nothing
        withdraws what the episode said.
        """
        outcome = episode.outcome
        with self._lock:
            self._withdraw(episode.completion_id)
            if outcome is None or not episode.suggestion.text.strip():
                return
            if outcome.positive:
                self._make_good(episode)
            elif outcome in (Outcome.REJECTED, Outcome.UNDONE):
                self._keep(_no(episode))

    def block(self, workspace: str, before: str, text: str, now: float) -> bool:
        """Whether enough was said against (nearly) ``text`` after ``before``."""
        where = spot(before, text)
        with self._lock:
            return sum(no.weight(now) for no in self._like(workspace, where)) > BLOCKING

    def entries(self, now: float, workspace: str | None = None) -> list[Rejection]:
        """Return what is declined (in one workspace), the latest first, each text once."""
        found: list[Rejection] = []
        listed: set[str] = set()
        with self._lock:
            for no in sorted(self._by_id.values(), key=lambda no: -no.time):
                if workspace in {None, no.workspace} and no.completion_id not in listed:
                    entry = _entry([no, *self._like(no.workspace, no.spot)], now)
                    listed.update(entry.completion_ids)
                    found.append(entry)
        return found

    def withdraw(self, completion_ids: Iterable[str]) -> None:
        """Let these suggestions not count as declined."""
        with self._lock:
            for completion_id in completion_ids:
                self._withdraw(completion_id)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._by_key.clear()
            self._by_id.clear()

    def _like(self, workspace: str, where: Spot) -> set[_No]:
        return {
            no
            for key in _keys(workspace, where)
            for no in self._by_key.get(key, ())
            if alike(no.spot, where)
        }

    def _keep(self, no: _No) -> None:
        self._by_id[no.completion_id] = no
        for key in _keys(no.workspace, no.spot):
            nos = self._by_key.setdefault(key, [])
            nos.append(no)
            del nos[:-MAX_PER_CONTEXT]
        if len(self._by_id) > MAX_REJECTIONS:
            self._withdraw(next(iter(self._by_id)))

    def _make_good(self, episode: Episode) -> None:
        where = spot(episode.suggestion.prompt.prefix, episode.suggestion.text)
        for no in self._like(episode.workspace, where):
            if no.time <= episode.time and not no.never:
                self._withdraw(no.completion_id)

    def _withdraw(self, completion_id: str) -> None:
        no = self._by_id.pop(completion_id, None)
        for key in _keys(no.workspace, no.spot) if no is not None else ():
            rest = [each for each in self._by_key.get(key, ()) if each is not no]
            if rest:
                self._by_key[key] = rest
            else:
                self._by_key.pop(key, None)


def rejection_row(rejection: Rejection) -> dict[str, Any]:
    """Return a rejection as lists of them show it, in plain JSON values."""
    return {**asdict(rejection), "blocks": rejection.blocks}


def _keys(workspace: str, where: Spot) -> Iterator[_Key]:
    for line in where.context if where.tokens else ():
        yield workspace, line, where.tokens[0]


def _no(episode: Episode) -> _No:
    suggestion = episode.suggestion
    return _No(
        episode.completion_id,
        episode.workspace,
        episode.path,
        episode.language,
        suggestion.text[:MAX_CHARACTERS],
        episode.time,
        GUESSED if episode.inferred else SAID,
        episode.never,
        spot(suggestion.prompt.prefix, suggestion.text),
    )


def _entry(alike_ones: list[_No], now: float) -> Rejection:
    """Return what one text, the first of those that are alike, has against it."""
    latest = alike_ones[0]
    nos = {no.completion_id: no for no in alike_ones}
    weight = sum(no.weight(now) for no in nos.values())
    return Rejection(
        id=latest.completion_id,
        workspace=latest.workspace,
        path=latest.path,
        language=latest.language,
        text=latest.text,
        time=latest.time,
        weight=weight,
        until=now + HALF_LIFE * math.log2(weight / BLOCKING),
        completion_ids=tuple(nos),
        never=any(no.never for no in nos.values()),
    )
