"""On-policy learning on a tiny model: what fresh answers are worth; rounds that survive kills."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from episodes_factory import episode
from even_appraiser import Even
from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.background.pace import Limits, PacedToken, SliceOver
from falcon_lsp.learning.dataset import Encoding, Reason
from falcon_lsp.learning.journal import Journal
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.material import build_lessons
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel
from falcon_lsp.learning.practice.curriculum import SHARES, hint, teaches
from falcon_lsp.learning.practice.drills import Drill, passed, score_answers
from falcon_lsp.learning.practice.rollouts import Rollout, Sampler
from falcon_lsp.learning.practice.rounds import Practice
from falcon_lsp.learning.rewards import Appraiser
from falcon_lsp.learning.trainer import Recipe, TrainingRun
from falcon_lsp.memory.episodes import Episode

STANDS = "total + a - b"
RECIPE = Recipe(
    Objective.ON_POLICY,
    learning_rate=2e-3,
    epochs=2,
    contexts=2,
    samples=4,
    kl_cap=5.0,
    kl_most=5.0,
)


def declined(count: int = 4, stands: str = STANDS) -> list[Episode]:
    return [
        episode(f"cmp-{n}", "os.path", what=Outcome.REJECTED, stands=stands, time=float(n))
        for n in range(count)
    ]


def policy(folder: Path) -> PolicyModel:
    return PolicyModel(folder, None, LoraShape(), seed=0)


def practise(
    model: PolicyModel,
    encoding: Encoding,
    emit: Any = lambda _: None,
    journal: Journal | None = None,
    token: CancellationToken | None = None,
    recipe: Recipe = RECIPE,
    appraiser: Appraiser | None = None,
) -> TrainingRun:
    told = declined()
    one = Practice(
        model,
        encoding,
        recipe,
        appraiser or Even(),
        {each.completion_id: each for each in told},
        emit,
        token or CancellationToken(),
        journal or Journal(),
    )
    return one.run(build_lessons(told, encoding, Objective.ON_POLICY))


def same(one: PolicyModel, other: PolicyModel) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state(), other.state(), strict=True))


# ----------------------------------------------------------------- what it is worth


@pytest.mark.parametrize(
    ("text", "good"),
    [(STANDS, True), ("total + a - c", True), ("import os", False), ("", False), ("x = (", False)],
)
def test_without_tests_an_answer_passes_that_is_much_like_what_settled(text, good) -> None:
    [[worth]] = score_answers([(Drill.of(declined()[0]), [text])], Appraiser(), CancellationToken())
    assert passed(worth) is good
    assert "tests" not in worth.terms


def test_what_is_given_is_part_of_the_question_and_not_of_the_answer() -> None:
    whole = Drill.of(declined()[0])
    helped = whole.helped(0.5)
    assert (helped.given, helped.rest) == ("total ", "+ a - b")
    assert helped.prompt.prefix == whole.prompt.prefix + "total "
    assert helped.answered("+ 1").suggestion.text == "total + 1"
    assert helped.answered("+ 1").settled_text == STANDS
    [[worth]] = score_answers([(helped, ["+ a - b"])], Appraiser(), CancellationToken())
    assert worth.terms["similarity"] == 0.75


def test_tests_decide_where_they_speak_of_every_answer_and_none_is_run_twice() -> None:
    ran: list[str] = []

    class Short(Even):
        def outcomes(self, episode, token=None):
            ran.append(episode.suggestion.text)
            return super().outcomes(episode) if episode.suggestion.text != "x" else ()

    drill, token = Drill.of(declined()[0]), CancellationToken()
    [all_tested] = score_answers([(drill, ["ab", "abc", "ab"])], Short(), token)
    assert [passed(worth) for worth in all_tested] == [True, False, True]
    assert ran == ["ab", "abc"]
    [untested] = score_answers([(drill, ["ab", "x"])], Short(), token)
    assert not any("tests" in worth.terms for worth in untested)


def test_a_block_is_asked_for_where_a_block_settled() -> None:
    lines = [Drill.of(declined(1, stands)[0]) for stands in ("a", "a\n", "if a:\n    b")]
    assert [drill.single_line for drill in lines] == [True, True, False]


# --------------------------------------------------------------------------- rounds


def test_each_round_that_teaches_is_followed_by_one_step(tiny_model, encoding) -> None:
    heard: list[dict[str, Any]] = []
    model = policy(tiny_model)
    start = model.state()
    done = practise(model, encoding, heard.append)
    rounds = [event for event in heard if event["event"] == "round"]
    assert 0 < len(done.steps) == sum(event["teaching"] > 0 for event in rounds)
    assert len(rounds) <= RECIPE.epochs * 4 / RECIPE.contexts
    for before, event in pairwise(heard):
        if event["event"] == "step":
            assert before["event"] == "round"
    assert len(done.rewards) == rounds[-1]["answers"]
    assert done.steps[0].kl == pytest.approx(0.0, abs=1e-4)
    assert done.steps[0].ratio == pytest.approx(1.0, abs=0.05)
    assert done.steps[-1].kl > 0.0
    assert any(not torch.equal(a, b) for a, b in zip(start, model.state(), strict=True))


def test_only_groups_in_the_band_teach(tiny_model, encoding, monkeypatch) -> None:
    learned: list[tuple[int, int]] = []

    def noting(well: int, samples: int) -> bool:
        learned.append((well, samples))
        return teaches(well, samples)

    monkeypatch.setattr("falcon_lsp.learning.practice.rounds.teaches", noting)
    heard: list[dict[str, Any]] = []
    practise(policy(tiny_model), encoding, heard.append)
    taught = sum(event.get("teaching", 0) for event in heard)
    assert taught == sum(1 <= well <= 3 for well, _ in learned) < len(learned)
    assert teaches(1, 5)
    assert teaches(4, 5)
    assert not teaches(1, 6)
    assert not teaches(5, 6)


def test_what_is_too_hard_comes_back_with_help(tiny_model, encoding, monkeypatch) -> None:
    """Nothing passes by likeness on random weights: no step, and every question once more."""
    asked: list[str] = []
    sample = Sampler.sample

    def noting(self, questions, *rest):
        asked.extend(question.prompt.prefix for question in questions)
        return sample(self, questions, *rest)

    monkeypatch.setattr(Sampler, "sample", noting)
    recipe = replace(RECIPE, epochs=9)
    done = practise(policy(tiny_model), encoding, recipe=recipe, appraiser=Appraiser())
    assert (done.used, done.steps) == ((), ())
    assert set(done.skipped.values()) == {Reason.UNEVEN}
    plain = declined()[0].suggestion.prompt.prefix
    assert Counter(asked) == {plain: 4, plain + hint(STANDS, max(SHARES)): 4}


def test_a_step_that_led_too_far_is_taken_back(tiny_model, encoding, monkeypatch) -> None:
    monkeypatch.setattr("falcon_lsp.learning.practice.rounds.teaches", lambda *_: True)
    model = policy(tiny_model)
    start = model.state()
    done = practise(model, encoding, recipe=replace(RECIPE, learning_rate=0.5, kl_cap=1e-2))
    assert len(done.steps) == 1
    assert "taken back" in done.stopped
    assert all(torch.equal(a, b) for a, b in zip(start, model.state(), strict=True))


# ---------------------------------------------------------------------------- kills


class Killed(Exception):
    pass


class Killer:
    """Ends a run at its ``events``-th word, as a signal would."""

    def __init__(self, events: int) -> None:
        self.left = events

    def __call__(self, _event: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


class Impatient(CancellationToken):
    """Is cancelled at its ``checks``-th check."""

    def __init__(self, checks: int) -> None:
        super().__init__()
        self.left = checks

    def check(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.cancel()
        super().check()


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[list[list[Rollout]]]:
    """Every group that was asked for."""
    said: list[list[list[Rollout]]] = []
    sample = Sampler.sample

    def noting(self, *given):
        said.append(sample(self, *given))
        return said[-1]

    monkeypatch.setattr(Sampler, "sample", noting)
    return said


def test_a_run_killed_after_any_round_or_step_ends_in_the_same_bytes_and_asks_nothing_twice(
    tiny_model, encoding, tmp_path, sampled
) -> None:
    heard: list[dict[str, Any]] = []
    whole = policy(tiny_model)
    done = practise(whole, encoding, heard.append)
    once = sampled.copy()
    assert {event["event"] for event in heard} == {"round", "step"}
    for killed_after in range(1, len(heard) + 1):
        sampled.clear()
        journal, again = Journal(tmp_path / str(killed_after), "base"), []
        with pytest.raises(Killed):
            practise(policy(tiny_model), encoding, Killer(killed_after), journal)
        model = policy(tiny_model)
        resumed = practise(model, encoding, again.append, journal)
        assert again == heard[killed_after:]
        assert resumed == done
        assert same(model, whole)
        assert sampled == once


@pytest.mark.parametrize("checks", [1, 40, 75, 120])
def test_a_run_that_gave_way_between_two_tokens_ends_in_the_same_bytes(
    tiny_model, encoding, tmp_path, checks
) -> None:
    whole, model, journal = policy(tiny_model), policy(tiny_model), Journal(tmp_path, "base")
    done = practise(whole, encoding)
    with pytest.raises(Cancelled):
        practise(policy(tiny_model), encoding, journal=journal, token=Impatient(checks))
    assert practise(model, encoding, journal=journal) == done
    assert same(model, whole)


class Spent:
    """A machine on which every slice is over as soon as anything is finished in it."""

    def battery(self) -> float | None:
        return None

    def busy(self) -> float:
        return 0.0

    def worked(self) -> float:
        return 1.0

    def wait(self, seconds: float, cancelled: object) -> None:
        raise AssertionError("nothing is to be waited for")


def test_a_slice_may_end_after_each_round_and_each_step(tiny_model, encoding, tmp_path) -> None:
    heard: list[dict[str, Any]] = []
    whole, journal = policy(tiny_model), Journal(tmp_path, "base")
    done = practise(whole, encoding, heard.append)
    slices: list[int] = []
    while True:
        token = PacedToken(Limits(slice_seconds=0.5), lambda _: None, Spent())
        finished: list[object] = []

        def note(event: object, token: PacedToken = token, into: list = finished) -> None:
            into.append(event)
            token.advanced()

        model = policy(tiny_model)
        try:
            last = practise(model, encoding, note, journal, token)
        except SliceOver:
            slices.append(len(finished))
            continue
        break
    assert set(slices) == {1}
    assert len(slices) + len(finished) == len(heard)
    assert last == done
    assert same(model, whole)


def test_a_run_that_has_ended_is_not_computed_again(tiny_model, encoding, tmp_path) -> None:
    journal, token = Journal(tmp_path, "base"), CancellationToken()
    first, second = policy(tiny_model), policy(tiny_model)
    done = practise(first, encoding, journal=journal)
    token.cancel()
    assert practise(second, encoding, journal=journal, token=token) == done
    assert same(first, second)
