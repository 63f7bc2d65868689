"""Between JSON and LSP's types, strictly: a number where a text belongs is an error, not "5"."""

from __future__ import annotations

from typing import Any

import cattrs
from lsprotocol import converters
from lsprotocol import types as lsp

from falcon_lsp.core.text import Position
from falcon_lsp.lsp.documents import ContentChange, Range
from falcon_lsp.lsp.messages import Call, Code

PLACE_LIMIT = 80


def strict_converter() -> cattrs.Converter:
    """Return a converter of LSP's types that does not coerce texts, numbers and booleans."""
    converter = cattrs.Converter()
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(float, _number)
    return converters.get_converter(converter)


def structure_params(converter: cattrs.Converter, call: Call) -> Any:
    """Return a call's parameters as their LSP type, or as they are for methods that LSP lacks.

    Raises `Refused` with the place of what is wrong, never with its content.
    """
    kind: Any = lsp.METHOD_TO_TYPES.get(call.method, (None, None, None))[2]
    if kind is None:
        return call.params
    try:
        return converter.structure({} if call.params is None else call.params, kind)
    except Exception as error:
        reason = f"invalid parameters for {call.method}{_place(error)}"
        raise call.refused(Code.INVALID_PARAMS, reason) from error


def content_changes(params: lsp.DidChangeTextDocumentParams) -> list[ContentChange]:
    """Return what an editor says it did to a document, in order."""
    return [
        ContentChange(change.text, _range(change.range))
        if isinstance(change, lsp.TextDocumentContentChangePartial)
        else ContentChange(change.text)
        for change in params.content_changes
    ]


def _range(value: lsp.Range) -> Range:
    start, end = value.start, value.end
    return Range(Position(start.line, start.character), Position(end.line, end.character))


def _exactly(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(kind.__name__)
    return value


def _number(value: Any, _kind: type) -> float:
    if type(value) is not int and type(value) is not float:
        raise TypeError("number")
    return float(value)


def _place(error: Exception) -> str:
    if not isinstance(error, cattrs.BaseValidationError):
        return ""
    _what, _at, place = cattrs.transform_error(error)[0].rpartition(" @ ")
    return f" at {place[:PLACE_LIMIT]}"
