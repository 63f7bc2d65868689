"""Positions and edits in the three encodings of LSP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcon_lsp.core.text import (
    Position,
    PositionEncoding,
    TextSnapshot,
    common_length,
    import_lines,
    rest_of_line,
)
from falcon_lsp.core.types import TextEdit

TEXTS = st.text(alphabet=st.sampled_from("ab \n\ré€😀\u2028\x0b"), max_size=60)


def snapshot(text: str) -> TextSnapshot:
    return TextSnapshot("file:///a.py", "python", 1, text)


@pytest.mark.parametrize(
    ("text", "line", "character", "encoding", "offset"),
    [
        ("abc", 0, 2, "utf-16", 2),
        ("a😀b", 0, 3, "utf-16", 2),
        ("a😀b", 0, 5, "utf-8", 2),
        ("a😀b", 0, 2, "utf-32", 2),
        ("a😀b", 0, 2, "utf-16", 1),  # inside the pair: its start
        ("a\r\nb", 1, 1, "utf-16", 4),
        ("a\rb", 1, 0, "utf-16", 2),
        ("a\u2028b", 1, 0, "utf-16", 3),  # no line end in LSP: past the text is clamped
        ("ab\ncd", 0, 99, "utf-16", 2),
        ("ab\r\ncd", 0, 99, "utf-16", 2),
        ("ab", 7, 0, "utf-16", 2),
    ],
)
def test_offset_of_a_position(
    text: str, line: int, character: int, encoding: str, offset: int
) -> None:
    found = snapshot(text).offset(Position(line, character), PositionEncoding(encoding))
    assert found == offset


@given(TEXTS, st.integers(0, 60), st.sampled_from(PositionEncoding))
def test_every_offset_survives_the_round_trip(
    text: str, offset: int, encoding: PositionEncoding
) -> None:
    document = snapshot(text)
    offset = min(offset, len(text))
    inside_line_end = text[max(0, offset - 1) : offset + 1] == "\r\n"
    back = document.offset(document.position(offset, encoding), encoding)
    assert back == (offset - 1 if inside_line_end else offset)


def test_edits_apply_one_after_the_other() -> None:
    edits = (TextEdit(0, 1, "xy"), TextEdit(2, 2, "!"))
    assert snapshot("abc").apply(edits, 2).text == "xy!bc"


@given(st.text(max_size=40), st.integers(0, 90), st.sampled_from(PositionEncoding))
def test_what_fits_is_the_longest_beginning_of_at_most_so_many_units(
    text: str, units: int, encoding: PositionEncoding
) -> None:
    fitting = encoding.fit(text, units)
    assert encoding.measure(text[:fitting]) <= units
    assert fitting == len(text) or encoding.measure(text[: fitting + 1]) > units


def test_a_line_of_blanks_is_read_once_and_not_once_for_each_blank() -> None:
    assert import_lines(" " * 300_000 + "\nimport os") == ["import os"]


@given(TEXTS, TEXTS, TEXTS)
def test_common_length_is_how_much_both_begin_with(common: str, one: str, other: str) -> None:
    found = common_length(common + one, common + other)
    assert (common + one)[:found] == (common + other)[:found]
    assert (common + one)[found : found + 1] != (common + other)[found : found + 1] or (
        found == min(len(common + one), len(common + other))
    )


@pytest.mark.parametrize(
    ("text", "offset", "rest"),
    [("ab\r\ncd", 1, "b"), ("ab\r\ncd", 4, "cd"), ("ab\n", 2, ""), ("ab\n", 3, ""), ("", 0, "")],
)
def test_the_rest_of_a_line_ends_before_its_line_end(text: str, offset: int, rest: str) -> None:
    assert rest_of_line(text, offset) == rest
