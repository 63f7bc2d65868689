"""Copies: the rest of the line after the longest match."""

import pytest

from completion_samples import at
from falcon_lsp.completion.candidates import (
    MIN_MATCH,
    MOST_SEARCHED,
    Candidate,
    copy_candidate,
    from_generation,
    sources_at,
)
from falcon_lsp.model.drafts import Match
from falcon_lsp.model.engine import Generation

OTHER = "settings = load_settings(path)\nlogger = logging.getLogger(__name__)\n"


def copy(marked: str, *others: str) -> Candidate | None:
    request = at(marked)
    return copy_candidate(request, sources_at(request, others))


def test_a_line_of_another_open_file_is_copied() -> None:
    found = copy("import logging\n\nlogger = logging.‸", OTHER)
    assert found is not None
    assert (found.text, found.source) == ("getLogger(__name__)", "copy")
    assert found.matched == len("\nlogger = logging.")
    assert found.mean_logprob is None


def test_the_longest_match_wins() -> None:
    text = "for item in items_of(a):\n    x = 1\nwhile True:\n    for item in items_of(b):\n"
    found = copy(text + "while True:\n    for item in items_of(‸")
    assert found is not None
    assert found.text == "b):"


def test_the_text_after_the_cursor_is_searched_too() -> None:
    found = copy("first = make_widget(‸\nfirst = make_widget(colour)\n")
    assert found is not None
    assert found.text == "colour)"


def test_a_shorter_match_is_no_candidate() -> None:
    key = "abcdefghijklmnop"[: MIN_MATCH - 1]
    assert copy(f"-{key}‸", f"+{key} = rest") is None


def test_white_space_is_no_match() -> None:
    blank = "\n" + " " * 30
    assert copy(f"x = 1{blank}‸", f"y = 2{blank}z = 3") is None


def test_a_match_at_the_end_of_a_line_has_nothing_to_copy() -> None:
    assert copy("value = compute_all()‸", "value = compute_all()\n") is None


def test_crlf_is_not_copied() -> None:
    found = copy("logger = logging.‸", OTHER.replace("\n", "\r\n"))
    assert found is not None
    assert found.text == "getLogger(__name__)"


def test_a_match_goes_on_over_line_ends_of_either_kind() -> None:
    lines = "first_thing(1)\nsecond_thing(‸\n"
    rows = "first_thing(1)\nsecond_thing(2)\nother_thing(1)\nsecond_thing(3)\n"
    plain, windows = copy(rows + lines), copy((rows + lines).replace("\n", "\r\n"))
    assert plain is not None
    assert (plain.text, plain.matched) == ("2)", len("first_thing(1)\nsecond_thing("))
    assert windows == plain


def test_of_what_is_long_only_what_is_next_to_the_cursor_is_searched() -> None:
    request = at("x" * MOST_SEARCHED + "near_the_cursor(‸quite_distant_place(1)")
    sources = sources_at(request, ["another_document(1)"])
    assert sources.follow("near_the_curs", 8) == Match("or(", len("near_the_curs"))
    assert sources.follow("quite_distant_pl", 8) is None
    assert sources.follow("another_docu", 8) is None


def test_of_equally_long_matches_the_nearest_is_taken() -> None:
    rows = "call_the_function(1)\n" * 5 + "call_the_function(2)\n"
    found = copy(rows + "call_the_function(‸")
    assert found is not None
    assert found.text == "2)"


def test_a_longer_match_is_found_behind_any_number_of_shorter_ones() -> None:
    rows = "call_the_function(1)\n" * 1000
    longer = "unlike any other\ncall_the_function(7)\n"
    found = copy(longer + rows + "unlike any other\ncall_the_function(‸")
    assert found is not None
    assert found.text == "7)"


def test_a_candidate_keeps_what_was_sampled() -> None:
    generation = Generation("ab", (1, 2), (-0.5, -1.5), "line", healed_chars=3)
    candidate = from_generation(generation, "model", "adapter")
    assert candidate.mean_logprob == -1.0
    assert (candidate.token_ids, candidate.healed_chars) == ((1, 2), 3)
    assert (candidate.model_id, candidate.adapter_id) == ("model", "adapter")


@pytest.mark.parametrize(
    ("candidate", "mean", "weight"),
    [
        (Candidate("ab", "model", logprobs=(-0.5, -1.5)), -1.0, -2.0),
        (Candidate("ab", "copy", matched=50, scored=(-1.0, -2.0, -3.0)), -2.0, -4.0),
        (Candidate("ab", "copy", matched=50), None, None),
    ],
)
def test_a_copy_is_weighed_by_the_model_and_by_its_match(
    candidate: Candidate, mean: float | None, weight: float | None
) -> None:
    assert candidate.mean_logprob == mean
    assert candidate.weight == pytest.approx(weight)
