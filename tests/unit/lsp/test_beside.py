"""What the list's entry leaves for a suggestion to go on from."""

from __future__ import annotations

import pytest
from lsprotocol import types as lsp

from episodes_factory import suggestion
from falcon_lsp.completion.answer import Answer
from falcon_lsp.lsp.beside import DISAGREES, entry, going_on
from falcon_lsp.lsp.documents import DocumentStore

URI = "file:///a.py"
LINE = "x = '😀'.su"  # the smiley counts two where positions are in UTF-16
CURSOR = lsp.Position(0, 11)


@pytest.fixture
def documents() -> DocumentStore:
    store = DocumentStore(lambda _name: None)
    store.open(URI, "python", 1, LINE)
    return store


def chosen(text: str, start: int, end: int = 11) -> lsp.SelectedCompletionInfo:
    where = lsp.Range(lsp.Position(0, start), lsp.Position(0, end))
    return lsp.SelectedCompletionInfo(range=where, text=text)


@pytest.mark.parametrize(
    ("text", "start", "typed", "rest"),
    [
        ("sum", 9, "su", "m"),
        ("su", 9, "su", ""),
        ("index", 11, "", "index"),
        ("'😀'.sum()", 4, "'😀'.su", "m()"),
    ],
)
def test_an_entry_is_what_is_typed_of_it_and_the_rest(
    documents: DocumentStore, text: str, start: int, typed: str, rest: str
) -> None:
    found = entry(documents, URI, CURSOR, chosen(text, start))
    assert found is not None
    assert (found.typed, found.rest) == (typed, rest)
    assert found.where == lsp.Range(lsp.Position(0, start), CURSOR)


@pytest.mark.parametrize("selected", [chosen("Sum", 9), chosen("other", 9), chosen("sum", 9, 10)])
def test_from_an_entry_that_replaces_other_text_nothing_goes_on(
    documents: DocumentStore, selected: lsp.SelectedCompletionInfo
) -> None:
    assert entry(documents, URI, CURSOR, selected) is None
    assert entry(documents, "file:///unknown.py", CURSOR, chosen("sum", 9)) is None


def test_without_a_list_a_suggestion_stands_at_the_cursor(documents: DocumentStore) -> None:
    found = entry(documents, URI, CURSOR, None)
    assert found is not None
    assert (found.where, found.typed, found.rest) == (lsp.Range(CURSOR, CURSOR), "", "")


def test_only_what_begins_with_the_rest_is_left() -> None:
    answer = Answer((suggestion("c1", "m(a)"), suggestion("c2", "ffix")), held=suggestion("c3"))
    assert going_on(answer, "") is answer
    left = going_on(answer, "m")
    assert [each.completion_id for each in left.suggestions] == ["c1"]
    assert (left.reason, left.held) == ("", None)
    assert going_on(answer, "other").reason == DISAGREES
    nothing = Answer.nothing("quiet")
    assert going_on(nothing, "m") is nothing
