"""Only episodes that say something reach the ledger."""

from __future__ import annotations

import pytest

from episodes_factory import suggestion
from falcon_lsp.core.types import Outcome
from falcon_lsp.memory import events
from falcon_lsp.memory.drafts import MOST_DRAFTS, Drafts
from falcon_lsp.memory.events import Event, Place


def beginning(completion_id: str) -> list[Event]:
    place = Place(completion_id, "file:///w", "a.py", "python")
    return [
        events.suggested(place, suggestion(completion_id)),
        became(completion_id, Outcome.SHOWN),
    ]


def became(completion_id: str, outcome: Outcome) -> Event:
    place = Place(completion_id, "file:///w", "a.py", "python")
    return events.outcome(place, outcome, chars_kept=0, elapsed_ms=1.0, inferred=True)


def test_a_beginning_waits_for_what_became_of_it() -> None:
    drafts, begun = Drafts(), beginning("a")
    assert drafts.pass_on(begun) == []
    accepted = became("a", Outcome.ACCEPTED)
    assert drafts.pass_on([accepted]) == [*begun, accepted]
    undone = became("a", Outcome.UNDONE)
    assert drafts.pass_on([undone]) == [undone]


@pytest.mark.parametrize("later", [Outcome.REJECTED, Outcome.IGNORED, Outcome.TYPED_THROUGH])
def test_every_outcome_but_superseded_is_worth_recording(later: Outcome) -> None:
    drafts = Drafts()
    drafts.pass_on(beginning("a"))
    assert len(drafts.pass_on([became("a", later)])) == 3


def test_what_was_replaced_unnoticed_leaves_nothing() -> None:
    drafts = Drafts()
    drafts.pass_on(beginning("a"))
    assert drafts.pass_on([became("a", Outcome.SUPERSEDED)]) == []


def test_what_was_replaced_and_offered_again_is_recorded_whole() -> None:
    drafts, begun = Drafts(), beginning("a")
    drafts.pass_on([*begun, became("a", Outcome.SUPERSEDED)])
    accepted = became("a", Outcome.ACCEPTED)
    assert drafts.pass_on([accepted]) == [*begun, accepted]


def test_what_is_held_is_bounded() -> None:
    drafts = Drafts()
    for number in range(MOST_DRAFTS + 1):
        drafts.pass_on(beginning(str(number)))
    assert len(drafts.pass_on([became("0", Outcome.ACCEPTED)])) == 1
    assert len(drafts.pass_on([became("1", Outcome.ACCEPTED)])) == 3
