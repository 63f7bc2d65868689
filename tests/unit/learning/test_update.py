"""One update end to end on a tiny model: what is promoted, set aside, or not learned at all."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from episodes_factory import episode
from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning import update
from falcon_lsp.learning.dataset import Encoding
from falcon_lsp.learning.judging.publishing import Publisher
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel
from falcon_lsp.learning.rewards import Appraiser, Quality
from falcon_lsp.learning.trainer import Recipe
from falcon_lsp.learning.update import Updater
from falcon_lsp.learning.update_report import UpdateReport
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model import fim
from falcon_lsp.model.adapters import BASE, GLOBAL, PROMOTED, SET_ASIDE, AdapterRegistry
from falcon_lsp.model.files import ModelFiles

GOOD, BAD = "a + b", "os.path"
SHA = "0" * 64
RECIPE = Recipe(learning_rate=1e-3, minibatch=4, epochs=2, most_steps=4)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training asks nobody anything: any attempt to resolve a name fails the test."""

    def refuse(*_given: Any, **_named: Any) -> None:
        raise AssertionError("training tried to reach the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    return AdapterRegistry(tmp_path / "adapters")


@pytest.fixture
def updater(tiny_model: Path, registry: AdapterRegistry) -> Updater:
    files = ModelFiles(tiny_model, "tiny", fim.FALCON, SHA)
    return Updater(registry, files, threads=1, keep=5, recipe=RECIPE)


def told(encoding: Encoding, taste: Sequence[str], start: int = 0) -> list[Episode]:
    """Return ten pairs of episodes; ``taste`` names, pair by pair, the text that is accepted."""
    return [
        episode(
            f"cmp-{start + 2 * pair + which}",
            text,
            what=Outcome.ACCEPTED if text == liked else Outcome.REJECTED,
            time=float(start + 2 * pair + which),
            token_ids=tuple(encoding.tokenizer.encode(text)),
        )
        for pair, liked in enumerate(taste)
        for which, text in enumerate((GOOD, BAD))
    ]


def run(updater: Updater, episodes: Sequence[Episode]) -> UpdateReport:
    return updater.run(episodes, lambda _: None, CancellationToken())


def test_a_steady_taste_is_learned_and_promoted(updater, registry, encoding) -> None:
    report = run(updater, told(encoding, [GOOD] * 20))
    assert report.verdict is not None
    assert report.verdict.reasons == ()
    assert report.verdict.liked_gain > 0 > report.verdict.disliked_gain
    assert registry.current(SHA) == report.adapter_id
    manifest = registry.show(report.adapter_id)
    assert (manifest.status, manifest.parent) == (PROMOTED, BASE)
    assert manifest.completion_ids == tuple(f"cmp-{number}" for number in range(32))
    assert manifest.metrics["steps"][0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert report.results["cmp-0"] == f"trained:{report.adapter_id}"
    assert report.results["cmp-39"] == "skipped:held out for the gate"
    assert len(report.results) == 40


def test_rewards_hold_what_the_appraiser_finds_and_each_term_is_kept(
    tiny_model, registry, encoding
) -> None:
    class Fond(Appraiser):
        def appraise(self, samples, token=None):
            return [Quality(style=0.1, instruction=0.1) for _ in samples]

    files = ModelFiles(tiny_model, "tiny", fim.FALCON, SHA)
    fond = Updater(registry, files, threads=1, keep=5, recipe=RECIPE, appraiser=Fond())
    report = run(fond, told(encoding, [GOOD] * 20))
    assert report.terms == pytest.approx(
        {"compiler": 0.0, "error_lines": 0.0, "developer": 0.25, "style": 0.1, "instruction": 0.1}
    )
    assert report.mean_reward == pytest.approx((0.75 * 1.2 - 0.25) / 2)
    assert registry.show(report.adapter_id).metrics["terms"] == dict(report.terms)


def test_a_poisoned_batch_is_set_aside_and_changes_nothing(updater, registry, encoding) -> None:
    """The training part praises what the later episodes reject."""
    report = run(updater, told(encoding, [BAD] * 16 + [GOOD] * 4))
    assert report.verdict is not None
    assert not report.verdict.promoted
    assert report.verdict.liked_gain < 0 < report.verdict.disliked_gain
    assert registry.current(SHA) == BASE
    manifest = registry.show(report.adapter_id)
    assert manifest.status == SET_ASIDE
    assert manifest.reasons == report.verdict.reasons != ()
    assert list(registry.folder.glob(".tmp-*")) == []


def test_the_next_update_goes_on_from_the_current_adapter(updater, registry, encoding) -> None:
    first = run(updater, told(encoding, [GOOD] * 20))
    second = run(updater, told(encoding, [GOOD] * 20, start=40))
    assert second.parent == first.adapter_id
    assert second.verdict is not None
    assert second.verdict.kl > first.verdict.kl > 0


def test_episodes_are_not_learned_twice(updater, registry, encoding) -> None:
    """What a kill between publishing and acknowledging brings back is only acknowledged."""
    episodes = told(encoding, [GOOD] * 20)
    first = run(updater, episodes)
    again = run(updater, episodes)
    assert (again.adapter_id, again.used, again.verdict) == ("", 0, None)
    assert set(again.results.values()) == {
        "skipped:learned already",
        "skipped:held out for the gate",
    }
    served = [manifest.id for manifest in registry.list() if manifest.scope == GLOBAL]
    assert served == [first.adapter_id]


def test_a_version_that_nobody_serves_has_taught_nothing(updater, registry, encoding) -> None:
    """A kill between the rename and the pointer: the episodes count as new."""
    episodes = told(encoding, [GOOD] * 20)
    first = run(updater, episodes)
    registry._point_to(BASE)
    again = run(updater, episodes)
    assert again.used == first.used
    assert registry.current(SHA) == again.adapter_id


def test_what_serves_beyond_the_kl_cap_learns_on(tiny_model, registry, updater, encoding) -> None:
    """The cap bounds a run: where the one before it ended is no step that led too far."""
    first = run(updater, told(encoding, [GOOD] * 20))
    files = ModelFiles(tiny_model, "tiny", fim.FALCON, SHA)
    careful = replace(RECIPE, kl_cap=first.verdict.kl / 2, learning_rate=1e-5)
    strict = Updater(registry, files, threads=1, keep=5, recipe=careful)
    second = run(strict, told(encoding, [GOOD] * 20, start=40))
    assert second.steps[0].kl > careful.kl_cap > 0
    assert second.stopped == "all steps done"
    assert second.results["cmp-40"] == f"trained:{second.adapter_id}"


def test_a_step_that_was_taken_back_leaves_what_is_served(
    tiny_model, registry, updater, encoding
) -> None:
    first = run(updater, told(encoding, [GOOD] * 20))
    files = ModelFiles(tiny_model, "tiny", fim.FALCON, SHA)
    strict = Updater(registry, files, threads=1, keep=5, recipe=replace(RECIPE, kl_cap=1e-9))
    second = run(strict, told(encoding, [GOOD] * 20, start=40))
    assert "taken back" in second.stopped
    assert (second.verdict.promoted, len(second.results)) == (False, 40)
    assert registry.current(SHA) == first.adapter_id


def test_what_is_undone_after_it_was_learned_teaches_again_and_only_once(
    updater, encoding, registry
) -> None:
    episodes = told(encoding, [GOOD] * 20)
    first = run(updater, episodes)
    later = registry.show(first.adapter_id).created + 1.0
    undone = [replace(episodes[0], outcome=Outcome.UNDONE, decided=later), *episodes[1:]]
    again = run(updater, undone)
    assert again.results["cmp-0"] == f"trained:{again.adapter_id}"
    assert again.used == 1


def test_what_was_undone_before_it_was_learned_is_not_learned_twice(updater, encoding) -> None:
    """What a kill between publishing and acknowledging brings back."""
    episodes = told(encoding, [GOOD] * 20)
    undone = [replace(episodes[0], outcome=Outcome.UNDONE, decided=1.0), *episodes[1:]]
    run(updater, undone)
    assert run(updater, undone).results["cmp-0"] == "skipped:learned already"


@pytest.mark.parametrize("back_to", [BASE, "first"])
def test_who_goes_back_while_an_update_runs_is_not_overruled(
    updater, registry, encoding, monkeypatch, back_to
) -> None:
    """Whether before its measurements or in the middle of them, the candidate is set aside."""
    first = run(updater, told(encoding, [GOOD] * 20))
    second = run(updater, told(encoding, [GOOD] * 20, start=40))
    assert registry.current(SHA) == second.adapter_id
    target = first.adapter_id if back_to == "first" else back_to
    measured = Publisher._measure

    def measure(*given: Any) -> Any:
        registry.rollback(target)
        return measured(*given)

    monkeypatch.setattr(Publisher, "_measure", measure)
    third = run(updater, told(encoding, [GOOD] * 20, start=80))
    assert third.verdict.reasons == ("another version was chosen meanwhile",)
    assert registry.show(third.adapter_id).status == SET_ASIDE
    assert registry.current(SHA) == target


def test_too_few_episodes_are_all_held_out(updater, registry, encoding) -> None:
    report = run(updater, told(encoding, [GOOD] * 2))
    assert report.stopped == "nothing to train on"
    assert set(report.results.values()) == {"skipped:held out for the gate"}
    assert registry.list() == []


def test_weights_that_are_not_finite_are_not_even_kept(
    updater, registry, encoding, monkeypatch
) -> None:
    def broken_train(model: Any, *given: Any) -> Any:
        done = original(model, *given)
        with torch.no_grad():
            model.parameters[0].fill_(float("nan"))
        return done

    original = update.train
    monkeypatch.setattr(update, "train", broken_train)
    report = run(updater, told(encoding, [GOOD] * 20))
    assert report.verdict is not None
    assert not report.verdict.promoted
    assert "a weight is not a finite number" in report.verdict.reasons
    assert registry.list() == []
    assert [entry.name for entry in registry.folder.iterdir() if entry.is_dir()] == []


def test_cancelling_leaves_no_trace(updater, registry, encoding) -> None:
    token = CancellationToken()

    def cancel_at_gate(event: dict[str, Any]) -> None:
        if event.get("phase") == "gate":
            token.cancel()

    with pytest.raises(Cancelled):
        updater.run(told(encoding, [GOOD] * 20), cancel_at_gate, token)
    assert registry.list() == []


def test_progress_names_each_phase_and_step(updater, encoding) -> None:
    heard: list[dict[str, Any]] = []
    updater.run(told(encoding, [GOOD] * 20), heard.append, CancellationToken())
    assert [event.get("phase", event["event"]) for event in heard] == [
        "loading", "training", *["step"] * RECIPE.most_steps, "gate",
    ]  # fmt: skip


def test_the_base_is_never_trained(tiny_model) -> None:
    model = PolicyModel(tiny_model, None, LoraShape(), seed=0)
    trained = {name for name, parameter in model.peft.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters}


@pytest.mark.parametrize("objective", [Objective.SUPERVISED, Objective.PREFERENCE, Objective.KTO])
def test_the_recipe_says_what_is_learned_from(tiny_model, registry, encoding, objective) -> None:
    """Copied suggestions, declined and replaced: nothing was sampled, and still they teach."""
    files = ModelFiles(tiny_model, "tiny", fim.FALCON, SHA)
    recipe = replace(RECIPE, objective=objective)
    one = Updater(registry, files, threads=1, keep=5, recipe=recipe, replays=0)
    episodes = [
        episode(f"cmp-{n}", BAD, what=Outcome.REJECTED, stands=GOOD, time=float(n), source="copy")
        for n in range(20)
    ]
    report = run(one, episodes)
    assert (report.used, report.verdict is not None) == (16, True)
    assert report.steps[-1].loss < report.steps[0].loss
    assert report.verdict is not None
    assert report.verdict.liked_gain > report.verdict.disliked_gain
