"""Training steps on a real (tiny) model: direction, determinism, bounds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from episodes_factory import episode
from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning import samples, trainer
from falcon_lsp.learning.crew import ALONE
from falcon_lsp.learning.dataset import Encoding, Reason, TrainingExample, build_example
from falcon_lsp.learning.journal import Journal
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel, collate
from falcon_lsp.learning.trainer import Recipe, TrainingRun, train

GOOD, BAD = "a + b", "os.path"
RECIPE = Recipe(learning_rate=2e-3, minibatch=4, epochs=4, most_steps=6, kl_cap=5.0, kl_most=5.0)


def examples(encoding: Encoding, adapter_id: str = "base") -> list[TrainingExample]:
    told = [
        episode(
            f"cmp-{number}",
            text,
            what=what,
            token_ids=tuple(encoding.tokenizer.encode(text)),
            adapter_id=adapter_id,
        )
        for number, (text, what) in enumerate(
            [(GOOD, Outcome.ACCEPTED), (BAD, Outcome.REJECTED)] * 4
        )
    ]
    found = [build_example(one, encoding) for one in told]
    assert all(isinstance(one, TrainingExample) for one in found)
    return [one for one in found if isinstance(one, TrainingExample)]


def run(model: PolicyModel, batch, recipe=RECIPE, locate=lambda _: None) -> TrainingRun:
    return train(model, batch, locate, recipe, lambda _: None, CancellationToken())


def policy(folder: Path, adapter: Path | None = None) -> PolicyModel:
    return PolicyModel(folder, adapter, LoraShape(), seed=0)


def logprob(model: PolicyModel, example: TrainingExample) -> float:
    batch = collate([example.sequence])
    return float((model.logprobs(batch) * batch.mask).sum())


def test_rewarded_text_becomes_likelier_and_punished_text_less_likely(tiny_model, encoding) -> None:
    model, batch = policy(tiny_model), examples(encoding)
    before = [logprob(model, example) for example in batch[:2]]
    done = run(model, batch)
    after = [logprob(model, example) for example in batch[:2]]
    assert after[0] > before[0]
    assert after[1] < before[1]
    assert len(done.steps) == RECIPE.most_steps
    assert done.steps[0].kl == pytest.approx(0.0, abs=1e-6)
    assert done.steps[0].ratio == pytest.approx(1.0, abs=1e-3)
    assert done.steps[-1].kl > 0.0


def test_same_examples_and_seed_give_the_same_bytes(tiny_model, encoding, tmp_path) -> None:
    for name in ("one", "two"):
        model = policy(tiny_model)
        run(model, examples(encoding))
        model.save(tmp_path / name, "tiny")
    files = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert str(tiny_model) not in (tmp_path / "one" / "adapter_config.json").read_text()


def test_training_goes_on_from_an_adapter_and_scores_under_the_one_that_sampled(
    tiny_model, encoding, tmp_path
) -> None:
    first = policy(tiny_model)
    run(first, examples(encoding))
    first.save(tmp_path / "first", "tiny")
    second = policy(tiny_model, tmp_path / "first")
    batch = examples(encoding, "adp-1")
    assert logprob(second, batch[0]) == pytest.approx(logprob(first, batch[0]), abs=1e-4)
    done = run(second, batch, locate={"adp-1": tmp_path / "first"}.__getitem__)
    assert done.steps[0].ratio == pytest.approx(1.0, abs=1e-3)
    off_policy = run(policy(tiny_model, tmp_path / "first"), examples(encoding))
    assert done.steps[0].clipped == 0.0 < off_policy.steps[0].clipped


def test_examples_of_a_lost_adapter_are_skipped(tiny_model, encoding) -> None:
    done = run(policy(tiny_model), examples(encoding, "gone"), locate={}.__getitem__)
    assert done.used == done.steps == ()
    assert set(done.skipped.values()) == {Reason.NO_ADAPTER}
    assert len(done.skipped) == 8


def test_a_step_above_the_kl_cap_is_taken_back(tiny_model, encoding) -> None:
    model, batch = policy(tiny_model), examples(encoding)
    recipe = Recipe(learning_rate=0.5, minibatch=4, epochs=4, kl_cap=1e-3)
    untouched = model.state()
    done = run(model, batch, recipe)
    assert len(done.steps) == 1
    assert "taken back" in done.stopped
    assert all(torch.equal(a, b) for a, b in zip(model.state(), untouched, strict=True))


def test_cancelling_ends_training_before_a_step(tiny_model, encoding) -> None:
    token = CancellationToken()
    token.cancel()
    with pytest.raises(Cancelled):
        train(policy(tiny_model), examples(encoding), lambda _: None, RECIPE, lambda _: None, token)


def test_only_the_adapter_of_the_upper_layers_is_trained(tiny_model) -> None:
    names = [name for name, _ in policy(tiny_model).named_parameters]
    assert names
    assert all("lora_" in name and ".layers.1." in name for name in names)


@pytest.mark.parametrize("killed_after", range(1, RECIPE.most_steps + 1))
def test_a_run_that_was_killed_after_any_step_ends_in_the_same_bytes(
    tiny_model, encoding, tmp_path, killed_after
) -> None:
    whole = policy(tiny_model)
    done = run(whole, examples(encoding))
    journal = Journal(tmp_path, "base")
    with pytest.raises(Killed):
        train(policy(tiny_model), examples(encoding), nowhere, RECIPE, Killer(killed_after),
              CancellationToken(), journal)  # fmt: skip
    again, heard = policy(tiny_model), []
    resumed = train(again, examples(encoding), nowhere, RECIPE, heard.append,
                    CancellationToken(), journal)  # fmt: skip
    assert [step.step for step in heard] == list(range(killed_after, RECIPE.most_steps))
    assert resumed == done
    assert same(again, whole)


def test_a_run_that_has_ended_is_not_computed_again(tiny_model, encoding, tmp_path) -> None:
    journal, token = Journal(tmp_path, "base"), CancellationToken()
    first, second = policy(tiny_model), policy(tiny_model)
    done = train(first, examples(encoding), nowhere, RECIPE, lambda _: None, token, journal)
    token.cancel()
    assert train(second, examples(encoding), nowhere, RECIPE, fail, token, journal) == done
    assert same(first, second)


def test_a_step_that_was_taken_back_stays_so_after_a_kill(tiny_model, encoding, tmp_path) -> None:
    recipe = Recipe(learning_rate=0.5, minibatch=4, epochs=4, kl_cap=1e-3)
    start, journal = policy(tiny_model).state(), Journal(tmp_path, "base")
    with pytest.raises(Killed):
        train(policy(tiny_model), examples(encoding), nowhere, recipe, Killer(1),
              CancellationToken(), journal)  # fmt: skip
    model = policy(tiny_model)
    done = train(model, examples(encoding), nowhere, recipe, fail, CancellationToken(), journal)
    assert "taken back" in done.stopped
    assert all(torch.equal(a, b) for a, b in zip(model.state(), start, strict=True))


@pytest.mark.parametrize("other", ["recipe", "examples", "start", "base"])
def test_another_run_begins_at_its_own_beginning(tiny_model, encoding, tmp_path, other) -> None:
    model, batch, recipe, heard = policy(tiny_model), examples(encoding), RECIPE, []
    train(policy(tiny_model), batch, nowhere, recipe, lambda _: None, CancellationToken(),
          Journal(tmp_path, "base"))  # fmt: skip
    if other == "recipe":
        recipe = replace(recipe, seed=1)
    if other == "examples":
        batch = batch[:4]
    if other == "start":
        model.restore([tensor + 1e-3 for tensor in model.state()])
    journal = Journal(tmp_path, "another" if other == "base" else "base")
    train(model, batch, nowhere, recipe, heard.append, CancellationToken(), journal)
    assert heard[0].step == 0


def test_what_was_liked_is_learned_as_it_stands(tiny_model, encoding) -> None:
    model, liked = policy(tiny_model), examples(encoding)[:1] * 4
    before = logprob(model, liked[0])
    done = run(model, liked, replace(RECIPE, objective=Objective.SUPERVISED))
    assert logprob(model, liked[0]) > before
    assert done.steps[-1].loss < done.steps[0].loss
    assert done.steps[0].kl == pytest.approx(0.0, abs=1e-6) != done.steps[-1].kl


def test_a_preferred_text_gains_on_the_other_one(tiny_model, encoding) -> None:
    model, (liked, disliked, *_) = policy(tiny_model), examples(encoding)
    pair = [replace(liked, refused=disliked.sequence)]
    before = logprob(model, liked) - logprob(model, disliked)
    done = run(model, pair, replace(RECIPE, objective=Objective.PREFERENCE))
    assert logprob(model, liked) - logprob(model, disliked) > before
    assert done.steps[0].loss == pytest.approx(math.log(2), abs=1e-4)
    assert done.steps[-1].loss < done.steps[0].loss


def test_liked_texts_gain_and_declined_ones_lose_each_by_itself(tiny_model, encoding) -> None:
    """KTO: no text has one beside it; how much texts gain anyway is 0 at the start, then not."""
    model, (liked, declined, *_) = policy(tiny_model), examples(encoding)
    alone = [
        replace(one, completion_id=f"cmp-{at}", liked=one is liked)
        for at, one in enumerate([liked, declined] * 4)
    ]
    before = logprob(model, liked), logprob(model, declined)
    done = run(model, alone, replace(RECIPE, objective=Objective.KTO))
    assert logprob(model, liked) > before[0]
    assert logprob(model, declined) < before[1]
    assert done.steps[0].loss == pytest.approx(0.5, abs=1e-4)
    assert done.steps[-1].loss < done.steps[0].loss
    units = samples.in_units([text for one in alone for text in samples.texts_of(one)])
    recipe, token = replace(RECIPE, objective=Objective.KTO), CancellationToken()
    reference = trainer._reference(model, units[::2], recipe, token, ALONE)
    assert float(reference) > 0.0
    assert float(trainer._reference(model, units[:1], recipe, token, ALONE)) == 0.0


def test_passes_stay_within_rows_and_positions(encoding, monkeypatch) -> None:
    units = [[samples.Sample(e, torch.zeros(1), torch.zeros(1))] for e in examples(encoding)]
    length = len(units[0][0].example.sequence)
    assert [len(part) for part in samples.passes(units, 3)] == [3, 3, 2]
    monkeypatch.setattr(samples, "ROW_POSITIONS", 2 * length + 1)
    assert {len(part) for part in samples.passes(units, 8)} <= {1, 2}
    monkeypatch.setattr(samples, "ROW_POSITIONS", 10 * length)
    answer = max(len(sample.example.sequence.answer) for (sample,) in units)
    monkeypatch.setattr(samples, "ANSWER_POSITIONS", 2 * answer)
    assert max(len(part) for part in samples.passes(units, 8)) == 2
    monkeypatch.setattr(samples, "ROW_POSITIONS", 1)
    assert [len(part) for part in samples.passes(units, 8)] == [1] * 8


class Killed(Exception):
    pass


class Killer:
    """Ends a run after so many steps, as a signal would: nothing that comes later happens."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, _step: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def nowhere(_adapter_id: str) -> None:
    return None


def fail(_step: object) -> None:
    raise AssertionError("a step was taken that was not due")


def same(one: PolicyModel, other: PolicyModel) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state(), other.state(), strict=True))
