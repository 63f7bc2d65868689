"""What an outcome says about the developer's taste, and how much of it counts."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from falcon_lsp.core.types import Outcome

GUESSED: Final = 0.7
"""What an inferred outcome is worth of a reported one."""

_WORTH: Final = {
    Outcome.ACCEPTED: (1.0, 1.0),
    Outcome.PARTIAL: (1.0, 1.0),
    Outcome.TYPED_THROUGH: (1.0, 0.5),
    Outcome.REJECTED: (0.0, 1.0),
    Outcome.UNDONE: (0.0, 1.0),
    Outcome.IGNORED: (0.0, 0.1),
}
"""Whether the suggestion was wanted, and what it is worth to know: silence says little."""

MOST_PER_DOCUMENT: Final = 20.0
MOST_PER_WORKSPACE: Final = 200.0
"""Outcomes of one document (workspace) that count at most, however many there are."""

RECOVERY_SECONDS: Final = 86_400.0
"""In such a time half of what was used up may be used again."""

_MOST_KEYS: Final = 512


def evidence(payload: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return ``(taken, worth)`` of an outcome's payload, both 0 to 1; None where it says nothing.

    What was never shown, or was replaced before anybody could have read it, says nothing.
    """
    known = _WORTH.get(Outcome(payload["outcome"]))
    if known is None:
        return None
    taken, worth = known
    return taken, worth * (GUESSED if payload["inferred"] else 1.0)


@dataclass(slots=True)
class Allowance:
    """Bounds what one document and one workspace can teach, so that a flood teaches nothing else.

    Each outcome uses up a part of what is left, so the sum of all approaches the bound and never
    passes it; time gives it back. Times are those of the events, in seconds.
    """

    used: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def grant(self, workspace: str, path: str, worth: float, now: float) -> float:
        """Return how much of ``worth`` counts, and count it."""
        bounds = ((_key(workspace), MOST_PER_WORKSPACE), (_key(workspace, path), MOST_PER_DOCUMENT))
        shares = [1 - self._used(key, now) / most for key, most in bounds]
        granted = worth * max(0.0, min(shares))
        for key, _ in bounds:
            self.used[key] = (self._used(key, now) + granted, now)
            self.used.move_to_end(key)
        while len(self.used) > _MOST_KEYS:
            self.used.popitem(last=False)
        return granted

    def _used(self, key: str, now: float) -> float:
        amount, since = self.used.get(key, (0.0, now))
        return float(amount * 0.5 ** (max(0.0, now - since) / RECOVERY_SECONDS))


def _key(*names: str) -> str:
    return hashlib.sha256("\0".join(names).encode("utf-8", "replace")).hexdigest()[:16]


def read_allowance(body: Mapping[str, Sequence[float]]) -> Allowance:
    """Return an allowance that was written as plain JSON."""
    return Allowance(OrderedDict((key, (float(a), float(t))) for key, (a, t) in body.items()))
