"""Events as JSON lines: what export writes and import reads back, checked field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from falcon_lsp.core.types import Diagnostic, Outcome, Prompt, Snippet, Suggestion
from falcon_lsp.memory.events import SCHEMA_VERSION, Event, Kind

_TEXTS = ("event_id", "completion_id", "workspace", "path", "language")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a log: lines whose events are in the ledger, and the others with reasons.

    ``used`` counts events that were already there too; line numbers count from 1.
    """

    path: Path
    used: int
    skipped: tuple[tuple[int, str], ...]


def to_line(event: Event) -> str:
    """Return ``event`` as one line of JSON, without the line end."""
    return json.dumps(asdict(event))


def read_lines(path: Path) -> Iterator[tuple[int, Event | str]]:
    """Yield for every line of a log its number and its event, or why it cannot be used."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield number, from_line(line)
            except (ValueError, RecursionError) as error:
                yield number, str(error) or type(error).__name__


def from_line(line: bytes | str) -> Event:
    """Parse one line; raises `ValueError` naming what is wrong with it."""
    try:
        raw = json.loads(line)
    except ValueError as error:
        raise ValueError("the line is not JSON") from error
    if not isinstance(raw, dict):
        raise ValueError("the line is not a JSON object")  # noqa: TRY004 - one error for bad lines
    for name in _TEXTS:
        _require(raw, name, str)
    if not raw["event_id"] or not raw["completion_id"]:
        raise ValueError("an id is empty")
    if not 1 <= _require(raw, "version", int) <= SCHEMA_VERSION:
        raise ValueError("the version is not one that this program knows")
    if not math.isfinite(_require(raw, "time", int, float)):
        raise ValueError("time is not a number")
    payload = _require(raw, "payload", dict)
    kind = _one_of(Kind, raw.get("kind"))
    _PAYLOADS[kind](payload)
    return Event(
        kind,
        payload=payload,
        time=float(raw["time"]),
        version=raw["version"],
        **{name: raw[name] for name in _TEXTS},
    )


def _check_suggested(payload: Mapping[str, Any]) -> None:
    _fields(Suggestion, payload, {"completion_id", "prompt"})
    prompt = _require(payload, "prompt", dict)
    _fields(Prompt, prompt, {"snippets"})
    for snippet in _require(prompt, "snippets", list):
        _fields(Snippet, snippet)


def _check_outcome(payload: Mapping[str, Any]) -> None:
    _one_of(Outcome, payload.get("outcome"))
    _require(payload, "chars_kept", int)
    _require(payload, "elapsed_ms", int, float)
    _require(payload, "inferred", bool)
    _require({"never": False, **payload}, "never", bool)


def _check_diagnostics(payload: Mapping[str, Any]) -> None:
    for name in ("added", "removed"):
        for item in _require(payload, name, list):
            _fields(Diagnostic, item)


def _check_settled(payload: Mapping[str, Any]) -> None:
    _require(payload, "after_s", int)
    _require(payload, "text", str)


def _check_held(payload: Mapping[str, Any]) -> None:
    _require(payload, "propensity", int, float)
    _require(payload, "features_version", int)
    for number in _require(payload, "features", list):
        _require({"features": number}, "features", int, float)


_PAYLOADS = {
    Kind.SUGGESTED: _check_suggested,
    Kind.OUTCOME: _check_outcome,
    Kind.DIAGNOSTICS: _check_diagnostics,
    Kind.SETTLED: _check_settled,
    Kind.HELD: _check_held,
}


def _require(raw: object, name: str, *kinds: type) -> Any:
    value = raw.get(name) if isinstance(raw, Mapping) else None
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"{name} is missing or of the wrong type")
    return value


def _one_of(choices: type[Kind] | type[Outcome], value: object) -> Any:
    try:
        return choices(str(value))
    except ValueError as error:
        raise ValueError(f"unknown {choices.__name__.lower()}") from error


_JSON_KINDS: Mapping[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float)}


def _fields(cls: type[Any], raw: object, apart: Collection[str] = ()) -> None:
    """Check that ``raw`` can become a ``cls``, except for the fields checked ``apart``."""
    hints = get_type_hints(cls)
    for field in fields(cls):
        if field.name in apart or (field.default is not MISSING and field.name not in _keys(raw)):
            continue
        if get_origin(hints[field.name]) is tuple:
            kinds = _JSON_KINDS[get_args(hints[field.name])[0]]
            for item in _require(raw, field.name, list):
                _require({field.name: item}, field.name, *kinds)
        else:
            _require(raw, field.name, *_JSON_KINDS[hints[field.name]])
    if _keys(raw) - {field.name for field in fields(cls)}:
        raise ValueError("an unknown field stands in the payload")


def _keys(raw: object) -> set[str]:
    return set(raw) if isinstance(raw, Mapping) else set()
