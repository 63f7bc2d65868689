"""What an episode is worth: every row of the table, its bounds, and the gate between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episodes_factory import episode
from falcon_lsp.core.types import Diagnostic, Outcome, Prompt
from falcon_lsp.learning.reward import common_characters, reward

COMPILE = Diagnostic(0, 1, "invalid syntax", source="falcon")
TYPE_ERROR = Diagnostic(1, 1, "not assignable", source="checker")
WARNING = Diagnostic(1, 2, "unused", source="checker")


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (episode(what=Outcome.ACCEPTED), 0.75),
        (episode(what=Outcome.TYPED_THROUGH), 0.75),
        (episode(what=Outcome.PARTIAL, kept=2), 0.75 * 2 / 5),
        (episode(what=Outcome.ACCEPTED, kept=99), 0.75),
        (episode(what=Outcome.REJECTED), -0.25),
        (episode(what=Outcome.REJECTED, inferred=True), -0.125),
        (episode(what=Outcome.UNDONE), -0.5),
        (episode(what=Outcome.IGNORED), 0.0),
        (episode(what=None), 0.0),
        (episode(text="", what=Outcome.ACCEPTED), 0.0),
    ],
)
def test_developer_term(what, expected) -> None:
    assert reward(what).total == pytest.approx(expected)
    assert reward(what).terms["developer"] == pytest.approx(expected)


def test_kept_characters_come_from_the_settled_text_where_it_is_known() -> None:
    changed = episode(text="price * count", stands="price * tax", kept=13)
    kept = len("price * ")
    assert reward(changed).total == pytest.approx(0.75 * kept / len("price * count"))


@pytest.mark.parametrize(
    ("suggested", "settled", "kept"),
    [
        ("abc", "abc", 3),
        ("ab", "ab", 2),
        ("abcdef", "", 0),
        ("abcdef", "a_c_e", 0),
        ("hello world", "hello big world", 11),
    ],
)
def test_scattered_letters_are_not_kept_text(suggested, settled, kept) -> None:
    assert common_characters(suggested, settled) == kept


def test_a_liked_suggestion_that_does_not_compile_is_worth_minus_one() -> None:
    worth = reward(episode(what=Outcome.ACCEPTED, added=[COMPILE]))
    assert worth.total == -1.0
    assert worth.terms == {"compiler": -1.0, "error_lines": 0.0, "developer": 0.75}


def test_dislike_still_counts_below_a_compiler_error() -> None:
    assert reward(episode(what=Outcome.UNDONE, added=[COMPILE])).total == -1.5


@pytest.mark.parametrize(
    ("text", "prefix", "broken"),
    [
        (")", "x = 1", True),
        ("1", "x = ", False),  # nothing parsed before either: nothing follows
        ("2", "x = 1", False),
    ],
)
def test_python_that_stops_parsing_is_a_compiler_error(text, prefix, broken) -> None:
    found = reward(episode(text=text, prompt=Prompt("a.py", prefix, "\n")))
    assert (found.terms["compiler"] == -1.0) is broken


@pytest.mark.parametrize(
    ("line", "findings", "expected"),
    [
        (1, [TYPE_ERROR], {0}),
        (0, [TYPE_ERROR], {1}),
        (2, [TYPE_ERROR], set()),
        (-1, [TYPE_ERROR], set()),
        (1, [WARNING], set()),
    ],
)
def test_error_lines_are_those_of_the_suggestion(line, findings, expected) -> None:
    worth = reward(episode(text="a\nb", added=findings, line=line))
    assert worth.error_lines == expected
    assert worth.total == (0.0 if expected else 0.75)  # the gate: no praise beside an error
    assert worth.silent is False


@given(
    what=st.sampled_from([None, *Outcome]),
    kept=st.integers(-5, 50),
    inferred=st.booleans(),
    stands=st.none() | st.text(max_size=12),
    text=st.text(max_size=12),
    broken=st.booleans(),
)
def test_rewards_stay_in_their_bounds(what, kept, inferred, stands, text, broken) -> None:
    told = episode(
        text=text,
        what=what,
        kept=kept,
        inferred=inferred,
        stands=stands,
        added=[COMPILE] if broken else [],
        language="typescript",
    )
    worth = reward(told)
    assert -1.5 <= worth.total <= 0.75
    assert -0.5 <= worth.terms["developer"] <= 0.75
    assert not (broken and worth.total > -1.0)
