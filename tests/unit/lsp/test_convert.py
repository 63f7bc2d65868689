"""Suggestions as the ordinary completion list shows them."""

from __future__ import annotations

import pytest

from falcon_lsp.core.text import PositionEncoding, TextSnapshot
from falcon_lsp.core.types import Prompt, Suggestion
from falcon_lsp.lsp.convert import completion_item

LONG = "A" * 300_000
"""Letters as embedded data has them: nothing may read them once for each of them."""


@pytest.mark.parametrize(
    ("text", "offered", "label"),
    [
        ("x = so", "me(1)", "some(1)"),
        ("x = ", "some(1)", "some(1)"),
        ("", "some", "some"),
        ("größe", "_x", "größe_x"),
        ("f(", "\r\n    a,\r\n    b", "    a,"),
        (f'DATA = "{LONG}"\nso', "me", "some"),
        (f'DATA = "{LONG}".', "x", "x"),
    ],
)
def test_an_item_begins_with_the_word_that_is_being_typed(
    text: str, offered: str, label: str
) -> None:
    snapshot = TextSnapshot("file:///a.py", "python", 1, text)
    suggestion = Suggestion("cmp-1", offered, len(text), Prompt("a.py", text, ""), "model", "", "")
    item = completion_item(snapshot, PositionEncoding.UTF16, suggestion)
    assert item.label == label
    assert item.filter_text == label
