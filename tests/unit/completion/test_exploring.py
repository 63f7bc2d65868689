"""What the service records of its decisions: features, propensity, and what was held back."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from completion_samples import StubEngine, StubMemory, at
from falcon_lsp.completion import features, policy
from falcon_lsp.completion.answer import Answer
from falcon_lsp.completion.belief import Belief, usual
from falcon_lsp.completion.service import CompletionService
from falcon_lsp.config import CompletionOptions, Config, MemoryOptions
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import CompletionRequest, Outcome
from falcon_lsp.memory import events
from falcon_lsp.memory.drafts import Drafts
from falcon_lsp.memory.events import Kind, Place
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.memory.service import MemoryService

REQUEST = at("def add(a, b):\n    return ‸\n")
PLACE = Place("cmp-1", "file:///w", "a.py", "python")


def asked(
    threshold: float,
    draw: float = 0.99,
    *,
    belief: Belief | None = None,
    request: CompletionRequest = REQUEST,
) -> Answer:
    memory = StubMemory()
    service = CompletionService(
        engine=lambda: StubEngine("a + b\n"),
        memory=memory,
        short_term=memory,
        config=lambda: Config(completion=CompletionOptions(threshold=threshold)),
        open_documents=lambda _workspace: [],
        draw=lambda: draw,
        believed=lambda: belief or usual(),
    )
    return service.answer(request, CancellationToken())


def chance() -> float:
    (suggestion,) = asked(0.0).suggestions
    return usual().probability(suggestion.features)


def test_the_chance_can_be_computed_again_from_what_is_recorded() -> None:
    (suggestion,) = asked(0.0).suggestions
    assert suggestion.features_version == features.VERSION
    (again,) = asked(usual().probability(suggestion.features)).suggestions or (suggestion,)
    assert again.features[:20] == suggestion.features[:20]  # all but what depends on the clock


@pytest.mark.parametrize(
    ("above", "draw", "shown", "held"),
    [
        (-0.02, 0.99, True, False),
        (policy.EXPLORE_BAND / 2, 0.99, False, True),
        (policy.EXPLORE_BAND / 2, 0.01, True, False),
        (policy.EXPLORE_BAND * 1.5, 0.01, False, False),
    ],
    ids=["likely", "held back", "explored", "unlikely"],
)
def test_what_might_have_been_shown_is_known(
    above: float, draw: float, shown: bool, held: bool
) -> None:
    answer = asked(chance() + above, draw)
    assert (bool(answer.suggestions), answer.held is not None) == (shown, held)
    if held and answer.held:
        assert answer.held.propensity == policy.EXPLORE_SHARE


def test_what_was_learned_decides() -> None:
    (suggestion,) = asked(0.0).suggestions
    belief = usual()
    for _ in range(30):
        belief = belief.learned(suggestion.features, 0.0, 1.0)
    assert asked(chance() - 0.05).suggestions
    assert not asked(chance() - 0.05, belief=belief).suggestions


def test_what_is_held_back_is_numbers_only() -> None:
    answer = asked(chance() + policy.EXPLORE_BAND / 2)
    assert answer.held is not None
    event = events.held(PLACE, answer.held)
    assert set(event.payload) == {"propensity", "features", "features_version"}
    assert features.recorded(event.payload) == answer.held.features


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[MemoryService]:
    with closing(MemoryService(Store(tmp_path, tmp_path), MemoryOptions())) as memory:
        memory.open()
        yield memory


def test_what_is_held_back_is_recorded_and_is_no_episode(
    memory: MemoryService, tmp_path: Path
) -> None:
    answer = asked(chance() + policy.EXPLORE_BAND / 2)
    assert answer.held is not None
    assert memory.record([events.held(PLACE, answer.held)])
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        assert [event.kind for _, event in ledger.events()] == [Kind.HELD]
        assert ledger.episodes() == []
        assert ledger.counts()["suggestions"] == 0
        assert ledger.pending() == 0


@pytest.mark.parametrize(
    ("propensity", "recorded"), [(1.0, []), (policy.EXPLORE_SHARE, [Kind.SUGGESTED, Kind.OUTCOME])]
)
def test_what_was_explored_is_recorded_whatever_comes(
    propensity: float, recorded: list[Kind]
) -> None:
    (suggestion,) = asked(0.0).suggestions
    offered = events.suggested(PLACE, replace(suggestion, propensity=propensity))
    replaced = events.outcome(
        PLACE, Outcome.SUPERSEDED, chars_kept=0, elapsed_ms=0.0, inferred=True
    )
    found = Drafts().pass_on([offered, replaced])
    assert [event.kind for event in found] == recorded
