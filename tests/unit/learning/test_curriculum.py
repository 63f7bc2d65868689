"""Facts about what is sampled next."""

from __future__ import annotations

import json
import random

import pytest

from falcon_lsp.learning.practice.curriculum import SHARES, Curriculum, hint

NAMES = ["a", "b", "c", "d"]


def test_new_contexts_come_without_help_and_each_once() -> None:
    curriculum = Curriculum(NAMES)
    assert sorted(curriculum.choose(10, random.Random(0))) == NAMES
    assert {curriculum.share(name) for name in NAMES} == {0.0}


@pytest.mark.parametrize(("passed", "band"), [(0, 0), (1, 0), (2, 1), (8, 1), (9, 0), (10, 0)])
def test_the_band_is_20_to_80_percent(passed: int, band: int) -> None:
    """In it a context is sampled again as it is; below it with help, above it not at all."""
    curriculum = Curriculum(["a"])
    curriculum.record("a", passed, 10)
    again = curriculum.choose(1, random.Random(0)) == ["a"]
    assert (again and curriculum.share("a") == 0.0) is bool(band)


def test_what_is_too_easy_is_not_sampled_again() -> None:
    curriculum = Curriculum(NAMES)
    curriculum.record("a", 10, 10)
    assert "a" not in curriculum.choose(10, random.Random(0))


def test_what_is_too_hard_gets_most_help_and_then_less_and_less() -> None:
    curriculum = Curriculum(["a"])
    seen = []
    for passed in (0, 10, 5, 10, 10, 10):
        seen.append(curriculum.share("a"))
        curriculum.record("a", passed, 10)
    assert seen == [0.0, 0.75, 0.5, 0.5, 0.25, 0.0]
    assert curriculum.choose(1, random.Random(0)) == []


def test_what_fails_with_the_most_help_is_given_up() -> None:
    curriculum = Curriculum(["a"])
    curriculum.record("a", 0, 10)
    assert curriculum.choose(1, random.Random(0)) == ["a"]
    curriculum.record("a", 0, 10)
    assert curriculum.choose(1, random.Random(0)) == []


def test_it_comes_back_from_json() -> None:
    curriculum, other = Curriculum(NAMES), Curriculum(NAMES[:3])
    for name, passed in zip(NAMES, (0, 3, 5, 10), strict=True):
        curriculum.record(name, passed, 10)
    other.restore(json.loads(json.dumps(curriculum.state())))
    assert [other.share(name) for name in NAMES[:3]] == [0.75, 0.0, 0.0]
    assert sorted(other.choose(9, random.Random(0))) == NAMES[:3]


def test_a_hint_is_a_prefix_that_ends_between_words() -> None:
    settled = "    total = first + second"
    for share in SHARES:
        given = hint(settled, share)
        assert settled.startswith(given)
        assert len(given) < len(settled)
    assert hint(settled, 0.5) == "    total = "
    assert hint(settled, 0.0) == ""
