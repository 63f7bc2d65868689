"""From JSON to LSP's types: strict about kinds, open where LSP is."""

import logging
from typing import Any

import pytest
from lsprotocol import types as lsp

from falcon_lsp.core.text import Position
from falcon_lsp.lsp.documents import ContentChange, Range
from falcon_lsp.lsp.messages import Call, Code, Refused
from falcon_lsp.lsp.structure import content_changes, strict_converter, structure_params

CONVERTER = strict_converter()
PLACE = {"line": 1, "character": 2}


def inline(**changed: Any) -> dict[str, Any]:
    params = {"textDocument": {"uri": "a"}, "position": PLACE, "context": {"triggerKind": 2}}
    return params | changed


def opened(**changed: Any) -> dict[str, Any]:
    document = {"uri": "a", "languageId": "python", "version": 1, "text": "x"}
    return {"textDocument": document | changed}


@pytest.mark.parametrize(
    ("method", "params", "place"),
    [
        (lsp.TEXT_DOCUMENT_INLINE_COMPLETION, inline(textDocument={"uri": 5}), "text_document.uri"),
        (lsp.TEXT_DOCUMENT_INLINE_COMPLETION, inline(textDocument={}), "text_document"),
        (lsp.TEXT_DOCUMENT_INLINE_COMPLETION, inline(position={**PLACE, "line": "1"}), "line"),
        (lsp.TEXT_DOCUMENT_INLINE_COMPLETION, inline(position={**PLACE, "line": True}), "line"),
        (lsp.TEXT_DOCUMENT_INLINE_COMPLETION, inline(position={**PLACE, "line": 1.0}), "line"),
        (lsp.TEXT_DOCUMENT_INLINE_COMPLETION, inline(position={**PLACE, "line": -1}), "position"),
        (lsp.TEXT_DOCUMENT_INLINE_COMPLETION, inline(context={"triggerKind": 9}), "trigger_kind"),
        (lsp.TEXT_DOCUMENT_INLINE_COMPLETION, inline(context={"triggerKind": "1"}), "trigger_kind"),
        (lsp.TEXT_DOCUMENT_DID_OPEN, opened(text=None), "text_document.text"),
        (lsp.TEXT_DOCUMENT_DID_OPEN, opened(version="1"), "text_document.version"),
        (lsp.WORKSPACE_EXECUTE_COMMAND, {"command": None}, "command"),
        (lsp.INITIALIZE, {}, "capabilities"),
    ],
)
def test_a_wrong_kind_is_refused_with_its_place_and_without_its_content(
    method: str, params: Any, place: str
) -> None:
    with pytest.raises(Refused, match=place) as refused:
        structure_params(CONVERTER, Call(method, params, 5))
    assert (refused.value.code, refused.value.msg_id) == (Code.INVALID_PARAMS, 5)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (lsp.TEXT_DOCUMENT_INLINE_COMPLETION, inline()),
        (lsp.TEXT_DOCUMENT_DID_OPEN, opened(languageId="a language of tomorrow")),
        (lsp.INITIALIZED, None),
        (lsp.INITIALIZED, {"unknown member": [1]}),
        (lsp.INITIALIZE, {"capabilities": {"tomorrow": 1}, "trace": "compact", "processId": None}),
        (lsp.WORKSPACE_EXECUTE_COMMAND, {"command": "c", "arguments": [1, None, {"a": "b"}]}),
    ],
)
def test_what_lsp_allows_is_taken(method: str, params: Any) -> None:
    kind = lsp.METHOD_TO_TYPES[method][2]
    assert isinstance(structure_params(CONVERTER, Call(method, params)), kind)


def test_enumerations_stay_enumerations() -> None:
    params = structure_params(CONVERTER, Call(lsp.TEXT_DOCUMENT_INLINE_COMPLETION, inline()))
    assert params.context.trigger_kind is lsp.InlineCompletionTriggerKind.Automatic


@pytest.mark.parametrize("params", [None, {"a": [1, {"b": None}]}, [1, 2]])
def test_methods_that_lsp_lacks_get_plain_json(params: Any) -> None:
    assert structure_params(CONVERTER, Call("falcon/anything", params)) is params


def test_changes_with_and_without_a_range_are_converted() -> None:
    places = {"start": PLACE, "end": {"line": 3, "character": 4}}
    params = structure_params(
        CONVERTER,
        Call(
            lsp.TEXT_DOCUMENT_DID_CHANGE,
            {
                "textDocument": {"uri": "a", "version": 2},
                "contentChanges": [{"range": places, "text": "x", "rangeLength": 7}, {"text": "y"}],
            },
        ),
    )
    span = Range(Position(1, 2), Position(3, 4))
    assert content_changes(params) == [ContentChange("x", span), ContentChange("y")]


def test_nothing_is_logged_about_wrong_parameters(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Refused):
        structure_params(CONVERTER, Call(lsp.TEXT_DOCUMENT_DID_OPEN, {"textDocument": 1}))
    assert caplog.records == []
