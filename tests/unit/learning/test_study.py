"""The code around episodes is read: which, how, with what effect, and never what is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from episodes_factory import episode
from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.types import Outcome, Prompt
from falcon_lsp.learning import inner, study
from falcon_lsp.learning.dataset import Encoding, encode_text
from falcon_lsp.learning.fim_examples import CONTEXT_WEIGHT, MIDDLE_WEIGHT
from falcon_lsp.learning.journal import Journal
from falcon_lsp.learning.packing import collate
from falcon_lsp.learning.policy_model import LoraShape, PolicyModel
from falcon_lsp.learning.study import Studied, StudyRecipe, readings, windows
from falcon_lsp.learning.trainer import Recipe
from falcon_lsp.learning.update import Updater
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.redact import MARKER
from falcon_lsp.model import fim
from falcon_lsp.model.adapters import AdapterRegistry
from falcon_lsp.model.files import ModelFiles

RECIPE = StudyRecipe(readings=3, learning_rate=3e-3, kl_cap=50.0)


def code(name: str) -> str:
    """Return 300 characters of code that speak of ``name`` alone."""
    return "".join(f"def {name}_{at}(self):\n    return self.{name}[{at}]\n" for at in range(8))


def told(number: int, above: str, below: str = "\n", **changes: Any) -> Episode:
    """Return an episode in the middle of code, later the higher its number."""
    path = changes.pop("path", "pkg/mod.py")
    found = episode(
        f"cmp-{number}", time=float(number), prompt=Prompt(path, above, below), **changes
    )
    return replace(found, path=path)


def texts(episodes: Sequence[Episode], most: int = 9) -> list[str]:
    return [file.text for _, file in windows(episodes, most)]


def test_what_the_developer_wrote_stands_in_its_place() -> None:
    settled = told(1, code("ant") + "x = ", "\ny = 1\n", stands="bee()")
    assert texts([settled]) == [code("ant") + "x = bee()\ny = 1\n"]


def test_a_line_of_which_nobody_knows_the_end_is_left_out() -> None:
    refused = told(1, code("ant") + "x = ", ")  # here\ny = 1\n", what=Outcome.REJECTED)
    assert texts([refused]) == [code("ant") + "y = 1\n"]


def test_the_latest_of_what_says_the_same_is_read_and_another_file_too() -> None:
    old, new = told(1, code("ant") + "old"), told(2, code("ant") + "new")
    other = told(0, code("ant"), path="pkg/other.py")
    found = [one.completion_id for one, _ in windows([old, new, other], 9)]
    assert found == ["cmp-2", "cmp-0"]


@pytest.mark.parametrize(
    "unread", [code("ant") + f"key = '{MARKER}'\n", "x = 1\n"], ids=["secret", "too little"]
)
def test_some_code_is_not_read(unread: str) -> None:
    assert windows([told(1, unread)], 9) == []


def test_no_more_windows_are_read_than_asked_for_and_the_latest_first() -> None:
    episodes = [told(at, code(f"n{at}")) for at in range(5)]
    assert [one.completion_id for one, _ in windows(episodes, 2)] == ["cmp-4", "cmp-3"]


def test_each_window_is_read_as_often_as_the_recipe_says_unless_too_long(encoding) -> None:
    files = [file for _, file in windows([told(at, code(f"n{at}")) for at in range(4)], 9)]
    roomy = replace(encoding, max_tokens=10_000)
    assert len(readings(files, roomy, RECIPE)) == 3 * 4
    assert readings(files, roomy, RECIPE) == readings(files, roomy, RECIPE)
    assert {weight for one in readings(files, roomy, RECIPE) for weight in one.weights} == {
        CONTEXT_WEIGHT,
        MIDDLE_WEIGHT,
    }
    assert readings(files, replace(encoding, max_tokens=1), RECIPE) == []


def test_the_loss_of_a_reading_is_the_weighted_cross_entropy(tiny_model, encoding) -> None:
    model = policy(tiny_model)
    one = readings([file for _, file in windows([told(1, code("ant"))], 9)], roomy(encoding),
                   RECIPE)[0]  # fmt: skip
    batch, weights = collate([one.sequence]), torch.tensor(one.weights[1:])
    each = torch.nn.functional.cross_entropy(model.logits(batch)[0], batch.targets[0],
                                             reduction="none")  # fmt: skip
    plain = (each * weights).sum() / weights.sum()
    plain.backward()
    wanted = [gradient.clone() for gradient in model.gradients]
    model.clear_gradients()
    fused = model.reading_loss(batch, weights)
    fused.backward()
    assert fused.item() == pytest.approx(plain.item(), rel=0.01)
    for found, right in zip(model.gradients, wanted, strict=True):
        assert (
            torch.cosine_similarity(found.flatten(), right.flatten(), 0) > 0.98 or not right.any()
        )


def roomy(encoding: Encoding) -> Encoding:
    return replace(encoding, max_tokens=2_000)


def policy(folder: Path) -> PolicyModel:
    return PolicyModel(folder, None, LoraShape(), seed=0)


def run(
    model: PolicyModel,
    episodes: Sequence[Episode],
    encoding: Encoding,
    recipe: StudyRecipe = RECIPE,
    token: CancellationToken | None = None,
    journal: Journal | None = None,
) -> Studied:
    return study.study(
        model, episodes, roomy(encoding), recipe, lambda _: None, token or CancellationToken(),
        journal or Journal(),
    )  # fmt: skip


def test_what_was_read_makes_code_like_it_likelier(tiny_model, encoding) -> None:
    model = policy(tiny_model)
    later = encode_text(roomy(encoding), Prompt("pkg/mod.py", code("ant"), "\n"), "def ant_8(self)")
    assert later is not None
    batch = collate([later])
    before = float(model.logprobs(batch).sum())
    done = run(model, [told(1, code("ant")), told(2, code("bee"))], encoding)
    assert done.episodes == ("cmp-2", "cmp-1")
    assert done.stopped == "all steps done"
    assert [step.source for step in done.steps] == ["code"] * len(done.steps)
    assert done.steps[-1].kl > done.steps[0].kl == pytest.approx(0.0, abs=1e-6)
    assert float(model.logprobs(batch).sum()) > before


def test_nothing_to_read_changes_nothing(tiny_model, encoding) -> None:
    model = policy(tiny_model)
    before = model.state()
    assert run(model, [told(1, "x = 1\n")], encoding) == Studied((), (), "nothing to train on")
    none = replace(RECIPE, windows=0)
    assert run(model, [told(1, code("ant"))], encoding, none).episodes == ()
    assert all(torch.equal(*pair) for pair in zip(before, model.state(), strict=True))


def test_the_step_that_led_too_far_is_taken_back(tiny_model, encoding) -> None:
    model = policy(tiny_model)
    before = model.state()
    done = run(model, [told(at, code(f"n{at}")) for at in range(6)], encoding,
               replace(RECIPE, kl_cap=1e-7))  # fmt: skip
    assert done.stopped.startswith("step taken back: KL ")
    assert len(done.steps) == 1
    assert all(torch.equal(*pair) for pair in zip(before, model.state(), strict=True))


def test_a_run_that_was_cut_off_ends_in_the_same_bytes(tiny_model, encoding, tmp_path) -> None:
    episodes = [told(at, code(f"n{at}")) for at in range(6)]
    whole = policy(tiny_model)
    run(whole, episodes, encoding)
    token, asked = CancellationToken(), 0

    def end_soon() -> None:
        nonlocal asked
        asked += 1
        if asked == 7:
            token.cancel()
        CancellationToken.check(token)

    token.check = end_soon  # type: ignore[method-assign]
    journal = Journal(tmp_path / "journal")
    with pytest.raises(Cancelled):
        run(policy(tiny_model), episodes, encoding, token=token, journal=journal)
    again = policy(tiny_model)
    done = run(again, episodes, encoding, journal=journal)
    assert len(done.steps) == 5
    assert all(torch.equal(*pair) for pair in zip(whole.state(), again.state(), strict=True))


def test_an_update_reads_what_it_learns_from_and_before_and_never_what_is_later(
    tiny_model, encoding, tmp_path, monkeypatch
) -> None:
    def seen(_model: Any, episodes: Sequence[Episode], *_given: Any) -> Studied:
        read.append([episode.completion_id for episode in episodes])
        return Studied(tuple(read[-1]))

    read: list[list[str]] = []
    monkeypatch.setattr(inner, "study", seen)
    registry = AdapterRegistry(tmp_path / "adapters")
    files = ModelFiles(tiny_model, "tiny", fim.FALCON, "0" * 64)
    updater = Updater(registry, files, threads=1, keep=5, recipe=Recipe(most_steps=1))
    ids = tuple(encoding.tokenizer.encode("a + b"))
    batch = [told(at, code(f"n{at}"), token_ids=ids) for at in range(10, 20)]
    before, later = told(1, code("old"), token_ids=ids), told(30, code("new"), token_ids=ids)
    elsewhere = replace(told(2, code("else")), workspace="file:///other")
    history = [before, elsewhere, later, *batch]
    report = updater.run(batch, lambda _: None, CancellationToken(), history)
    held_out = {name for name, said in report.results.items() if "held out" in said}
    assert held_out == {"cmp-16", "cmp-17", "cmp-18", "cmp-19"}
    here = ["cmp-1", *(f"cmp-{at}" for at in range(10, 16))]
    assert here in read
    assert not {"cmp-30", *held_out}.intersection(*map(set, read))
    manifests = registry.list()
    assert manifests
    assert all("cmp-1" in manifest.completion_ids for manifest in manifests)
