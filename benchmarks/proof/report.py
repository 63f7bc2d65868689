"""From items to figures: pass@1, pass@10, length, errors, KL, and paired differences of arms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from evaluation.intervals import Ratio, difference
from proof.arms import ARMS
from proof.evaluating import SAMPLES, Item
from proof.judging import SYNTAX, WRONG

MEASURES = ("pass@1", "pass@1, sampled", f"pass@{SAMPLES}")
OWN = "FALCON"

Seeds = Mapping[str, Sequence[Item]]
"""The items of one arm by seed, in the same order under each."""


def summary(seeds: Seeds) -> dict[str, Any]:
    """Return an arm's figures over all its seeds, with 95 % intervals over tasks."""
    items = [item for each in seeds.values() for item in each]
    found: dict[str, Any] = {"seeds": len(seeds), "items": len(items)}
    for name in MEASURES:
        measured = ratio(seeds, name)
        low, high = measured.interval()
        found[name] = {"value": _short(measured.value), "low": _short(low), "high": _short(high)}
    found["tokens"] = _short(fmean(item.tokens for item in items))
    found["kl"] = _short(fmean(item.kl for item in items))
    found["errors"] = dict(sorted(_errors(items).items()))
    return found


def differences(arms: Mapping[str, Seeds]) -> list[dict[str, Any]]:
    """Return FALCON minus each other arm, paired by hole and seed; a claim needs ``low > 0``."""
    if OWN not in arms:
        return []
    found = []
    for name, seeds in arms.items():
        common = [seed for seed in seeds if seed in arms[OWN]]
        if name == OWN or not common:
            continue
        left = {seed: seeds[seed] for seed in common}
        right = {seed: arms[OWN][seed] for seed in common}
        for measure in MEASURES:
            value, low, high = difference(ratio(left, measure), ratio(right, measure))
            found.append({
                "measure": measure, "arm": OWN, "against": name, "seeds": len(common),
                "difference": _short(value), "low": _short(low), "high": _short(high),
            })  # fmt: skip
    return found


def best_peer(tuning: Mapping[str, float]) -> str:
    """Return which arm FALCON has to beat: the best on the tuning holes that is not our own."""
    ours = {arm.name for arm in ARMS if arm.ours}
    peers = {name: value for name, value in tuning.items() if name not in ours}
    return max(peers, key=lambda name: peers[name]) if peers else ""


def ratio(seeds: Seeds, measure: str) -> Ratio:
    """Return a measure over all seeds; holes of one task, under whatever seed, hang together."""
    items = [item for seed in sorted(seeds) for item in seeds[seed]]
    worth = {
        "pass@1": lambda item: float(item.greedy),
        "pass@1, sampled": lambda item: fmean(item.sampled),
        f"pass@{SAMPLES}": lambda item: float(any(item.sampled)),
    }[measure]
    return Ratio([worth(item) for item in items], [1] * len(items), [i.task for i in items])


def _errors(items: Sequence[Item]) -> Counter[str]:
    """Count greedy answers by what went wrong: it does not parse, is wrong, never ends, raises."""
    kinds = {SYNTAX: SYNTAX, WRONG: WRONG, "no end": "no end", "": "none"}
    return Counter(kinds.get(item.error, "raises") for item in items)


def _short(value: float) -> float:
    return round(value, 4)
