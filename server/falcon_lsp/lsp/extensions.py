"""The ``falcon/*`` messages: what an editor may tell and ask beyond the protocol.

Parameters arrive as attribute objects or mappings, depending on nesting; `read` makes plain data of
them and checks it, so that a wrong message is answered with -32602 and nothing else happens.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pygls.exceptions import JsonRpcInvalidParams

from falcon_lsp.core.text import Position
from falcon_lsp.core.types import Diagnostic, Outcome, new_id

FEEDBACK = "falcon/feedback"
DIAGNOSTICS = "falcon/diagnostics"
CURSOR = "falcon/cursor"
STATUS = "falcon/status"
STATUS_CHANGED = "falcon/statusChanged"
PAUSE = "falcon/pause"
SNOOZE = "falcon/snooze"
TRAIN_NOW = "falcon/trainNow"
ROLLBACK = "falcon/rollback"
REJECTIONS = "falcon/rejections"
FORGIVE = "falcon/forgive"
NEVER = "falcon/never"
FORGET = "falcon/forget"
REPORT = "falcon/report"
EXPORT = "falcon/export"

REPORTABLE = (Outcome.ACCEPTED, Outcome.PARTIAL, Outcome.REJECTED, Outcome.UNDONE)
MAX_DIAGNOSTICS = 1000
FORGETTABLE = {
    "completionId": "completion_ids", "eventId": "event_id", "uri": "uri", "path": "path",
    "workspace": "workspace", "day": "day",
}  # fmt: skip
"""What may be named to be forgotten, and what we call it."""
MAX_SNOOZE_MINUTES = 24 * 60
MAX_SEARCH = 200


@dataclass(frozen=True, slots=True)
class Feedback:
    """One report of what became of a suggestion; ``chars_kept`` None means all of it."""

    event_id: str
    completion_id: str
    outcome: Outcome
    chars_kept: int | None


@dataclass(frozen=True, slots=True)
class ForwardedDiagnostics:
    """What the editor's other servers say about one document now."""

    uri: str
    diagnostics: tuple[Diagnostic, ...]


def read_feedback(params: Any) -> Feedback:
    """Read a ``falcon/feedback`` message; raises `JsonRpcInvalidParams`."""
    data = fields(params)
    try:
        outcome = Outcome(data.get("outcome"))
    except ValueError:
        outcome = Outcome.SHOWN
    completion_id, kept = data.get("completionId"), data.get("charsKept")
    event_id = data.get("eventId") or new_id("evt")
    if outcome not in REPORTABLE:
        raise JsonRpcInvalidParams(f"outcome must be one of {', '.join(REPORTABLE)}")
    if not isinstance(completion_id, str) or not isinstance(event_id, str):
        raise JsonRpcInvalidParams("completionId and eventId must be strings")
    if kept is not None and (type(kept) is not int or kept < 0):
        raise JsonRpcInvalidParams("charsKept must be a number of characters")
    return Feedback(event_id, completion_id, outcome, kept)


def read_diagnostics(params: Any) -> ForwardedDiagnostics:
    """Read a ``falcon/diagnostics`` message; raises `JsonRpcInvalidParams`."""
    data = fields(params)
    uri, found = data.get("uri"), data.get("diagnostics")
    if not isinstance(uri, str) or not isinstance(found, list):
        raise JsonRpcInvalidParams("uri must be a string and diagnostics a list")
    return ForwardedDiagnostics(uri, tuple(map(_diagnostic, found[:MAX_DIAGNOSTICS])))


def read_cursor(params: Any) -> tuple[str, Position]:
    """Read a ``falcon/cursor`` message; raises `JsonRpcInvalidParams`."""
    data = fields(params)
    uri, place = data.get("uri"), data.get("position")
    known = place if isinstance(place, dict) else {}
    line, character = known.get("line"), known.get("character")
    if not isinstance(uri, str) or type(line) is not int or type(character) is not int:
        raise JsonRpcInvalidParams("uri must be a string and position a place in it")
    return uri, Position(max(0, line), max(0, character))


def read_flag(params: Any, name: str) -> bool:
    """Read one boolean of a message; raises `JsonRpcInvalidParams`."""
    value = fields(params).get(name)
    if not isinstance(value, bool):
        raise JsonRpcInvalidParams(f"{name} must be true or false")
    return value


def read_minutes(params: Any) -> float:
    """Read for how long to be quiet; raises `JsonRpcInvalidParams`."""
    value = fields(params).get("minutes")
    if type(value) not in (int, float) or not 0 <= value <= MAX_SNOOZE_MINUTES:
        raise JsonRpcInvalidParams(f"minutes must be a number from 0 to {MAX_SNOOZE_MINUTES}")
    return float(value)


def read_text(params: Any, name: str) -> str:
    """Read one string of a message; raises `JsonRpcInvalidParams`."""
    value = fields(params).get(name)
    if not isinstance(value, str) or not value:
        raise JsonRpcInvalidParams(f"{name} must be a string")
    return value


def read_version(params: Any) -> str | None:
    """Read which adapter to go back to, None: the one before; raises `JsonRpcInvalidParams`."""
    return read_text(params, "id") if fields(params).get("id") is not None else None


def read_report(params: Any) -> tuple[str, bool]:
    """Read what to search for and whether a whole page is asked for; `JsonRpcInvalidParams`."""
    data = fields(params)
    search, whole = data.get("search") or "", data.get("whole") or False
    if not isinstance(search, str) or not isinstance(whole, bool):
        raise JsonRpcInvalidParams("search must be a string and whole true or false")
    return search[:MAX_SEARCH], whole


def read_after(params: Any) -> int:
    """Read behind which event to go on, 0 at first; raises `JsonRpcInvalidParams`."""
    value = fields(params).get("after", 0)
    if type(value) is not int or value < 0:
        raise JsonRpcInvalidParams("after must be the number of an event")
    return value


def fields(params: Any) -> Any:
    """Return a message's parameters as a dict by name; raises `JsonRpcInvalidParams`."""
    data = {} if params is None else plain(params)
    if not isinstance(data, dict):
        raise JsonRpcInvalidParams("the parameters must be an object")
    return data


def read_forgetting(params: Any) -> dict[str, Any]:
    """Read what to forget, by the names that `MemoryService.forget` uses, or a document's ``uri``.

    Raises `JsonRpcInvalidParams`, also where nothing is named.
    """
    data = fields(params)
    given = {new: data[old] for old, new in FORGETTABLE.items() if data.get(old) is not None}
    if not given or not all(isinstance(value, str) and value for value in given.values()):
        raise JsonRpcInvalidParams(f"name what to forget: one of {', '.join(FORGETTABLE)}")
    if "day" in given:
        try:
            given["day"] = dt.date.fromisoformat(given["day"])
        except ValueError as error:
            raise JsonRpcInvalidParams("day must be written as YYYY-MM-DD") from error
    if "completion_ids" in given:
        given["completion_ids"] = [given["completion_ids"]]
    return given


def plain(value: Any) -> Any:
    """Return attribute objects, mappings and sequences as dicts and lists."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def _diagnostic(raw: Any) -> Diagnostic:
    if not isinstance(raw, dict) or type(raw.get("line")) is not int:
        raise JsonRpcInvalidParams("each diagnostic needs a line")
    severity = raw.get("severity")
    return Diagnostic(
        line=max(0, raw["line"]),
        severity=severity if isinstance(severity, int) else 1,
        message=str(raw.get("message", ""))[:500],
        code=str(raw.get("code", ""))[:80],
        source=str(raw.get("source", ""))[:80],
    )
