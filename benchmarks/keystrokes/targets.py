"""The goals, on two cores with the default model, and what was measured of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DASH = "-"


def judge(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each goal: its name, bound, measured value, and whether it is met.

    What was not measured has no value and is not met.
    """
    return [
        _row("warm keystroke, p50, ms", "<=", 150, _ms(result, "warm", "p50")),
        _row("warm keystroke, p95, ms", "<=", 400, _ms(result, "warm", "p95")),
        _row("warm without a next key, p50, ms", "<=", 150, _ms(result, "warm", "p50_awaited")),
        _row("warm without a next key, p95, ms", "<=", 400, _ms(result, "warm", "p95_awaited")),
        _row("first request in a file, p95, ms", "<=", 900, _ms(result, "cold", "p95")),
        _row("typed through, p95, ms", "<=", 20, _ms(result, "typed_through", "p95")),
        _row("cancelled to answer, p95, ms", "<=", 100, _ms(result, "cancelled", "p95")),
        _row("cancelled to rest, longest, ms", "<=", 250, _longest(result)),
        _row("answered with text, share", ">=", 0.6, _get(
            result, "systems", "falcon-lsp", "share_answered_with_text", "value")),
        *(
            _row(f"warm p50 against {name}", "<=", 0.8, _get(
                result, "against", name, "warm", "ratio", "value"))
            for name in result["against"]
        ),
        _row("decode, share of the bandwidth limit", ">=", 0.6, _get(
            result, "decode", "falcon-lsp", "share_of_limit")),
        _row("memory, MB", "<=", 900, _get(result, "systems", "falcon-lsp", "peak_memory_mb")),
        _row("memory while swapping, MB", "<=", 1400, _get(result, "swap", "peak_memory_mb")),
        _row("start to initialize answered, ms", "<=", 500, _worst(
            result, "initialize_answered_ms")),
        _row("start to first completion, s", "<=", 5, _worst(result, "first_completion_s")),
        _row("longest wait during a swap, ms", "<=", 300, _get(result, "swap", "longest_ms")),
    ]  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | goal | measured | met |", "| --- | --- | --- | --- |"]
    for row in rows:
        value = DASH if row["value"] is None else f"{row['value']:g}"
        goal = f"{row['sense']} {row['goal']:g}"
        lines.append(f"| {row['what']} | {goal} | {value} | {'yes' if row['met'] else 'no'} |")
    return "\n".join(lines)


def _row(what: str, sense: str, goal: float, value: float | None) -> dict[str, Any]:
    met = value is not None and (value <= goal if sense == "<=" else value >= goal)
    return {"what": what, "sense": sense, "goal": goal, "value": value, "met": met}


def _ms(result: Mapping[str, Any], kind: str, percentile: str) -> float | None:
    found: float | None = _get(
        result, "systems", "falcon-lsp", "milliseconds", kind, percentile, "value"
    )
    return found


def _longest(result: Mapping[str, Any]) -> float | None:
    return max(_get(result, "stop", "rests_after_ms") or [], default=None)


def _worst(result: Mapping[str, Any], name: str) -> float | None:
    return max(_get(result, "start", name) or [], default=None)


def _get(result: Any, *path: str) -> Any:
    """Return what lies at ``path``; None where any of it is missing."""
    for name in path:
        result = result.get(name) if isinstance(result, Mapping) else None
    return result
