"""Meta-learning: the outer steps by their formulas, tasks that keep apart, two levels served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from episodes_factory import episode
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning import meta
from falcon_lsp.learning.dataset import Encoding, TrainingExample
from falcon_lsp.learning.judging import publishing
from falcon_lsp.learning.judging.regression import regression_set
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.material import build_lessons
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel, collate
from falcon_lsp.learning.rewards import Appraiser
from falcon_lsp.learning.tasks import MetaRecipe, Outer, Task, draw, make_task
from falcon_lsp.learning.trainer import Recipe, TrainingRun, train
from falcon_lsp.learning.update import Updater
from falcon_lsp.learning.update_report import UpdateReport
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.model import fim
from falcon_lsp.model.adapters import BASE, AdapterRegistry, scope_of
from falcon_lsp.model.files import ModelFiles

A, B = "file:///code/a", "file:///code/b"
PLUS, JOIN = "a + b", "os.path"
SHA = "0" * 64
STEPS = Recipe(learning_rate=2e-3, minibatch=4, epochs=2, most_steps=4, kl_cap=5.0, kl_most=5.0)
TOKEN = CancellationToken()


def told(
    encoding: Encoding, workspace: str, liked: str, pairs: int, start: int = 0, **changes: str
) -> list[Episode]:
    """Return pairs of episodes of one workspace: ``liked`` is accepted, the other declined."""
    return [
        replace(
            episode(
                f"{workspace[-1]}-{start + 2 * pair + which}",
                text,
                what=Outcome.ACCEPTED if text == liked else Outcome.REJECTED,
                time=float(start + 2 * pair + which),
                token_ids=tuple(encoding.tokenizer.encode(text)),
            ),
            workspace=workspace,
            **changes,
        )
        for pair in range(pairs)
        for which, text in enumerate((PLUS, JOIN))
    ]


def task(encoding: Encoding, episodes: Sequence[Episode], **changes: object) -> Task:
    recipe = replace(MetaRecipe(outer=Outer.FIRST_ORDER_MAML), **changes)
    key = (episodes[0].workspace, episodes[0].language)
    lessons = build_lessons(episodes, encoding, Objective.POLICY)
    known = {lesson.completion_id: lesson for lesson in lessons}
    return make_task(key, episodes, known, encoding, recipe)


def policy(folder: Path) -> PolicyModel:
    return PolicyModel(folder, None, LoraShape(), seed=0)


def inner(model: PolicyModel) -> meta.Inner:
    def steps(examples: Sequence[TrainingExample]) -> TrainingRun:
        return train(model, examples, lambda _: None, STEPS, lambda _: None, TOKEN)

    return steps


def same(one: meta.State, other: meta.State) -> bool:
    return all(torch.allclose(a, b) for a, b in zip(one, other, strict=True))


# ------------------------------------------------------------------ formulas


def test_reptiles_outer_step_is_the_closed_form() -> None:
    phi = [torch.tensor([1.0, 2.0]), torch.tensor([[0.0]])]
    adapted = [
        [torch.tensor([3.0, 2.0]), torch.tensor([[1.0]])],
        [torch.tensor([1.0, 6.0]), torch.tensor([[2.0]])],
    ]
    moved = meta.reptile(phi, adapted, 0.5)
    assert same(moved, [torch.tensor([1.5, 3.0]), torch.tensor([[0.75]])])
    assert same(meta.reptile(phi, adapted, 0.0), phi)
    assert same(meta.reptile(phi, adapted[:1], 1.0), adapted[0])


def test_first_order_maml_goes_against_the_mean_gradient_as_far_as_reptile() -> None:
    phi = [torch.zeros(2)]
    adapted = [[torch.tensor([3.0, 0.0])], [torch.tensor([0.0, 4.0])]]
    gradients = [[torch.tensor([0.0, 1.0])], [torch.tensor([0.0, 3.0])]]
    moved = meta.first_order_maml(phi, adapted, gradients, 0.5)
    assert same(moved, [torch.tensor([0.0, -0.5 * 2.5])])
    assert meta.first_order_maml(phi, adapted, [[torch.zeros(2)]] * 2, 0.5) == phi


def test_the_outer_step_on_a_model_is_the_closed_form_of_its_inner_steps(
    tiny_model, encoding
) -> None:
    model = policy(tiny_model)
    phi = model.state()
    tasks = [task(encoding, told(encoding, w, t, 4)) for w, t in ((A, PLUS), (B, JOIN))]
    for recipe in (MetaRecipe(), MetaRecipe(outer=Outer.FIRST_ORDER_MAML)):
        model.restore(phi)
        learned = meta.learn(model, tasks, [], inner(model), recipe, TOKEN)
        first, second = (one.state for one in learned.adapted)
        assert len(learned.steps) == 2 * STEPS.most_steps
        if recipe.outer is Outer.REPTILE:
            expected = [
                start + 0.5 * ((a - start) + (b - start)) / 2
                for start, a, b in zip(phi, first, second, strict=True)
            ]
        else:
            gradients = []
            for state, one in zip((first, second), tasks, strict=True):
                model.restore(state)
                gradients.append(meta.query_gradient(model, one.questions, TOKEN))
            expected = meta.first_order_maml(phi, [first, second], gradients, 0.5)
        assert same(learned.phi, expected)
        assert not same(learned.phi, phi)


def test_the_query_gradient_is_that_of_the_query_loss_where_the_model_stands(
    tiny_model, encoding
) -> None:
    """Against the mean of each text's cross-entropy, computed one by one."""
    model = policy(tiny_model)
    one = task(encoding, told(encoding, A, PLUS, 8))
    phi = model.state()
    state = meta.adapt(model, phi, one, inner(model)).state
    losses = []
    for question in one.questions:
        logits = model.logits(collate([question]))[0]
        losses.append(cross_entropy(logits.float(), torch.tensor(question.answer)))
    expected = list(torch.autograd.grad(torch.stack(losses).mean(), model.parameters))
    for rows in (1, 4):
        found = meta.query_gradient(model, one.questions, TOKEN, rows)
        assert all(
            torch.allclose(a, b, rtol=0.05, atol=1e-3) for a, b in zip(found, expected, strict=True)
        )
    model.restore(phi)
    assert not same(meta.query_gradient(model, one.questions, TOKEN), expected)
    model.restore(state)


# --------------------------------------------------------------------- tasks


def test_tasks_never_mix_workspaces_or_languages(encoding) -> None:
    batch = told(encoding, A, PLUS, 4, start=100) + told(encoding, B, PLUS, 4, start=100)
    batch += told(encoding, A, PLUS, 2, start=200, language="go")
    history = told(encoding, A, PLUS, 3) + told(encoding, B, JOIN, 3)
    history += told(encoding, "file:///code/c", PLUS, 3)
    drawn = draw(batch, history, MetaRecipe(), seed=0)
    assert list(drawn)[:3] == [(A, "go"), (A, "python"), (B, "python")]
    assert list(drawn)[3:] == [("file:///code/c", "python")]
    for (workspace, language), episodes in drawn.items():
        assert {(e.workspace, e.language) for e in episodes} == {(workspace, language)}
        assert [e.time for e in episodes] == sorted(e.time for e in episodes)


def test_a_few_earlier_episodes_come_along_and_none_that_is_later(encoding) -> None:
    batch = told(encoding, A, PLUS, 4, start=100)
    history = told(encoding, A, PLUS, 30) + batch + told(encoding, A, PLUS, 4, start=300)
    drawn = draw(batch, history, MetaRecipe(remembered=5), seed=0)
    times = [e.time for e in drawn[A, "python"]]
    assert times == [55.0, 56.0, 57.0, 58.0, 59.0, *(100.0 + n for n in range(8))]
    assert list(draw(batch, history, MetaRecipe(outer=Outer.OFF), 0).values()) == [batch]


def test_no_more_strangers_are_drawn_than_allowed_and_always_the_same(encoding) -> None:
    batch = told(encoding, A, PLUS, 2, start=100)
    history = [e for name in "bcdefg" for e in told(encoding, f"file:///{name}", PLUS, 2)]
    drawn = [list(draw(batch, history, MetaRecipe(others=2), seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(keys) == 3 for keys in drawn)


def test_the_query_set_is_strictly_later_than_the_support_set(encoding) -> None:
    one = task(encoding, told(encoding, A, PLUS, 8), query_share=0.25)
    assert len(one.support) == 12
    assert [judgement.completion_id for judgement in one.query] == ["a-12", "a-14"]
    assert max(e.time for e in one.support) < min(j.time for j in one.query)
    assert all(judgement.liked for judgement in one.query)
    whole = task(encoding, told(encoding, A, PLUS, 8), outer=Outer.REPTILE)
    assert (len(whole.support), whole.query) == (16, ())


# ---------------------------------------------------------------- inner loop


def test_adapting_serves_its_own_task_better_than_what_serves_all(tiny_model, encoding) -> None:
    """Two workspaces with opposite tastes: each phi_i beats phi, and beats the other's phi_i."""
    model = policy(tiny_model)
    tasks = [task(encoding, told(encoding, w, t, 8)) for w, t in ((A, PLUS), (B, JOIN))]
    learned = meta.learn(model, tasks, [A, B], inner(model), MetaRecipe(), TOKEN)
    assert learned.workspaces == {A: learned.adapted[0], B: learned.adapted[1]}
    states = {A: learned.workspaces[A].state, B: learned.workspaces[B].state, "": learned.phi}

    def loss(state: str, one: Task) -> float:
        model.restore(states[state])
        return meta.query_loss(model, one.questions, TOKEN)

    for own, other, one in ((A, B, tasks[0]), (B, A, tasks[1])):
        assert loss(own, one) < loss("", one) < loss(other, one)


def test_a_workspace_of_two_languages_is_adapted_to_both_at_once(tiny_model, encoding) -> None:
    model = policy(tiny_model)
    tasks = [
        task(encoding, told(encoding, A, PLUS, 4, start=start, language=language))
        for start, language in ((0, "python"), (50, "go"))
    ]
    learned = meta.learn(model, tasks, [A], inner(model), MetaRecipe(), TOKEN)
    assert len(learned.adapted) == 2
    assert len(learned.workspaces[A].task.support) == sum(len(t.support) for t in tasks)


def test_tasks_that_take_no_step_do_not_pull_phi(tiny_model, encoding) -> None:
    model = policy(tiny_model)
    full = task(encoding, told(encoding, A, PLUS, 4))
    empty = Task((B, "python"), ())
    alone = meta.learn(model, [full], [], inner(model), MetaRecipe(), TOKEN)
    model.restore(policy(tiny_model).state())
    both = meta.learn(model, [full, empty], [], inner(model), MetaRecipe(), TOKEN)
    assert same(alone.phi, both.phi)
    model.restore(policy(tiny_model).state())
    none = meta.learn(model, [empty], [B], inner(model), MetaRecipe(), TOKEN)
    assert same(none.phi, policy(tiny_model).state())
    assert none.steps == ()


# -------------------------------------------------------- through the registry


@pytest.fixture(autouse=True)
def short_regression_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordinary code is judged elsewhere: here a few holes of it keep the tests short."""
    monkeypatch.setattr(publishing, "regression_set", lambda: regression_set()[:3])


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    return AdapterRegistry(tmp_path / "adapters")


def update(
    folder: Path,
    registry: AdapterRegistry,
    episodes: Sequence[Episode],
    levels: MetaRecipe | None = None,
    history: Sequence[Episode] = (),
) -> UpdateReport:
    files = ModelFiles(folder, "tiny", fim.FALCON, SHA)
    updater = Updater(registry, files, threads=1, keep=9, recipe=STEPS, levels=levels)
    return updater.run(episodes, lambda _: None, TOKEN, history)


def served(registry: AdapterRegistry) -> dict[str, str]:
    return {home: registry.current(SHA, scope_of(home)) for home in (A, B)}


def test_workspace_a_is_served_its_own_version_and_b_everybodys(
    tiny_model, registry, encoding
) -> None:
    report = update(tiny_model, registry, told(encoding, A, PLUS, 20))
    assert report.verdict is not None
    assert report.verdict.promoted
    [own] = report.workspaces
    assert own.verdict.promoted
    assert own.verdict.liked_gain > 0
    assert own.better_than == report.adapter_id
    assert served(registry) == {A: own.adapter_id, B: report.adapter_id}
    manifest = registry.show(own.adapter_id)
    assert (manifest.scope, manifest.parent) == (scope_of(A), BASE)
    assert set(manifest.completion_ids) == set(registry.show(report.adapter_id).completion_ids)


def test_what_one_workspace_alone_likes_stays_its_own(tiny_model, registry, encoding) -> None:
    """Opposite tastes: nothing that all could be served comes of them, and each gets its own."""
    both = told(encoding, A, PLUS, 20) + told(encoding, B, JOIN, 20)
    report = update(tiny_model, registry, both)
    mine = {one.scope: one for one in report.workspaces}
    assert all(one.verdict.promoted for one in mine.values())
    assert served(registry) == {home: mine[scope_of(home)].adapter_id for home in (A, B)}
    assert registry.show(mine[scope_of(A)].adapter_id).completion_ids == tuple(
        f"a-{number}" for number in range(32)
    )


@pytest.mark.parametrize(
    ("levels", "own"),
    [
        (MetaRecipe(), 1),
        (MetaRecipe(outer=Outer.FIRST_ORDER_MAML), 1),
        (MetaRecipe(outer=Outer.OFF), 1),
        (MetaRecipe(workspaces=False), 0),
        (MetaRecipe(outer=Outer.OFF, workspaces=False), 0),
    ],
)
def test_either_level_can_be_switched_off_for_comparison(
    tiny_model, registry, encoding, levels, own
) -> None:
    report = update(tiny_model, registry, told(encoding, A, PLUS, 20), levels)
    assert report.verdict is not None
    assert report.verdict.promoted
    assert len(report.workspaces) == own
    assert len(report.results) == 40
    rows = VerdictLog(registry.folder).rows()
    assert [row["adapter"] for row in rows] == [
        report.adapter_id, *(one.adapter_id for one in report.workspaces),
    ]  # fmt: skip
    assert {"liked_gain", "kl", "regression", "reasons", "parent"} <= rows[0].keys()


def test_what_is_drawn_from_memory_is_owned_up_to(tiny_model, registry, encoding) -> None:
    """Forgetting an episode drops every version that learned from it, remembered ones included."""
    history = told(encoding, B, PLUS, 6)
    batch = told(encoding, A, PLUS, 20, start=100)
    report = update(tiny_model, registry, batch, history=history)
    learned = registry.show(report.adapter_id).completion_ids
    assert {"b-0", "b-11"} < set(learned)
    assert all(one.scope == scope_of(A) for one in report.workspaces)
    own = registry.show(report.workspaces[0].adapter_id).completion_ids
    assert not any(each.startswith("b") for each in own)
    assert set(report.results) == {episode.completion_id for episode in batch}


def test_what_is_drawn_from_memory_is_appraised_with_the_batch(
    tiny_model, registry, encoding
) -> None:
    """One reading of all that earned anything: 16 of the batch, 6 of before."""
    read: list[int] = []

    class Counting(Appraiser):
        def appraise(self, samples, token=None):
            read.append(len(samples))
            return super().appraise(samples, token)

    files = ModelFiles(tiny_model, "tiny", fim.FALCON, SHA)
    updater = Updater(
        registry, files, threads=1, keep=9, recipe=STEPS, appraiser=Counting(), replays=0
    )
    history = told(encoding, B, PLUS, 6)
    updater.run(told(encoding, A, PLUS, 20, start=100), lambda _: None, TOKEN, history)
    assert read == [22]


def test_same_episodes_and_seed_give_the_same_bytes_on_both_levels(
    tiny_model, tmp_path, encoding
) -> None:
    found = []
    for name in ("one", "two"):
        registry = AdapterRegistry(tmp_path / name)
        batch = told(encoding, A, PLUS, 20, start=100)
        update(tiny_model, registry, batch, history=told(encoding, B, JOIN, 6))
        found.append([(m.scope, m.sha256) for m in registry.list()])
    assert found[0] == found[1]
    assert [scope for scope, _ in found[0]] == ["", scope_of(A)]
