"""The shipped adapter's training: resumable to the step, sentinels trained, decayed on the side."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
import torch

from falcon_lsp.learning.corpus import SourceFile
from falcon_lsp.learning.fim_training.batches import batches_from, drawn_ahead
from falcon_lsp.learning.fim_training.examples import ExampleStream, HoleMix
from falcon_lsp.learning.fim_training.model import Recipe, build_model, sentinel_ids, start_from
from falcon_lsp.learning.fim_training.ship import ship
from falcon_lsp.learning.fim_training.train import FimTrainer, Schedule, train
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer
from tiny_model import CORPUS

RECIPE = Recipe(rank=4, rows=2, max_tokens=96, warmup_steps=2, learning_rate=5e-3)
FILES = [SourceFile(f"pkg/m{n}.py", text * 4) for n, text in enumerate(CORPUS)]


class Bench:
    """A trainer on the tiny model, and the batches it is to see."""

    def __init__(self, base: Path, corpus: str = "corpus") -> None:
        self.tokenizer = CodeTokenizer.from_folder(base)
        self.model = build_model(base, self.tokenizer, RECIPE, "cpu")
        self.trainer = FimTrainer(self.model, sentinel_ids(self.tokenizer), RECIPE, "cpu", corpus)
        self.stream = ExampleStream(self.tokenizer, fim.FALCON, FILES, HoleMix(), 0)

    def run(self, folder: Path, steps: int, anneal: int = 0) -> None:
        batches = islice(batches_from(self.stream, RECIPE.rows, self.trainer.place), steps)
        schedule = Schedule(self.trainer.step, 1, anneal)
        train(self.trainer, batches, schedule, folder, seconds=600, save_every=3)

    def weights(self) -> dict[str, torch.Tensor]:
        return {n: p.detach().clone() for n, p in self.model.named_parameters() if p.requires_grad}


def losses(folder: Path) -> list[float]:
    return [json.loads(row)["loss"] for row in (folder / "loss.jsonl").read_text().splitlines()]


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    tiny_model: Path, tmp_path: Path
) -> None:
    whole = Bench(tiny_model)
    whole.run(tmp_path / "whole", 9)
    first = Bench(tiny_model)
    first.run(tmp_path / "parts", 6)
    second = Bench(tiny_model)
    second.trainer.resume(tmp_path / "parts")
    assert (second.trainer.step, second.trainer.place) == (6, 6)
    second.run(tmp_path / "parts", 3)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for name, value in whole.weights().items():
        torch.testing.assert_close(second.weights()[name], value, msg=name)


def test_training_lowers_the_loss_and_moves_only_what_is_trained(
    tiny_model: Path, tmp_path: Path
) -> None:
    bench = Bench(tiny_model)
    frozen = {n: p.clone() for n, p in bench.model.named_parameters() if not p.requires_grad}
    before = bench.weights()
    bench.run(tmp_path, 40)
    seen = losses(tmp_path)
    assert sum(seen[-8:]) < 0.97 * sum(seen[:8])
    assert all(torch.equal(p, frozen[n]) for n, p in bench.model.named_parameters() if n in frozen)
    (rows,) = (name for name in before if "trainable_tokens" in name)
    assert (bench.weights()[rows] != before[rows]).any(dim=1).all(), "every sentinel is trained"


def test_another_corpus_begins_at_its_first_batch(tiny_model: Path, tmp_path: Path) -> None:
    Bench(tiny_model).run(tmp_path, 3)
    other = Bench(tiny_model, corpus="another")
    other.trainer.resume(tmp_path)
    assert (other.trainer.step, other.trainer.place) == (3, 0)


def test_a_decay_ends_by_itself_and_the_schedule_warms_up() -> None:
    decay = Schedule(first=100, warmup=20, anneal=4)
    assert [decay.scale(step) for step in range(100, 105)] == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert [decay.ended(step) for step in (103, 104)] == [False, True]
    constant = Schedule(first=100, warmup=4, anneal=0)
    assert [constant.scale(step) for step in (100, 101, 103, 200)] == [0.25, 0.5, 1.0, 1.0]
    assert not constant.ended(10_000)


def test_batches_drawn_ahead_are_the_same_and_in_order(tiny_model: Path) -> None:
    stream = Bench(tiny_model).stream
    wanted = list(islice(batches_from(stream, 2, 0), 40))
    fresh = Bench(tiny_model).stream
    assert list(islice(drawn_ahead(batches_from(fresh, 2, 0)), 40)) == wanted


def test_a_shipped_adapter_is_half_the_size_and_can_be_started_from(
    tiny_model: Path, tmp_path: Path
) -> None:
    bench = Bench(tiny_model)
    bench.run(tmp_path, 6)
    facts = ship(tmp_path, tmp_path / "shipped")
    assert (facts["step"], facts["tokens"]) == (6, bench.trainer.tokens)
    other = Bench(tiny_model)
    start_from(other.model, tmp_path / "shipped")
    for name, value in bench.weights().items():
        torch.testing.assert_close(other.weights()[name], value.bfloat16().float(), msg=name)
    sizes = [
        (folder / "adapter_model.safetensors").stat().st_size
        for folder in (tmp_path / "shipped", tmp_path / "adapter")
    ]
    assert sizes[0] < 0.7 * sizes[1]


def test_an_adapter_of_another_shape_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(
        {"base_model.model.extra.lora_A.weight": torch.zeros(2)},
        tmp_path / "adapter_model.safetensors",
    )
    with pytest.raises(ValueError, match="does not fit"):
        start_from(Bench(tiny_model).model, tmp_path)
