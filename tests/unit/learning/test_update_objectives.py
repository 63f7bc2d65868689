"""Each objective end to end: an update with a journal, killed and gone on with, same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from episodes_factory import episode
from even_appraiser import Even
from falcon_lsp.config import from_client_options, options
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.background import worker
from falcon_lsp.learning.dataset import Encoding
from falcon_lsp.learning.journal import Journal
from falcon_lsp.learning.judging import publishing
from falcon_lsp.learning.judging.regression import regression_set
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.trainer import Recipe
from falcon_lsp.learning.update import Updater
from falcon_lsp.learning.update_report import UpdateReport
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model import fim
from falcon_lsp.model.adapters import AdapterRegistry
from falcon_lsp.model.files import ModelFiles

RECIPE = Recipe(
    learning_rate=1e-3,
    minibatch=4,
    epochs=1,
    most_steps=3,
    contexts=2,
    samples=4,
    kl_cap=5.0,
    kl_most=5.0,
)


class Killed(Exception):
    pass


@pytest.fixture(autouse=True)
def short_regression_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordinary code is judged elsewhere: here a few holes of it keep the tests short."""
    monkeypatch.setattr(publishing, "regression_set", lambda: regression_set()[:3])


def replaced(encoding: Encoding) -> list[Episode]:
    """Return episodes from which every objective has something to learn, of no known syntax."""
    ids = tuple(encoding.tokenizer.encode("os.path"))
    return [
        episode(
            f"cmp-{n:02}",
            "os.path",
            what=Outcome.REJECTED,
            stands="a + b",
            time=float(n),
            token_ids=ids,
            language="go",
        )
        for n in range(16)
    ]


class Place:
    """A registry and a journal in a folder of their own."""

    def __init__(self, folder: Path, model: Path, objective: Objective) -> None:
        self.registry = AdapterRegistry(folder / "adapters")
        self._journal = Journal(folder / "training")
        self._files = ModelFiles(model, "tiny", fim.FALCON, "0" * 64)
        self._recipe = replace(RECIPE, objective=objective)

    def update(self, episodes: Sequence[Episode], emit: Any = lambda _: None) -> UpdateReport:
        """Run an update as a new process would."""
        updater = Updater(
            self.registry,
            self._files,
            threads=1,
            keep=9,
            recipe=self._recipe,
            appraiser=Even(),
            replays=0,
            journal=self._journal,
        )
        return updater.run(episodes, emit, CancellationToken())

    def weights(self) -> list[tuple[str, str]]:
        """Return the scope and the hash of every version."""
        return [(one.scope, one.sha256) for one in self.registry.list()]


@pytest.mark.parametrize("objective", Objective)
def test_an_update_killed_after_its_second_step_ends_in_the_same_bytes(
    tiny_model, encoding, tmp_path, objective
) -> None:
    whole = Place(tmp_path / "whole", tiny_model, objective)
    killed = Place(tmp_path / "killed", tiny_model, objective)
    episodes, steps = replaced(encoding), []

    def die(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            steps.append(event)
            if len(steps) == 2:
                raise Killed

    report = whole.update(episodes)
    with pytest.raises(Killed):
        killed.update(episodes, die)
    assert killed.registry.list() == []
    again: list[dict[str, Any]] = []
    resumed = killed.update(episodes, again.append)
    assert (report.verdict is not None, len(report.workspaces)) == (True, 1)
    assert len(report.results) == 16
    assert resumed.steps == report.steps
    assert [event["step"] for event in again if event["event"] == "step"] == [2]
    assert killed.weights() == whole.weights() != []
    assert (resumed.used, resumed.terms) == (report.used, report.terms)


def test_on_policy_the_report_is_of_fresh_answers(tiny_model, encoding, tmp_path) -> None:
    """Episodes whose answers were too even to teach are told so, and the tests' term is logged."""
    place = Place(tmp_path, tiny_model, Objective.ON_POLICY)
    report = place.update(replaced(encoding))
    trained = [each for each, answer in report.results.items() if answer.startswith("trained")]
    assert 0 < len(trained) == report.used
    assert set(trained) == {*place.registry.show(report.adapter_id).completion_ids}
    assert {"tests", "similarity"} < set(report.terms)


def test_the_setting_offers_every_objective_and_reaches_the_recipe(
    tiny_model, tmp_path, monkeypatch
) -> None:
    [leaf] = [one for one in options() if one.key == "learning.objective"]
    assert (leaf.choices, leaf.default, leaf.scope) == (tuple(Objective), "policy", "machine")
    given: list[Recipe] = []
    monkeypatch.setattr(worker, "Updater", lambda *_, recipe, **__: given.append(recipe))
    for objective in Objective:
        raw = {"model": str(tiny_model), "learning": {"objective": str(objective)}}
        config, problems = from_client_options(raw)
        assert problems == []
        store = Store(tmp_path / "data", tmp_path / "cache")
        worker.make_updater(store, config, AdapterRegistry(store.adapters))
    assert [recipe.objective for recipe in given] == list(Objective)
