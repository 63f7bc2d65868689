"""What was offered is found again while its beginning is typed."""

from dataclasses import replace
from typing import Any

import pytest

from completion_samples import at, typed
from falcon_lsp.completion.cache import Offer, SuggestionCache
from falcon_lsp.core.types import CompletionRequest, Prompt, Suggestion

REQUEST = at("x = ‸\ny = 2\n")


def never(_workspace: str, _before: str, _text: str) -> bool:
    return False


def suggestion(text: str, completion_id: str = "cmp-1") -> Suggestion:
    prompt = Prompt("a.py", "", "")
    return Suggestion(
        completion_id, text, REQUEST.offset, prompt, "model", "m", "a", (1, 2), (-0.1, -0.2)
    )


def found(cache: SuggestionCache, request: CompletionRequest) -> tuple[Suggestion, ...]:
    offer = cache.find(request, never)
    return offer.suggestions if offer else ()


@pytest.fixture
def cache() -> SuggestionCache:
    cache = SuggestionCache()
    cache.add(REQUEST, (suggestion("compute(a, b)"),))
    return cache


def test_the_same_question_gets_the_same_suggestion(cache: SuggestionCache) -> None:
    assert cache.find(REQUEST, never) == Offer((suggestion("compute(a, b)"),))


def test_the_rest_belongs_to_the_same_completion(cache: SuggestionCache) -> None:
    (rest,) = found(cache, typed(REQUEST, "compute("))
    assert (rest.text, rest.completion_id) == ("a, b)", "cmp-1")
    assert rest.offset == REQUEST.offset + len("compute(")
    assert rest.token_ids == (1, 2)


def test_closers_of_the_editor_are_not_offered_twice(cache: SuggestionCache) -> None:
    (rest,) = found(cache, typed(REQUEST, "compute(", closed=")"))
    assert rest.text == "a, b"


@pytest.mark.parametrize(
    "other",
    [
        typed(REQUEST, "compare"),
        typed(REQUEST, "compute(a, b)"),
        at("z = ‸\ny = 2\n"),
        at("x = ‸\ny = 3\n"),
        at("x =‸ \ny = 2\n"),
        replace(REQUEST, uri="file:///w/b.py"),
        replace(REQUEST, workspace="file:///other"),
    ],
    ids=["other", "whole", "before", "after", "left of it", "document", "workspace"],
)
def test_another_text_or_place_finds_nothing(
    cache: SuggestionCache, other: CompletionRequest
) -> None:
    assert cache.find(other, never) is None


def test_what_was_refused_as_a_whole_is_not_offered_in_part(cache: SuggestionCache) -> None:
    def refused(workspace: str, before: str, text: str) -> bool:
        return (workspace, before, text) == (REQUEST.workspace, "x = ", "compute(a, b)")

    assert cache.find(typed(REQUEST, "comp"), refused) is None


def test_of_several_offers_those_go_on_that_still_fit(cache: SuggestionCache) -> None:
    cache.add(REQUEST, (suggestion("call()", "cmp-2"), suggestion("compute(z)", "cmp-3")))
    rests = found(cache, typed(REQUEST, "compute("))
    assert [(each.completion_id, each.text) for each in rests] == [("cmp-3", "z)")]


def test_the_least_lately_used_offer_makes_room() -> None:
    cache = SuggestionCache(capacity=2)
    places = [at(f"{name} = ‸") for name in "abc"]
    cache.add(places[0], (suggestion("one"),))
    cache.add(places[1], (suggestion("two"),))
    cache.find(places[0], never)
    cache.add(places[2], (suggestion("three"),))
    assert [bool(cache.find(place, never)) for place in places] == [True, False, True]


def test_what_was_made_ahead_is_known_as_such() -> None:
    cache = SuggestionCache()
    cache.add(REQUEST, (suggestion("compute(a, b)"),), ahead=True)
    offer = cache.find(typed(REQUEST, "comp"), never)
    assert offer is not None
    assert offer.ahead


@pytest.mark.parametrize(
    ("text", "done"), [("", False), ("compute(a", False), ("compute(a, b)", True), ("x", False)]
)
def test_an_offer_is_completed_when_all_of_it_stands_before_the_cursor(
    cache: SuggestionCache, text: str, done: bool
) -> None:
    assert cache.completed(typed(REQUEST, text)) is done


def test_only_offers_near_the_cursor_make_it_read_the_document() -> None:
    """A keystroke in a long document must not cost more for each offer that is remembered."""
    cache = SuggestionCache()
    lines = "".join(f"value_{n} = {n}\n" for n in range(200))
    for n in range(0, 2000, 20):
        cache.add(at(lines[:n] + "‸" + lines[n:]), (suggestion("compute(a, b)"),))
    reading = CountingText(lines)
    request = replace(at(lines[:1010] + "‸" + lines[1010:]), text=reading)
    assert cache.find(request, never) is None
    assert reading.slices <= 2


class CountingText(str):
    """Counts how often a piece of it is taken."""

    slices = 0

    def __getitem__(self, key: Any) -> str:
        self.slices += 1
        return super().__getitem__(key)
