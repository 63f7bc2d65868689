"""What the quiet policy has learned: a function of the ledger's events in their order.

The file beside the ledger only spares reading it all again at the next start: it is believed when
it fits the ledger, and made anew when it does not, or when anything was forgotten.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from falcon_lsp.completion import features
from falcon_lsp.completion.belief import Belief, Prior, shipped_prior
from falcon_lsp.completion.evidence import Allowance, evidence, read_allowance
from falcon_lsp.completion.features import Vector
from falcon_lsp.core.paths import atomic_write
from falcon_lsp.memory.events import Event, Kind
from falcon_lsp.memory.ledger import Ledger

logger = logging.getLogger(__name__)

FORMAT: Final = 1
BATCH: Final = 200
"""Events read at a time: some carry a prompt."""
SAVE_SECONDS: Final = 30.0
_MOST_OPEN: Final = 256
"""Suggestions whose outcome may still come or change."""


@dataclass(slots=True)
class Progress:
    """What follows from the events up to number ``seq``, whose id is ``last``."""

    belief: Belief
    allowance: Allowance = field(default_factory=Allowance)
    waiting: OrderedDict[str, Vector] = field(default_factory=OrderedDict)
    judged: OrderedDict[str, float] = field(default_factory=OrderedDict)
    seq: int = 0
    last: str = ""
    forgotten: int = 0
    outcomes: int = 0

    def take(self, event: Event) -> None:
        """Take in the next event."""
        if event.kind is Kind.SUGGESTED:
            if (given := features.recorded(event.payload)) is not None:
                self.waiting[event.completion_id] = given
                _shorten(self.waiting)
        elif event.kind is Kind.OUTCOME:
            self._judge(event)

    def _judge(self, event: Event) -> None:
        """Learn from an outcome, unless the same was said of the suggestion before."""
        given, found = self.waiting.get(event.completion_id), evidence(event.payload)
        if given is None or found is None:
            return
        taken, worth = found
        if self.judged.get(event.completion_id) == taken:
            return
        self.judged[event.completion_id] = taken
        _shorten(self.judged)
        granted = self.allowance.grant(event.workspace, event.path, worth, event.time)
        self.belief = self.belief.learned(given, taken, granted)
        self.outcomes += 1


class Experience:
    """Follows one ledger; one thread at a time calls `catch_up`, any may read `belief`."""

    def __init__(
        self,
        path: Path,
        prior: Prior | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._prior = prior or shipped_prior()
        self._clock = clock
        self._state = Progress(Belief.fresh(self._prior))
        self._saved_at = clock()
        self._saved_seq = 0
        self._begun = False

    @property
    def belief(self) -> Belief:
        """What is believed of the developer now."""
        return self._state.belief

    def status(self) -> dict[str, Any]:
        """Return how much was learned from, in plain JSON values."""
        return {"outcomes": self._state.outcomes, "events": self._state.seq}

    def catch_up(self, ledger: Ledger) -> None:
        """Take in what is new; begin anew where the ledger is not the one that was read."""
        forgotten = ledger.cursor("forgotten")
        if not self._begun:
            self._state, self._begun = self._load(ledger), True
            self._saved_seq = self._state.seq
        if forgotten != self._state.forgotten:
            self._state = Progress(Belief.fresh(self._prior), forgotten=forgotten)
            self._saved_seq = -1
        state = self._state
        while rows := ledger.events(state.seq, BATCH):
            for seq, event in rows:
                state.take(event)
                state.seq, state.last = seq, event.event_id
        if self._saved_seq < 0 or self._clock() - self._saved_at > SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write down what is not written yet; a disk that is full costs time at the next start."""
        if self._saved_seq == self._state.seq:
            return
        try:
            atomic_write(self._path, json.dumps(_written(self._state, self._prior)).encode())
        except OSError as error:
            logger.warning("what the quiet policy learned was not written: %s", error)
        self._saved_at, self._saved_seq = self._clock(), self._state.seq

    def _load(self, ledger: Ledger) -> Progress:
        """Return what was written, if the last event it knows is in the ledger, else nothing."""
        try:
            state = _read(json.loads(self._path.read_text(encoding="utf-8")), self._prior)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Progress(Belief.fresh(self._prior))
        rows = ledger.events(state.seq - 1, 1)
        known = (rows[0][0], rows[0][1].event_id) if rows else (0, "")
        return state if known == (state.seq, state.last) else Progress(Belief.fresh(self._prior))


def _written(state: Progress, prior: Prior) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "prior": _digest(prior),
        "seq": state.seq,
        "last": state.last,
        "forgotten": state.forgotten,
        "outcomes": state.outcomes,
        "mean": state.belief.mean,
        "covariance": state.belief.covariance,
        "used": state.allowance.used,
        "waiting": state.waiting,
        "judged": state.judged,
    }


def _read(body: dict[str, Any], prior: Prior) -> Progress:
    """Return the state that was written; raises `ValueError` when it followed another prior."""
    if (body["format"], body["prior"]) != (FORMAT, _digest(prior)):
        raise ValueError("made by another version")
    mean, rows = tuple(map(float, body["mean"])), body["covariance"]
    covariance = tuple(tuple(map(float, row)) for row in rows)
    if {len(mean), *map(len, covariance), len(covariance)} != {len(prior.mean)}:
        raise ValueError("the weights are not complete")
    return Progress(
        Belief(prior, mean, covariance),
        read_allowance(body["used"]),
        OrderedDict((key, tuple(map(float, row))) for key, row in body["waiting"].items()),
        OrderedDict(body["judged"]),
        int(body["seq"]),
        str(body["last"]),
        int(body["forgotten"]),
        int(body["outcomes"]),
    )


def _digest(prior: Prior) -> str:
    text = json.dumps([features.VERSION, prior.mean, prior.spread])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shorten(ordered: OrderedDict[str, Any]) -> None:
    while len(ordered) > _MOST_OPEN:
        ordered.popitem(last=False)
