"""The whole ablation on a tiny model: every arm learns, is tested, and goes on where it stood."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import falcon
import tiny_model
from falcon_lsp.learning.dataset import Encoding
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel
from falcon_lsp.learning.practice.rollouts import Sampler
from falcon_lsp.learning.rewards.asserts import TestProgram
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer
from proof import arms, evaluating, holes, judging, training
from proof.judging import Judge
from proof.training import Learner, Recipe

TINY = Recipe(tokens=1, contexts=4, samples=4, batch=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def coin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test of a program pass by a coin that its text has: nothing is executed."""

    def run(program: TestProgram) -> bytes:
        lines = []
        for number in program.numbers:
            heads = (sum(program.source.encode()) >> 1) % 2
            body = {"test": number, "verdict": "passed" if heads else "failed",
                    "error": "" if heads else "AssertionError", "line": -1}  # fmt: skip
            lines.append(f"{program.secret}{json.dumps(body)}")
        return "\n".join(lines).encode()

    monkeypatch.setattr(judging, "in_sandbox", lambda: run)
    monkeypatch.setattr(judging, "parses", lambda source: True)
    monkeypatch.setattr(training, "MAX_TOKENS", 6)
    monkeypatch.setattr(evaluating, "MAX_TOKENS", 6)


def _learner(base: Path, arm: arms.Arm, tokens: int) -> Learner:
    encoding = Encoding(CodeTokenizer.from_folder(base), fim.FALCON, "tiny")
    model = PolicyModel(base, None, LoraShape(rank=2, alpha=4), 0)
    recipe = dataclasses.replace(TINY, tokens=tokens)
    return Learner(arm, recipe, model, encoding, holes.training()[::9], Judge(), 0)


def _main(monkeypatch: pytest.MonkeyPatch, base: Path, tmp_path: Path, *more: str) -> Any:
    out = tmp_path / "out.json"
    command = ["falcon.py", "--base", str(base), "--build", str(tmp_path), "--out", str(out)]
    monkeypatch.setattr("sys.argv", [*command, "--size", "tiny", *more])
    falcon.main()
    return json.loads(out.read_text(encoding="utf-8"))


def test_every_arm_learns_from_training_tasks_alone_and_is_tested(
    monkeypatch: pytest.MonkeyPatch, base: Path, tmp_path: Path
) -> None:
    asked: list[Any] = []
    sample = Sampler.sample
    monkeypatch.setattr(
        Sampler, "sample", lambda self, some, *rest: asked.extend(some) or sample(self, some, *rest)
    )
    everything = tuple(arm.name for arm in arms.ARMS)
    size = falcon.Size(everything, (0,), 2, TINY)
    monkeypatch.setitem(falcon.SIZES, "tiny", size)
    found = _main(monkeypatch, base, tmp_path)
    assert list(found["summary"]) == list(everything)
    for name, seeds in found["runs"].items():
        assert {len(column.split(" ")) for column in seeds["0"]["items"].values()} == {2}
        assert (seeds["0"]["training"]["step"] > 0) is (name != "frozen")
    assert found["runs"]["frozen"]["0"]["items"]["kl"] == "0.0 0.0"
    tested = {hole.name for hole in holes.some(holes.testing(), 2)}
    learned = [one for one in asked if one.name not in tested]
    assert {one.name for one in learned} <= {hole.name for hole in holes.training()}
    known = {task.solution.split("\n")[0].strip() for task in holes.training_tasks()}
    remembered = [s for one in asked for s in one.prompt.snippets if s.path != "rejected.py"]
    assert remembered
    assert {snippet.text.split("\n")[0].strip() for snippet in remembered} <= known
    asked.clear()
    assert _main(monkeypatch, base, tmp_path) == found
    assert asked == []  # nothing was computed again


def test_trials_are_equally_many_and_on_the_tuning_holes(
    monkeypatch: pytest.MonkeyPatch, base: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(holes, "tuning", lambda: holes.testing()[:0] + TUNED)
    names = ("frozen", "supervised", "GRPO with tests")
    size = falcon.Size(names, (0,), 2, TINY, (1e-4, 1e-3), 1)
    monkeypatch.setitem(falcon.SIZES, "tiny", size)
    found = _main(monkeypatch, base, tmp_path)
    tuning = {name: trials for name, trials in found["tuning"].items() if trials}
    assert {name: set(trials) for name, trials in tuning.items()} == {
        "frozen": {f"{TINY.learning_rate:g}"},  # has no rate to choose, and may be the best
        "supervised": {"0.0001", "0.001"}, "GRPO with tests": {"0.0001", "0.001"},
    }  # fmt: skip
    assert found["best other arm"] in tuning
    for name, trials in tuning.items():
        rate = found["runs"][name]["0"]["recipe"]["learning_rate"]
        assert trials[f"{rate:g}"] == max(trials.values())


TUNED = holes.tuning()[:2]


def test_asking_that_was_ended_goes_on_with_the_holes_that_are_left(
    monkeypatch: pytest.MonkeyPatch, base: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(evaluating, "TOGETHER", 1)
    monkeypatch.setitem(falcon.SIZES, "tiny", falcon.Size(("frozen",), (0,), 3, TINY))
    whole = _main(monkeypatch, base, tmp_path / "whole")
    judge, calls = Judge.judge, []

    def twice(self: Judge, asked: Any) -> Any:
        calls.append(len(asked))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return judge(self, asked)

    monkeypatch.setattr(Judge, "judge", twice)
    with pytest.raises(KeyboardInterrupt):
        _main(monkeypatch, base, tmp_path / "parts")
    parts = _main(monkeypatch, base, tmp_path / "parts")
    assert len(calls) == 4  # two holes, the one at which it ended, and that one again
    assert parts["runs"]["frozen"]["0"]["items"] == whole["runs"]["frozen"]["0"]["items"]


@pytest.mark.parametrize("name", ["supervised", "GRPO with tests", "FALCON"])
def test_a_run_that_was_ended_goes_on_as_if_it_had_not_been(
    base: Path, tmp_path: Path, name: str
) -> None:
    (arm,) = arms.named([name])
    whole = _learner(base, arm, 3 * _cost(base, arm, tmp_path))
    whole.train(tmp_path / "whole", lambda message: None)
    assert whole.run.step >= 2

    def end(message: str) -> None:
        raise KeyboardInterrupt

    for _ in range(whole.run.step - 1):
        with pytest.raises(KeyboardInterrupt):
            _learner(base, arm, whole.recipe.tokens).train(tmp_path / "parts", end)
    last = _learner(base, arm, whole.recipe.tokens)
    last.train(tmp_path / "parts", lambda message: None)
    assert last.run == whole.run
    kept = {file.suffix for file in tmp_path.rglob("*") if file.is_file()}
    assert kept == {".json", ".safetensors"}  # nothing that could run code when it is read
    for one, other in zip(last.model.state(), whole.model.state(), strict=True):
        assert torch.equal(one, other)


def _cost(base: Path, arm: arms.Arm, tmp_path: Path) -> int:
    """Return how many tokens the first step takes."""
    learner = _learner(base, arm, 1)
    learner.train(tmp_path / "first", lambda message: None)
    return learner.run.spent


def test_equal_budgets_bind_every_arm(base: Path, tmp_path: Path) -> None:
    for arm in arms.named(["supervised", "GRPO with tests", "FALCON"]):
        learner = _learner(base, arm, 4_000)
        history = learner.train(tmp_path / arm.name, lambda message: None).history
        assert all(step["spent"] < 4_000 for step in history[:-1])
        assert history[-1]["spent"] >= 4_000


@pytest.mark.parametrize("name", ["supervised", "GRPO with tests"])
def test_the_kl_cap_ends_a_run(base: Path, tmp_path: Path, name: str) -> None:
    learner = _capped(base, name)
    run = learner.train(tmp_path, lambda message: None)
    assert run.stopped == "the KL to the base reached its cap"
    assert sum(step["trained"] > 0 for step in run.history) == 1


def test_the_step_that_led_above_the_cap_is_taken_back(base: Path, tmp_path: Path) -> None:
    learner = _capped(base, "GRPO with tests")
    start = learner.model.state()
    learner.train(tmp_path, lambda message: None)
    assert all(map(torch.equal, start, learner.model.state()))


def test_an_inner_loop_above_the_cap_has_no_part_and_ends_nothing(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (arm,) = arms.named(["FALCON"])
    learner = _learner(base, arm, 3 * _cost(base, arm, tmp_path))
    learn, calls = Learner._learn, []

    def every_other(self: Learner, *given: Any) -> dict[str, float]:
        calls.append(learn(self, *given))
        return calls[-1] | ({"capped": 1.0} if len(calls) % 2 else {})

    monkeypatch.setattr(Learner, "_learn", every_other)
    run = learner.train(tmp_path / "run", lambda message: None)
    assert run.stopped == "budget spent"
    assert [step["capped"] for step in run.history] == [0.0] * run.step


def test_without_long_term_memory_nobody_knows_which_tasks_are_alike(base: Path) -> None:
    (arm,) = arms.named(["FALCON without long-term memory"])
    learner = _learner(base, arm, 1)
    assert learner.solved is None
    assert len(learner._task(random.Random(0))) == TINY.contexts // TINY.tasks


def _capped(base: Path, name: str) -> Learner:
    """Return a learner that may go nowhere."""
    (arm,) = arms.named([name])
    learner = _learner(base, arm, 10**9)
    leash = dataclasses.replace(learner.recipe.leash, kl_cap=1e-9, beta=0.0)
    learner.recipe = dataclasses.replace(learner.recipe, leash=leash)
    return learner
