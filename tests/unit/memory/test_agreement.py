"""Whether a typed text agrees with a suggestion."""

from __future__ import annotations

import pytest

from falcon_lsp.memory.agreement import agreement, ends_word, is_keystroke

AGREEING = [
    # suggested, typed, characters kept, complete
    ("return a", "", 0, False),
    ("return a", "ret", 3, False),
    ("return a", "return a", 8, True),
    ("return a", "return a + 1", 8, True),
    ("return a  ", "return a", 8, True),
    ("f(a)", "f()", 2, False),
    ("f(a)", "f(a)", 4, True),
    ("f([a])", "f([])", 3, False),
    ("{\n  a\n}", "{\n  \n}", 4, False),
    ("'it'", "''", 1, False),
    ('"""Say."""', '""""""', 3, False),
    ("if a:\n    b", "if a:\r\n    b", 11, True),
    ("if a:\n    b", "if a:\rb", 11, True),
    ("if a:\n    b", "if a:\n\tb", 11, True),
    ("if a:\nb", "if a:\n        b", 7, True),
    ("a\n\n  b", "a\n\n", 3, False),
]
DISAGREEING = [
    ("return a", "x", 0),
    ("return a", "retx", 3),
    ("return a", "\n", 0),
    ("a, b", ")", 0),
    ("f(a)", "f(b)", 2),
    ("f(a)", "f(]", 2),
    ("f(a)", "f())", 2),
    ("f(a)", "f ", 1),
    ("a b", "a  b", 2),
]


@pytest.mark.parametrize(("suggested", "typed", "kept", "complete"), AGREEING)
def test_it_agrees(suggested: str, typed: str, kept: int, complete: bool) -> None:
    found = agreement(suggested, typed)
    assert (found.kept, found.complete, found.agrees) == (kept, complete, True)


@pytest.mark.parametrize(("suggested", "typed", "kept"), DISAGREEING)
def test_it_disagrees(suggested: str, typed: str, kept: int) -> None:
    found = agreement(suggested, typed)
    assert (found.kept, found.complete, found.agrees) == (kept, False, False)


def test_the_length_counts_what_was_typed_with_its_carriage_returns() -> None:
    assert agreement("a\nb", "a\r\nb)").length == 4


@pytest.mark.parametrize("text", ["a", "😀", "()", "''", "\t", "    ", "\n", "\n    ", "\r\n  "])
def test_one_key_can_insert_it(text: str) -> None:
    assert is_keystroke(text)


@pytest.mark.parametrize("text", ["", "ab", "):", "(a", "a\n", "\n  a", "return"])
def test_no_key_inserts_it(text: str) -> None:
    assert not is_keystroke(text)


@pytest.mark.parametrize(
    ("suggested", "end", "expected"),
    [("return a", 6, True), ("return a", 7, True), ("return a", 3, False), ("():a", 3, False),
     ("a_b", 1, False), ("a_b", 3, True)],
)  # fmt: skip
def test_where_a_word_ends(suggested: str, end: int, expected: bool) -> None:
    assert ends_word(suggested, 0, end) is expected
