"""A generation goes on for as long as what is typed agrees with what it says."""

import time

import pytest

from completion_samples import at, typed
from falcon_lsp.completion.flight import Flight

REQUEST = at("x = ‸\ny = 2\n")


def later(seconds: float) -> float:
    return time.monotonic() + seconds


@pytest.mark.parametrize(
    ("said", "text", "joins"),
    [
        ("", "comp", True),
        ("comp", "co", True),
        ("comp", "compute", True),
        ("comp", "comX", False),
    ],
)
def test_a_request_joins_where_the_texts_agree(said: str, text: str, joins: bool) -> None:
    flight = Flight(REQUEST, later(9))
    flight.hear(said)
    assert flight.join(typed(REQUEST, text), later(9)) is joins
    assert not flight.token.cancelled


def test_closers_of_the_editor_are_not_in_the_way() -> None:
    assert Flight(REQUEST, later(9)).join(typed(REQUEST, "f(", closed=")"), later(9))


@pytest.mark.parametrize(
    "other",
    [at("x =‸ \ny = 2\n"), at("x = f‸\ny = 3\n"), at("x = f‸\ny = 2\n", path="b.py")],
    ids=["before", "below", "document"],
)
def test_another_place_does_not_join(other: object) -> None:
    assert not Flight(REQUEST, later(9)).join(other, later(9))  # type: ignore[arg-type]


def test_it_ends_where_it_leaves_what_was_typed_last() -> None:
    flight = Flight(REQUEST, later(9))
    flight.join(typed(REQUEST, "compa"), later(9))
    flight.hear("comp")
    assert not flight.token.cancelled
    flight.hear("compu")
    assert flight.token.cancelled
    assert not flight.join(typed(REQUEST, "compu"), later(9))


def test_it_has_the_time_of_the_last_who_joined() -> None:
    first, second = later(1), later(5)
    flight = Flight(REQUEST, first)
    flight.join(typed(REQUEST, "c"), second)
    flight.join(typed(REQUEST, "co"), first)
    assert flight.token.deadline == second
