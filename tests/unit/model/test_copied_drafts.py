"""What follows the longest match, and how much of it is drafted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcon_lsp.model.drafts import (
    LEAST_MATCH,
    LENGTHS,
    MAX_MATCH,
    NO_SOURCES,
    Drafter,
    Match,
    Sources,
)

ROWS = "call_the_function(1)\n" * 3 + "call_the_function(2)\n"


@pytest.mark.parametrize(
    ("texts", "text", "least", "found"),
    [
        (["abcdef"], "xbcd", 3, Match("ef", 3)),
        (["abcdef"], "xbcd", 4, None),
        (["abc"], "abc", 3, None),
        (["abc abd", "abcz"], "ab", 2, Match("d", 2)),
        (["", "abcz"], "xxabc", 2, Match("z", 3)),
        (["aXabc1", "bXabc2"], "bXabc", 3, Match("2", 5)),
        (["abc", "def"], "bc", 2, None),
        ([ROWS], "call_the_function(", 8, Match("2)\n", 18)),
        ([ROWS], "1)\ncall_the_function(", 8, Match("2)\n", 21)),
        ([], "abc", 1, None),
        (["abcd"], "", 1, None),
        (["\0" * 9], "\0" * 9, 8, None),  # a file of null bytes looks like borders
    ],
)
def test_the_longest_match_wins_then_the_first_text_then_its_end(
    texts: list[str], text: str, least: int, found: Match | None
) -> None:
    assert Sources(texts).follow(text, least) == found


def test_of_what_follows_no_more_is_taken_than_asked_for() -> None:
    assert Sources(["abc" + "d" * 99]).follow("abc", 3, length=5) == Match("ddddd", 3)


def test_what_cannot_be_used_is_passed_over() -> None:
    sources = Sources(["value = first\nvalue = \nvalue = "])
    found = sources.follow("\nvalue = ", 8, usable=lambda text: text.partition("\n")[0])
    assert found == Match("first\nvalue = \nvalue = ", 8)


def test_a_match_is_measured_up_to_a_limit() -> None:
    long = "".join(map(chr, range(300, 300 + MAX_MATCH + 50)))
    assert Sources([long + "!"]).follow(long, 1) == Match("!", MAX_MATCH)


@given(st.lists(st.text("ab\n", max_size=30), max_size=4), st.text("ab\n", max_size=12))
def test_nothing_longer_matches_anywhere(texts: list[str], text: str) -> None:
    """Against the plainest way to say it: all places of all texts."""
    found = Sources(texts).follow(text, 2)
    ends = [source[:end] for source in texts for end in range(len(source))]
    longest = max(
        (
            length
            for length in range(2, len(text) + 1)
            if any(e.endswith(text[-length:]) for e in ends)
        ),
        default=None,
    )
    assert (found.matched if found else None) == longest


def spell(text: str) -> list[int]:
    """Encode as one token a character."""
    return list(map(ord, text))


def drafted(
    source: str, text: str, owed: str = "", room: int = 99, *, single_line: bool = True
) -> str:
    drafter = Drafter(spell, Sources([source]), single_line=single_line)
    return "".join(map(chr, drafter.draft(text, owed, room)))


def test_longer_matches_earn_longer_drafts() -> None:
    text = "".join(map(chr, range(300, 400)))
    source = text + "x" * 99
    assert [least for least, _ in LENGTHS] == sorted({least for least, _ in LENGTHS}, reverse=True)
    for least, count in LENGTHS:
        assert drafted(source, text[-least:]) == "x" * count
    assert drafted(source, text[-LEAST_MATCH + 1 :]) == ""


def test_a_draft_spells_first_what_healing_took_back() -> None:
    assert drafted("some = value\n", "x\nsome = ", owed=" = ") == ""
    assert drafted("here some = value\n", "there some = ", owed="= ") == "= value"[: LENGTHS[-1][1]]


def test_a_draft_of_one_line_ends_before_its_end() -> None:
    source = "a_long_enough_match = 1\nb"
    assert drafted(source, "a_long_enough_match = ") == "1"
    assert drafted(source, "a_long_enough_match = ", single_line=False) == "1\nb"
    assert drafted(source, "a_long_enough_match = 1") == ""


def test_a_draft_is_no_longer_than_there_is_room_for() -> None:
    source, text = "a_long_enough_match = 123456", "a_long_enough_match = "
    assert [drafted(source, text, room=room) for room in (-1, 0, 2)] == ["", "", "12"]


def test_from_nothing_nothing_is_drafted() -> None:
    assert Drafter(spell, NO_SOURCES, single_line=True).draft("some = thing", "", 9) == []
