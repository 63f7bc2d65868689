"""Each term on its own: its table, its bounds, its neutral answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episodes_factory import episode
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.rewards.combination import ERROR_LINE
from falcon_lsp.learning.rewards.developer import (
    common_characters,
    developer_term,
    kept_characters,
    similarity_term,
)
from falcon_lsp.learning.rewards.execution import (
    TestOutcome,
    Verdict,
    runtime_term,
    speed_term,
    suite_term,
)
from falcon_lsp.learning.rewards.mask import token_penalty

P, F, R = (TestOutcome(verdict) for verdict in (Verdict.PASSED, Verdict.FAILED, Verdict.RAISED))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (episode(what=Outcome.ACCEPTED), 0.75),
        (episode(what=Outcome.TYPED_THROUGH), 0.75),
        (episode(what=Outcome.PARTIAL, kept=2), 0.75 * 2 / 5),
        (episode(what=Outcome.ACCEPTED, kept=99), 0.75),
        (episode(what=Outcome.ACCEPTED, kept=-1), 0.0),
        (episode(what=Outcome.REJECTED), -0.25),
        (episode(what=Outcome.REJECTED, inferred=True), -0.125),
        (episode(what=Outcome.UNDONE), -0.5),
        (episode(what=Outcome.IGNORED), 0.0),
        (episode(what=Outcome.SUPERSEDED), 0.0),
        (episode(what=None), 0.0),
        (episode(text="", what=Outcome.ACCEPTED), 0.0),
    ],
)
def test_developer(what, expected) -> None:
    assert developer_term(what) == pytest.approx(expected)


def looked_at(**stands: str):
    told = episode(text="price * count", stands="", kept=13)
    return type(told)(
        **{name: getattr(told, name) for name in told.__slots__}
        | {"settled": {int(after[1:]): text for after, text in stands.items()}}
    )


@pytest.mark.parametrize(
    ("stands", "kept"),
    [
        ({}, 13),  # nobody has looked yet: what was taken
        ({"s30": "price * count"}, 13),
        ({"s30": "price * tax"}, 8),
        ({"s30": "price * count", "s120": ""}, 13 / 2),
        ({"s30": "price * count", "s120": "price * count", "s300": "", "s600": ""}, 13 / 2),
        ({"s30": "price * count", "s120": "x", "s300": "x", "s600": "x"}, 13 / 4),
    ],
)
def test_kept_characters_are_those_that_persist(stands, kept) -> None:
    assert kept_characters(looked_at(**stands)) == pytest.approx(kept)
    assert developer_term(looked_at(**stands)) == pytest.approx(0.75 * kept / 13)


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


@pytest.mark.parametrize(
    ("text", "settled", "expected"),
    [("", "a + b", 0.0), ("a + b", "a + b", 0.75), ("zz", "a + b", -0.25), ("ab", "abcd", 5 / 12)],
)
def test_similarity_pays_from_the_likeness_at_which_showing_pays(text, settled, expected) -> None:
    assert similarity_term(text, settled) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("outcomes", "runtime", "tests"),
    [
        ([], None, None),
        ([P], 0.0, 1.0),
        ([P] * 49, 0.0, 1.0),
        ([F], 0.0, -0.3),
        ([R], -0.6, 0.0),
        ([R, R, R], -0.6, 0.0),
        ([P, F], 0.0, -0.3 + 1.3 / 2),
        ([P, F, F], 0.0, -0.3 + 1.3 / 3),
        ([P, P, F], 0.0, -0.3 + 1.3 * 2 / 3),
        ([P, F, R], -0.2, 0.7 / 3),
        ([R, P], -0.3, 0.5),
    ],
)
def test_every_test_counts(outcomes, runtime, tests) -> None:
    assert runtime_term(outcomes) == (None if runtime is None else pytest.approx(runtime))
    assert suite_term(outcomes) == (None if tests is None else pytest.approx(tests))


@given(st.lists(st.sampled_from([P, F]), min_size=1, max_size=50))
def test_without_a_raise_the_tests_are_worth_what_their_pass_ratio_says(outcomes) -> None:
    ratio = outcomes.count(P) / len(outcomes)
    assert suite_term(outcomes) == pytest.approx(-0.3 + 1.3 * ratio)


@given(st.lists(st.sampled_from([P, F, R]), min_size=2, max_size=50))
def test_mending_any_one_test_is_worth_more_wherever_it_stands(outcomes) -> None:
    def worth(suite):
        return (runtime_term(suite) or 0.0) + (suite_term(suite) or 0.0)

    for at, one in enumerate(outcomes):
        if one is not P:
            mended = [*outcomes[:at], P, *outcomes[at + 1 :]]
            assert worth(mended) > worth(outcomes)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (1.0, 1.0, 0.0),
        (1.05, 1.0, 0.0),
        (1.0, 1.05, 0.0),
        (2.0, 1.0, 0.1),
        (8.0, 1.0, 0.3),
        (1000.0, 1.0, 0.3),
        (1.0, 2.0, -0.1),
        (1.0, 1000.0, -0.1),
        (0.0, 1.0, 0.0),
        (1.0, 0.0, 0.0),
    ],
)
def test_speed_is_the_logarithm_of_the_speed_up(before, after, expected) -> None:
    assert speed_term(before, after) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "starts", "lines", "healed", "paying"),
    [
        ("ab\ncd", [0, 2, 3], {0}, 0, [True, True, False]),  # the line's end belongs to its line
        ("ab\ncd", [0, 2, 3], {1}, 0, [False, False, True]),
        ("ab\ncd", [0], {1}, 0, [True]),  # one token across both lines
        ("ab\ncd", [0, 2, 3], set(), 0, [False, False, False]),
        ("ab\ncd", [0, 4, 5], {1}, 2, [False, False, True]),  # two characters were healed
        ("ab", [0, 1], {7}, 0, [False, False]),
    ],
)
def test_only_tokens_on_named_lines_pay(text, starts, lines, healed, paying) -> None:
    found = token_penalty(text, starts, lines, healed)
    assert found == tuple(ERROR_LINE if pays else 0.0 for pays in paying)
