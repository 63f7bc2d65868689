"""What happened lately, per workspace: recent edits, episodes and findings, in bounded buffers.

Everything about suggestions can be rebuilt from the ledger; edits and findings are of this session
only. Any thread may call any method.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from falcon_lsp.core.text import TextSnapshot
from falcon_lsp.core.types import Diagnostic, Lately, Outcome, TextEdit
from falcon_lsp.memory.edits import Edit, Edits, by_hand
from falcon_lsp.memory.episodes import Episode, fold
from falcon_lsp.memory.events import Event, Kind
from falcon_lsp.memory.rejections import Rejections

MAX_WORKSPACES = 16
MAX_EDITS = 256
MAX_STROKES = 64
MAX_EPISODES = 256
MAX_URIS = 256
MAX_FINDINGS = 200
RATE_WINDOW = 32
"""The acceptance rate is about so many suggestions at most."""
USUAL_RATE = 0.3
"""What is assumed while nothing is known, with the weight of `USUAL_WEIGHT` suggestions."""
USUAL_WEIGHT = 4
USUAL_DISMISSED = Lately().dismissed
DISMISSED_WEIGHT = 10
"""The share of what is dismissed begins at the usual one, which weighs so many suggestions."""
TREND_WINDOW = 4
"""How many of the last verdicts make a trend; each counts half as much as the one after it."""
PACE_SECONDS = 5.0
NEAR_LINES = 3
_VERDICTS = {Outcome.REJECTED: -1.0, Outcome.UNDONE: -1.0, Outcome.IGNORED: -0.3}


class Verdict(Protocol):
    """How a suggestion ended, such as an `Episode`; ``inferred``: nobody said so."""

    @property
    def outcome(self) -> Outcome | None:
        """None while it is open."""

    @property
    def inferred(self) -> bool:
        """Whether it was concluded from what was typed."""


@dataclass(slots=True)
class _Workspace:
    edits: Edits = field(default_factory=lambda: Edits(MAX_EDITS))
    episodes: OrderedDict[str, Episode] = field(default_factory=OrderedDict)
    strokes: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=MAX_STROKES))


class ShortTermMemory:
    """Feeds the prompt (edits, findings), the filter (rejected before) and the quiet policy.

    ``rejections`` outlives it: it is kept up with the ledger (`RejectionLog`).
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.rejections = Rejections()
        self._lock = threading.Lock()
        self._workspaces: OrderedDict[str, _Workspace] = OrderedDict()
        self._findings: OrderedDict[str, dict[str, tuple[Diagnostic, ...]]] = OrderedDict()

    def edited(
        self,
        workspace: str,
        path: str,
        before: TextSnapshot,
        edits: Sequence[TextEdit],
        now: float,
    ) -> None:
        """Remember a change of a document; of what is done at once, see `by_hand`."""
        made = by_hand(before.text, edits)
        with self._lock:
            found = self._workspace(workspace)
            found.strokes.append((now, sum(len(edit.new_text) for edit in edits)))
            if made is not None:
                found.edits.add(path, *made, now)

    def observe(self, event: Event) -> None:
        """Take in an event as it is recorded."""
        with self._lock:
            workspace = self._workspace(event.workspace)
            episode = fold((event,), workspace.episodes.get(event.completion_id))
            if episode is not None:
                _remember(workspace, episode)
                if event.kind is Kind.OUTCOME:
                    self.rejections.take(episode)

    def restore(self, episodes: Iterable[Episode]) -> None:
        """Put what the ledger holds, in any order, before what was seen since the start."""
        with self._lock:
            seen = [e for found in self._workspaces.values() for e in found.episodes.values()]
            for episode in (*sorted(episodes, key=lambda episode: episode.time), *seen):
                _remember(self._workspace(episode.workspace), episode)
                self.rejections.take(episode)

    def clear(self) -> None:
        """Forget edits, episodes and findings; what the ledger still holds can be restored."""
        with self._lock:
            self._workspaces.clear()
            self._findings.clear()

    def diagnosed(self, uri: str, source: str, findings: Sequence[Diagnostic]) -> None:
        """Replace what ``source`` (our own check, or the editor) says about a document."""
        with self._lock:
            self._findings.setdefault(uri, {})[source] = tuple(findings[:MAX_FINDINGS])
            self._findings.move_to_end(uri)
            if not any(self._findings[uri].values()):
                del self._findings[uri]
            _shorten(self._findings, MAX_URIS)

    def recent_edits(self, workspace: str, limit: int) -> tuple[Edit, ...]:
        """Return at most ``limit`` edits, the latest first."""
        with self._lock:
            found = self._workspaces.get(workspace)
            return tuple(islice(found.edits, max(0, limit))) if found else ()

    def diagnostics_near(self, uri: str, line: int, radius: int) -> tuple[Diagnostic, ...]:
        """Return the findings of all sources at most ``radius`` lines away, nearest first."""
        with self._lock:
            sources = self._findings.get(uri, {})
            near = {
                finding: None
                for findings in sources.values()
                for finding in findings
                if abs(finding.line - line) <= radius
            }
        return tuple(sorted(near, key=lambda finding: abs(finding.line - line)))

    def rejected_before(self, workspace: str, before: str, text: str) -> bool:
        """Whether the developer declined (nearly) ``text`` where the end of ``before`` stands.

        See `Rejections.block`. One rejection that was said is enough, guessed ones count from the
        second; taking the same text later makes good for both.
        """
        return self.rejections.block(workspace, before, text, self._clock())

    def acceptance(self, workspace: str) -> float:
        """Return the share of recent suggestions that were taken, 0 to 1.

        It starts at `USUAL_RATE` and leaves it as outcomes come in.
        """
        with self._lock:
            found = self._workspaces.get(workspace)
            return share_taken(_final(found.episodes.values())) if found else USUAL_RATE

    def lately(self, workspace: str, path: str, uri: str, line: int) -> Lately:
        """Return what happened just before, for the quiet policy."""
        now = self._clock()
        errors = [d for d in self.diagnostics_near(uri, line, NEAR_LINES) if d.severity == 1]
        with self._lock:
            found = self._workspaces.get(workspace)
            if found is None:
                return Lately(errors=len(errors))
            episodes = list(found.episodes.values())
            everywhere = _final(episodes)
            here = _final(each for each in episodes if each.path == path)
            strokes = list(found.strokes)
        typed = sum(count for at, count in strokes if now - at <= PACE_SECONDS)
        return Lately(
            acceptance=share_taken(everywhere),
            here=trend(here),
            around=trend(everywhere),
            pause_s=max(0.0, now - strokes[-1][0]) if strokes else 0.0,
            pace=typed / PACE_SECONDS,
            errors=len(errors),
            dismissed=share_dismissed(episodes),
        )

    def _workspace(self, name: str) -> _Workspace:
        workspace = self._workspaces.setdefault(name, _Workspace())
        self._workspaces.move_to_end(name)
        _shorten(self._workspaces, MAX_WORKSPACES)
        return workspace


def share_taken(outcomes: Sequence[Outcome]) -> float:
    """Return the share of the last final outcomes, oldest first, that took something, 0 to 1."""
    known = outcomes[-RATE_WINDOW:]
    taken = sum(outcome.positive for outcome in known)
    return (taken + USUAL_RATE * USUAL_WEIGHT) / (len(known) + USUAL_WEIGHT)


def trend(outcomes: Sequence[Outcome]) -> float:
    """Return how the last final outcomes (oldest first) went, -1 to 1; 0 where there is none."""
    found = 0.0
    for what in outcomes[-TREND_WINDOW:]:
        found = (found + _VERDICTS.get(what, 1.0)) / 2
    return found


def share_dismissed(verdicts: Sequence[Verdict]) -> float:
    """Return which share of the last unwanted suggestions (oldest first) was sent away by hand."""
    unwanted = [each for each in verdicts if each.outcome in _VERDICTS][-RATE_WINDOW:]
    by_hand = sum(each.outcome is Outcome.REJECTED and not each.inferred for each in unwanted)
    return (by_hand + USUAL_DISMISSED * DISMISSED_WEIGHT) / (len(unwanted) + DISMISSED_WEIGHT)


def _final(episodes: Iterable[Episode]) -> list[Outcome]:
    return [e.outcome for e in episodes if e.outcome is not None and e.outcome.final]


def _remember(workspace: _Workspace, episode: Episode) -> None:
    workspace.episodes[episode.completion_id] = episode
    _shorten(workspace.episodes, MAX_EPISODES)


def _shorten(ordered: OrderedDict[str, Any], limit: int) -> None:
    while len(ordered) > limit:
        ordered.popitem(last=False)
