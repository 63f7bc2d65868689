"""``falcon/cursor`` names a place in a document, or is refused."""

import pytest
from pygls.exceptions import JsonRpcInvalidParams

from falcon_lsp.core.text import Position
from falcon_lsp.lsp.extensions import read_cursor

URI = "file:///a.py"


def test_a_place_is_read_and_never_lies_before_the_document() -> None:
    message = {"uri": URI, "position": {"line": 3, "character": -1}}
    assert read_cursor(message) == (URI, Position(3, 0))


@pytest.mark.parametrize(
    "message",
    [
        None,
        {"uri": URI},
        {"uri": 1, "position": {"line": 0, "character": 0}},
        {"uri": URI, "position": {"line": True, "character": 0}},
        {"uri": URI, "position": [0, 0]},
    ],
)
def test_what_is_no_place_is_refused(message: object) -> None:
    with pytest.raises(JsonRpcInvalidParams):
        read_cursor(message)
