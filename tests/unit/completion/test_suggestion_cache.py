"""What was offered is found again while its beginning is typed."""

from dataclasses import replace

import pytest

from completion_samples import at, typed
from falcon_lsp.completion.cache import SuggestionCache
from falcon_lsp.core.types import CompletionRequest, Prompt, Suggestion

REQUEST = at("x = ‸\ny = 2\n")


def never(_workspace: str, _before: str, _text: str) -> bool:
    return False


def suggestion(text: str, completion_id: str = "cmp-1") -> Suggestion:
    prompt = Prompt("a.py", "", "")
    return Suggestion(
        completion_id, text, REQUEST.offset, prompt, "model", "m", "a", (1, 2), (-0.1, -0.2)
    )


@pytest.fixture
def cache() -> SuggestionCache:
    cache = SuggestionCache()
    cache.add(REQUEST, (suggestion("compute(a, b)"),))
    return cache


def test_the_same_question_gets_the_same_suggestion(cache: SuggestionCache) -> None:
    assert cache.find(REQUEST, never) == (suggestion("compute(a, b)"),)


def test_the_rest_belongs_to_the_same_completion(cache: SuggestionCache) -> None:
    (rest,) = cache.find(typed(REQUEST, "compute("), never)
    assert (rest.text, rest.completion_id) == ("a, b)", "cmp-1")
    assert rest.offset == REQUEST.offset + len("compute(")
    assert rest.token_ids == (1, 2)


def test_closers_of_the_editor_are_not_offered_twice(cache: SuggestionCache) -> None:
    (rest,) = cache.find(typed(REQUEST, "compute(", closed=")"), never)
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
    assert cache.find(other, never) == ()


def test_what_was_refused_as_a_whole_is_not_offered_in_part(cache: SuggestionCache) -> None:
    def refused(workspace: str, before: str, text: str) -> bool:
        return (workspace, before, text) == (REQUEST.workspace, "x = ", "compute(a, b)")

    assert cache.find(typed(REQUEST, "comp"), refused) == ()


def test_of_several_offers_those_go_on_that_still_fit(cache: SuggestionCache) -> None:
    cache.add(REQUEST, (suggestion("call()", "cmp-2"), suggestion("compute(z)", "cmp-3")))
    found = cache.find(typed(REQUEST, "compute("), never)
    assert [(each.completion_id, each.text) for each in found] == [("cmp-3", "z)")]


def test_the_least_lately_used_offer_makes_room() -> None:
    cache = SuggestionCache(capacity=2)
    places = [at(f"{name} = ‸") for name in "abc"]
    cache.add(places[0], (suggestion("one"),))
    cache.add(places[1], (suggestion("two"),))
    cache.find(places[0], never)
    cache.add(places[2], (suggestion("three"),))
    assert [bool(cache.find(place, never)) for place in places] == [True, False, True]
