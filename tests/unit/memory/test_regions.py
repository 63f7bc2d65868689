"""Where a region lies after an edit. ``[`` and ``]`` mark the region, in both texts."""

from __future__ import annotations

import pytest

from falcon_lsp.core.types import TextEdit
from falcon_lsp.memory.regions import Growth, Region, anchored, minimal, moved, trimmed


def read(marked: str, growth: Growth) -> tuple[str, Region]:
    start = marked.index("[")
    end = marked.index("]") - 1
    return marked.replace("[", "").replace("]", ""), Region(start, end, growth)


def show(text: str, region: Region) -> str:
    return f"{text[: region.start]}[{text[region.start : region.end]}]{text[region.end :]}"


MOVES = [
    # before, growth, (start, end, new text), after
    ("ab[cd]ef", Growth.NONE, (0, 0, "x"), "xab[cd]ef"),
    ("ab[cd]ef", Growth.NONE, (0, 1, ""), "b[cd]ef"),
    ("ab[cd]ef", Growth.NONE, (5, 6, "xyz"), "ab[cd]exyz"),
    ("ab[cd]ef", Growth.NONE, (3, 3, "x"), "ab[cxd]ef"),
    ("ab[cd]ef", Growth.NONE, (2, 2, "x"), "ab[xcd]ef"),
    ("ab[cd]ef", Growth.NONE, (2, 2, "x\n"), "abx\n[cd]ef"),
    ("ab[cd]ef", Growth.NONE, (4, 4, "x"), "ab[cd]xef"),
    ("ab[cd]ef", Growth.NONE, (2, 4, "x"), "ab[x]ef"),
    ("ab[cd]ef", Growth.NONE, (1, 3, "x"), "ax[d]ef"),
    ("ab[cd]ef", Growth.NONE, (3, 5, "x"), "ab[cx]f"),
    ("ab[cd]ef", Growth.NONE, (0, 6, "xyz"), "xyz[]"),
    ("ab[cd]ef", Growth.NONE, (0, 6, ""), "[]"),
    ("ab[]ef", Growth.NONE, (2, 2, "x"), "ab[]xef"),
    ("ab[]ef", Growth.ANY, (2, 2, "x\n"), "ab[x\n]ef"),
    ("ab[cd]ef", Growth.ANY, (4, 4, "x"), "ab[cdx]ef"),
    ("ab[cd]ef", Growth.ANY, (4, 6, "x"), "ab[cdx]"),
    ("ab[cd]ef", Growth.ANY, (4, 6, ""), "ab[cd]"),
    ("ab[cd]ef", Growth.ANY, (1, 2, ""), "a[cd]ef"),
    ("ab[cd]ef", Growth.LINE, (4, 4, "x"), "ab[cdx]ef"),
    ("ab[cd]ef", Growth.LINE, (4, 4, "\nx"), "ab[cd]\nxef"),
]


@pytest.mark.parametrize(("before", "growth", "edit", "after"), MOVES)
def test_a_region_moves_with_an_edit(
    before: str, growth: Growth, edit: tuple[int, int, str], after: str
) -> None:
    text, region = read(before, growth)
    start, end, new = edit
    assert show(text[:start] + new + text[end:], moved(region, TextEdit(*edit))) == after


def test_what_is_deleted_at_its_end_and_typed_again_belongs_to_it() -> None:
    text, region = read("x = [f(a)]\n", Growth.NONE)
    for edit in (TextEdit(6, 8, ""), TextEdit(6, 6, "b"), TextEdit(7, 7, ")")):
        text = text[: edit.start] + edit.new_text + text[edit.end :]
        region = moved(region, edit)
    assert show(text, region) == "x = [f(b)]\n"


def test_trimming_leaves_only_what_differs() -> None:
    assert trimmed(TextEdit(5, 11, "abXYef"), "abcdef") == TextEdit(7, 9, "XY")
    assert trimmed(TextEdit(5, 7, "aaa"), "aa") == TextEdit(7, 7, "a")


def test_a_replaced_document_comes_apart_into_its_changes_the_last_one_first() -> None:
    before = "import a\n\nx = f(1,2)\ny = 2\n"
    after = "import a\nimport b\n\nx = f(1, 2)\ny = 2\n"
    assert minimal(TextEdit(0, len(before), after), before) == (
        TextEdit(18, 18, " "),
        TextEdit(9, 9, "import b\n"),
    )


def test_a_very_long_replacement_is_taken_as_a_whole() -> None:
    before, after = "a\n" * 3000 + "x", "b\n" * 3000 + "y"
    assert len(minimal(TextEdit(0, len(before), after), before)) == 1


ANCHORED = [
    # removed, new text, cursor in removed, expected there, what is left of the edit
    pytest.param("x = ", "x = f()", 4, "f()", TextEdit(4, 4, "f()"), id="line replaced"),
    pytest.param("x = aa", "x = aaa", 4, "a", TextEdit(4, 4, "a"), id="among equal characters"),
    pytest.param("f()", "f(a)", 2, "a", TextEdit(2, 2, "a"), id="between brackets"),
    pytest.param("f()", "f(a)", 2, "a)", TextEdit(2, 3, "a)"), id="over the closing bracket"),
    pytest.param("f()\ny", "f(a)\nz", 2, "q", TextEdit(2, 5, "a)\nz"), id="and more behind it"),
    pytest.param("x = 1", "y = 1", 4, "q", TextEdit(0, 1, "y"), id="only ahead of it"),
]


@pytest.mark.parametrize(("removed", "new", "cursor", "expected", "left"), ANCHORED)
def test_an_edit_over_the_cursor_is_cut_down_to_what_it_does_there(
    removed: str, new: str, cursor: int, expected: str, left: TextEdit
) -> None:
    assert anchored(TextEdit(0, len(removed), new), removed, cursor, expected) == left
