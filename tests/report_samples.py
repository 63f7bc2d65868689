"""A store as it is after some weeks of work: suggestions, what became of them, adapters."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from typing import Any

from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Diagnostic, Outcome, Prompt, Suggestion
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.memory import events as ev
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import PROMOTED, SET_ASIDE, AdapterRegistry
from unit.model import adapter_samples

NOW = 1_790_000_000.0
DAY = 86_400.0
LINES = (
    "return sum(item.price for item in items)",
    "self._cache[key] = value",
    "with path.open(encoding='utf-8') as file:",
    "raise ValueError(f'{name} is not a number')",
    "assert response.status_code == 200",
    "for index, line in enumerate(lines):",
)
FILES = ("shop/cart.py", "shop/cache.py", "tests/test_cart.py", "web/views.py")
OUTCOMES = (Outcome.ACCEPTED, Outcome.PARTIAL, Outcome.TYPED_THROUGH, Outcome.REJECTED)


def episode(
    completion_id: str, when: float, text: str, what: Outcome, **given: Any
) -> list[ev.Event]:
    """Return the events of one suggestion; ``given`` says how."""
    path = given.get("path", FILES[0])
    place = ev.Place(
        completion_id,
        given.get("workspace", "file:///code/shop"),
        path,
        given.get("language", "python"),
    )
    prompt = Prompt(path, "def work(items):\n    ", "\n")
    made = Suggestion(completion_id, text, 21, prompt, "model", "tiny", "base", line=1)
    kept = given.get("kept", len(text) if what.positive else 0)
    inferred = given.get("inferred", False)
    told = [
        ev.suggested(place, made),
        ev.outcome(
            place, what, chars_kept=kept, elapsed_ms=9.0, inferred=inferred,
            event_id=f"{completion_id}:outcome",
        ),
    ]  # fmt: skip
    if given.get("broken"):
        finding = Diagnostic(1, 1, "undefined name", "F821", "ruff")
        told.append(ev.diagnostics(place, [finding], []))
    if what.positive:
        told.append(ev.settled(place, 30, text[:kept]))
    return [replace(event, time=when) for event in told]


def history(days: int, per_day: int = 9, seed: int = 3) -> list[ev.Event]:
    """Return ``days`` up to `NOW` in which ever more is taken."""
    rng = random.Random(seed)
    found: list[ev.Event] = []
    for n in range(days * per_day):
        when = NOW - (days - n / per_day) * DAY
        liked = 0.2 + 0.3 * n / (days * per_day)
        what = rng.choice(OUTCOMES[:3]) if rng.random() < liked else OUTCOMES[3]
        what = what if rng.random() < 0.8 else Outcome.IGNORED
        text = rng.choice(LINES)
        given = {
            "path": rng.choice(FILES),
            "kept": rng.randint(len(text) // 2, len(text)) if what.positive else 0,
            "inferred": rng.random() < 0.5,
            "broken": rng.random() < 0.12,
        }
        found += episode(f"cmp-{seed}-{n}", when, text, what, **given)
    return found


def verdict(gain: float, bound: float, **changes: Any) -> dict[str, Any]:
    """Return the metrics of an adapter as an update writes them."""
    numbers = {"liked_gain": gain, "liked_gain_bound": bound, "disliked": 3, "disliked_gain": -0.01}
    return {"verdict": {**numbers, "regression": 0.004, **changes}}


def fill(store: Store, days: int = 70) -> None:
    """Put a history and four adapters into ``store``; the last promoted one is served."""
    with closing(Ledger(store.ledger)) as ledger:
        ledger.append(history(days))
    registry = AdapterRegistry(store.adapters)
    parent = "base"
    for n, (gain, bound) in enumerate(
        [(0.031, 0.012), (0.008, -0.02), (0.024, 0.009), (0.04, 0.02)]
    ):
        good = bound > 0
        adapter_samples.publish(
            registry,
            f"adp-{n}0f3a6b",
            created=NOW - (40 - 10 * n) * DAY,
            parent=parent,
            completion_ids=tuple(f"cmp-3-{n * 32 + k}" for k in range(24)),
            metrics=verdict(gain, bound),
            status=PROMOTED if good else SET_ASIDE,
            verdict="better than its parent" if good else "not shown to be better",
            reasons=() if good else ("not sure enough: the 90 % bound is -0.0200, needed -0.01",),
        )
        VerdictLog(store.adapters).add(
            PROMOTED if good else SET_ASIDE, f"adp-{n}0f3a6b", "", {"reasons": []}
        )
        parent = f"adp-{n}0f3a6b" if good else parent
