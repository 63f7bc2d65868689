"""Between JSON and LSP's types, strictly: a number where a text belongs is an error, not "5"."""

from __future__ import annotations

import functools
from typing import Any

import cattrs
from lsprotocol import converters
from lsprotocol import types as lsp

from falcon_lsp.core.text import Position
from falcon_lsp.lsp.documents import ContentChange, Range
from falcon_lsp.lsp.messages import Call, Code

PLACE_LIMIT = 80


@functools.cache
def strict_converter() -> cattrs.Converter:
    """Return the converter of LSP's types that does not coerce texts, numbers and booleans.

    It generates code on first use of a type, so all connections share one.
    """
    converter = cattrs.Converter()
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(float, _number)
    return converters.get_converter(converter)


def structure_params(converter: cattrs.Converter, call: Call) -> Any:
    """Return a call's parameters as their LSP type, or as they are for methods that LSP lacks.

    Raises `Refused` with the place of what is wrong, never with its content.
    """
    _forgive(call)
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
    """Structure texts, integers and booleans, and the enumerations derived from them."""
    base = next(base for base in (bool, int, str) if issubclass(kind, base))
    if type(value) is not base:
        raise TypeError(base.__name__)
    return value if kind is base else kind(value)


def _number(value: Any, _kind: type) -> float:
    if type(value) is not int and type(value) is not float:
        raise TypeError("number")
    return float(value)


def _forgive(call: Call) -> None:
    """Drop a kind of tracing that LSP lacks (``compact``): no reason to refuse to start."""
    if call.method == lsp.INITIALIZE and isinstance(call.params, dict):
        known = [kind.value for kind in lsp.TraceValue]
        if call.params.get("trace") not in known:
            call.params.pop("trace", None)


def _place(error: Exception) -> str:
    if not isinstance(error, cattrs.BaseValidationError):
        return ""
    _what, _at, place = cattrs.transform_error(error)[0].rpartition(" @ ")
    return f" at {place[:PLACE_LIMIT]}"
