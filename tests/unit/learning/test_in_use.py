"""What is worse in use is left by itself, what is as good as before (nearly) never."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from episodes_factory import episode, events_of
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.background import worker
from falcon_lsp.learning.judging.in_use import Evidence, evidence, step_back, worth
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import AdapterRegistry, scope_of
from falcon_lsp.model.engine import EngineError
from unit.model.adapter_samples import publish

A, B = "file:///code/a", "file:///code/b"


def draws(rng: random.Random, rate: float, count: int) -> list[float]:
    """Return what is kept of suggestions: often nothing, sometimes a part, sometimes all."""
    return [rng.choice((0.4, 1.0, 1.0)) if rng.random() < rate else 0.0 for _ in range(count)]


def alarms(rate: float, then: float, before: int, since: int, runs: int = 400) -> float:
    """Return in which share of runs a version is ever left, looked at after every episode."""
    rng = random.Random(7)
    found = (evidence(draws(rng, rate, before), draws(rng, then, since)) for _ in range(runs))
    return sum(each is not None and each.worse for each in found) / runs


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("before", [30, 100, 400])
def test_a_version_that_is_as_good_as_before_is_hardly_ever_left(rate, before) -> None:
    assert alarms(rate, rate, before, 1000) <= 0.05


def test_a_better_version_is_never_left() -> None:
    assert alarms(0.3, 0.4, 100, 1000) == 0.0


@pytest.mark.parametrize(
    ("rate", "then", "within"), [(0.35, 0.1, 150), (0.35, 0.0, 60), (0.7, 0.4, 160)]
)
def test_a_worse_version_is_left_soon(rate, then, within) -> None:
    assert alarms(rate, then, 200, within) >= 0.9


def test_too_little_to_compare_with_says_nothing() -> None:
    assert evidence([1.0] * 29, [0.0] * 500) is None
    assert evidence([1.0] * 100, []) is None


def test_the_evidence_tells_its_numbers() -> None:
    found = evidence([1.0, 0.0] * 50, [0.0] * 40)
    assert isinstance(found, Evidence)
    assert (found.before, found.since) == (0.5, 0.0)
    assert 0.3 < found.floor < 0.5
    assert (found.count_before, found.count_since) == (100, 40)
    assert found.worse


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"what": Outcome.ACCEPTED}, 1.0),
        ({"what": Outcome.PARTIAL, "kept": 2}, 0.4),
        ({"what": Outcome.ACCEPTED, "stands": "a + c"}, 0.8),
        ({"what": Outcome.REJECTED, "stands": "a + b"}, 0.0),
        ({"what": Outcome.IGNORED}, 0.0),
        ({"what": Outcome.UNDONE}, 0.0),
        ({"what": None}, 0.0),
    ],
)
def test_the_worth_of_a_suggestion_is_the_share_that_was_kept(changes, expected) -> None:
    assert worth(episode(**changes)) == pytest.approx(expected)


# -------------------------------------------------------- through the registry


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    registry = AdapterRegistry(tmp_path / "adapters")
    publish(registry, "all-1", created=1.0)
    publish(registry, "all-2", created=2.0, parent="all-1")
    publish(
        registry, "a-1", created=3.0, parent="all-1", scope=scope_of(A),
        metrics={"against": "all-2"},
    )  # fmt: skip
    return registry


def used(adapter_id: str, workspace: str, taken: int, declined: int) -> list[Episode]:
    return [
        replace(
            episode(
                f"{adapter_id}-{workspace[-1]}-{number}",
                what=Outcome.REJECTED if number % (taken + declined) >= taken else Outcome.ACCEPTED,
                adapter_id=adapter_id,
            ),
            workspace=workspace,
        )
        for number in range(80)
    ]


def served(registry: AdapterRegistry) -> Sequence[str]:
    return [registry.current(None, scope) for scope in ("", scope_of(A), scope_of(B))]


def test_a_workspaces_version_that_got_worse_gives_way_to_everybodys(registry) -> None:
    episodes = used("all-2", A, 1, 1) + used("a-1", A, 0, 1)
    assert step_back(registry, episodes) == [("a-1", "all-2")]
    assert served(registry) == ["all-2", "all-2", "all-2"]
    [row] = VerdictLog(registry.folder).rows()
    assert (row["what"], row["adapter"], row["to"]) == ("rolled_back", "a-1", "all-2")
    assert row["before"] == 0.5 > row["since"] == 0.0
    assert row["capital"] >= 40


def test_everybodys_version_that_got_worse_gives_way_to_its_parent(registry) -> None:
    episodes = used("all-1", B, 1, 1) + used("all-2", B, 0, 1)
    assert step_back(registry, episodes) == [("all-2", "all-1")]
    assert served(registry) == ["all-1", "a-1", "all-1"]


def test_a_version_that_is_as_good_stays(registry) -> None:
    episodes = used("all-1", B, 1, 1) + used("all-2", B, 1, 1) + used("all-2", A, 1, 1)
    assert step_back(registry, episodes + used("a-1", A, 1, 1)) == []


def test_only_where_both_were_used_they_are_compared(registry) -> None:
    """A worse acceptance in another workspace says nothing of the adapter."""
    episodes = used("all-1", A, 1, 1) + used("all-2", B, 0, 1)
    assert step_back(registry, episodes) == []


def test_the_trainer_looks_back_before_it_trains(tmp_path, monkeypatch) -> None:
    """Also when what it then trains fails: nothing has to be learned to leave what is worse."""
    store = Store(tmp_path / "data", tmp_path / "cache")
    registry = AdapterRegistry(store.adapters)
    publish(registry, "all-1", created=1.0)
    publish(registry, "all-2", created=2.0, parent="all-1")
    episodes = used("all-1", A, 1, 1) + used("all-2", A, 0, 1)
    with closing(Ledger(store.ledger)) as ledger:
        for number, each in enumerate(episodes):  # of no file too many
            ledger.append(events_of(replace(each, path=f"{number % 8}.py")))

    def no_model(*_given: object) -> None:
        raise EngineError("Fetch the model.")

    monkeypatch.setattr(worker, "make_updater", no_model)
    heard: list[dict[str, Any]] = []
    assert worker.serve(store, Config(), heard.append, CancellationToken()) == 1
    assert heard[0] == {"event": "rolled_back", "adapter_id": "all-2", "to": "all-1"}
    assert registry.current() == "all-1"
    heard.clear()
    worker.serve(store, Config(), heard.append, CancellationToken())
    assert [event["event"] for event in heard] == ["error"]


def test_who_serves_a_version_again_knows_better(registry) -> None:
    episodes = used("all-1", B, 1, 1) + used("all-2", B, 0, 1)
    step_back(registry, episodes)
    registry.rollback("all-2")
    assert step_back(registry, episodes) == []
    assert registry.current() == "all-2"
