"""The result of a replay, for people."""

from __future__ import annotations

from falcon_lsp.replay.measures import ARMS
from falcon_lsp.replay.runner import Result

_NAMES = {
    "shown": "suggestions shown", "accepted": "accepted, whole or in part",
    "acceptance": "acceptance", "exact_lines": "exactly the line",
    "kept_chars": "characters kept", "edit_similarity": "edit similarity",
    "p50_ms": "p50 latency, ms", "p95_ms": "p95 latency, ms",
}  # fmt: skip
_SHARES = frozenset({"acceptance", "edit_similarity"})


def lines(result: Result, handed_on: int) -> list[str]:
    """Return the table of both arms, the gains with their intervals, and what was handed on."""
    arms, relative = result.figures["arms"], result.figures["relative"]
    table = [f"{'':27}{''.join(f'{arm:>10}' for arm in ARMS)}"]
    for key, name in _NAMES.items():
        table.append(f"{name:27}{''.join(f'{_figure(key, arms[arm][key]):>10}' for arm in ARMS)}")
    gains = [
        f"{_NAMES[key]:27}{_gain(relative[key]):>10}   {_interval(result.figures['interval'][key])}"
        for key in relative
    ]
    kept = [f"{handed_on} episodes were recorded in your store."] if handed_on else []
    return [
        f"{result.lines} lines of {result.steps} {result.unit}s were typed twice "
        f"in {result.seconds / 60:.1f} minutes.",
        "", *table, "", "Learned against frozen (95 % interval):", *gains, *kept,
    ]  # fmt: skip


def _figure(key: str, value: float) -> str:
    return f"{value:.1%}" if key in _SHARES else f"{value:g}"


def _gain(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.1%}"


def _interval(bounds: list[float] | None) -> str:
    return "too little to tell" if bounds is None else f"{bounds[0]:+.1%} to {bounds[1]:+.1%}"
