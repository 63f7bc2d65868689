"""JSON-RPC 2.0 messages: from bytes to one of three shapes, or a refusal with its error code.

What is checked here needs no knowledge of LSP: the encoding, the JSON, the members of a message.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import Any, NoReturn

VERSION = "2.0"
MESSAGE_LIMIT = 200
"""Characters of an error message that a peer gets to see."""

MsgId = int | str


class Code(enum.IntEnum):
    """Error codes of JSON-RPC and LSP."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    SERVER_NOT_INITIALIZED = -32002
    REQUEST_CANCELLED = -32800


class Refused(Exception):
    """A message that will not be executed.

    ``msg_id`` is None where no usable id was found. ``answered`` says whether the peer is told:
    a notification with wrong parameters and a wrong answer are only counted.
    """

    def __init__(
        self, code: Code, message: str, msg_id: MsgId | None = None, *, answered: bool = True
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message[:MESSAGE_LIMIT]
        self.msg_id = msg_id
        self.answered = answered


@dataclass(frozen=True, slots=True)
class Call:
    """A request, or a notification when ``msg_id`` is None; ``params`` is plain JSON."""

    method: str
    params: dict[str, Any] | list[Any] | None
    msg_id: MsgId | None = None

    def refused(self, code: Code, message: str) -> Refused:
        """Return the refusal of this call; notifications are not answered."""
        return Refused(code, message, self.msg_id, answered=self.msg_id is not None)


@dataclass(frozen=True, slots=True)
class Reply:
    """The peer's answer to a request of ours: ``error`` is None when it succeeded."""

    msg_id: MsgId
    result: Any
    error: Any


def decode(body: bytes) -> Call | Reply:
    """Read one message; raises `Refused` for anything that is not exactly one."""
    data = _parse(body)
    if not isinstance(data, dict):
        raise Refused(Code.INVALID_REQUEST, "a message must be one JSON object")
    if "method" not in data and ("result" in data or "error" in data):
        return _reply(data)
    return _call(data)


def error_reply(msg_id: MsgId | None, code: int, message: str) -> dict[str, Any]:
    """Return the message that answers ``msg_id`` with an error; long texts are cut."""
    error = {"code": int(code), "message": message[:MESSAGE_LIMIT]}
    return {"jsonrpc": VERSION, "id": msg_id, "error": error}


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_not_json)
    except (ValueError, RecursionError) as error:  # ValueError covers UTF-8 and JSON errors
        raise Refused(Code.PARSE_ERROR, "the body is not valid JSON in UTF-8") from error


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity: Python's parser takes them, JSON does not


def _reply(data: dict[str, Any]) -> Reply:
    msg_id = usable_id(data.get("id"))
    if msg_id is None or data.get("jsonrpc") != VERSION:
        raise Refused(Code.INVALID_REQUEST, "an answer without a usable id", answered=False)
    return Reply(msg_id, data.get("result"), data.get("error"))


def _call(data: dict[str, Any]) -> Call:
    msg_id = usable_id(data.get("id"))
    method, params = data.get("method"), data.get("params")
    if data.get("jsonrpc") != VERSION:
        raise Refused(Code.INVALID_REQUEST, f'"jsonrpc" must be "{VERSION}"', msg_id)
    if "id" in data and msg_id is None:
        raise Refused(Code.INVALID_REQUEST, "an id must be an integer or a string")
    if not isinstance(method, str):
        raise Refused(Code.INVALID_REQUEST, '"method" must be a string', msg_id)
    if not isinstance(params, dict | list | None):
        reason = '"params" must be an object or an array'
        raise Refused(Code.INVALID_PARAMS, reason, msg_id, answered=msg_id is not None)
    return Call(method, params, msg_id)


def usable_id(value: object) -> MsgId | None:
    """Return ``value`` if it may be the id of a message (JSON's true and 1.0 may not)."""
    return value if type(value) is int or type(value) is str else None
