"""The gate decides by its rule, and every refusal says why."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from episodes_factory import episode
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.dataset import judgements
from falcon_lsp.learning.judging.gate import Measurements, bootstrap_bound, judge
from falcon_lsp.learning.judging.measurement import measure
from falcon_lsp.learning.judging.regression import regression_set
from falcon_lsp.learning.policy.model import LoraShape, PolicyModel

BETTER = Measurements(
    liked_current=[-1.0] * 10,
    liked_candidate=[-0.9, -0.8] * 5,
    disliked_current=[-1.0] * 3,
    disliked_candidate=[-1.1] * 3,
    regression_base=[-0.5, -0.7],
    regression_candidate=[-0.5, -0.71],
    kl=0.02,
    finite=True,
)


FILES = ["one"] * 6 + ["other"] * 4
ONE_FILE_LOST = [-0.5] * 6 + [-1.1, -1.2, -1.1, -1.05]
REPLAYED: dict[str, Any] = {"kept_current": [0.5, 0.5], "kept_candidate": [0.5, 0.5]}


def test_a_better_candidate_is_promoted_with_every_number() -> None:
    verdict = judge(BETTER)
    assert verdict.promoted
    assert verdict.reasons == ()
    assert (verdict.liked, verdict.disliked) == (10, 3)
    assert verdict.liked_gain == pytest.approx(0.15)
    assert 0.1 <= verdict.liked_gain_bound < verdict.liked_gain
    assert verdict.disliked_gain == pytest.approx(-0.1)
    assert verdict.regression == pytest.approx(0.01 / 1.2)
    assert json.loads(json.dumps(verdict.as_json()))["kl"] == 0.02


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"finite": False}, "finite"),
        ({"kl": 0.31}, "KL"),
        ({"kl": math.nan}, "KL"),
        ({"liked_current": [-1.0] * 3, "liked_candidate": [-0.5] * 3}, "too few"),
        ({"liked_current": [], "liked_candidate": []}, "too few"),
        ({"liked_candidate": [-1.1] * 10}, "no likelier"),
        ({"liked_candidate": [-1.0] * 10}, "no likelier"),
        ({"liked_candidate": [math.nan] * 10}, "no likelier"),
        ({"liked_candidate": [0.0, -1.9] * 5}, "not sure enough"),
        ({"disliked_candidate": [-0.5] * 3}, "rejected text gained more"),
        ({"regression_candidate": [-0.52, -0.72]}, "ordinary code"),
        ({"regression_candidate": [math.nan, -0.7]}, "ordinary code"),
        ({"files": FILES, "liked_candidate": ONE_FILE_LOST}, "contradict"),
        ({"workspaces": FILES, "liked_candidate": ONE_FILE_LOST}, "contradict"),
        ({"kept_current": [0.5, 0.5], "kept_candidate": [0.5, 0.4]}, "less of what was kept"),
        ({"kept_current": [0.5], "kept_candidate": [math.nan]}, "less of what was kept"),
        ({"broken_current": 1, "broken_candidate": 2}, "breaks 1 more files"),
        (REPLAYED | {"tokens_current": 20, "tokens_candidate": 30}, "it takes 30 tokens, not 20"),
    ],
)
def test_each_condition_alone_refuses(change, reason) -> None:
    verdict = judge(replace(BETTER, **change))
    assert not verdict.promoted
    assert any(reason in found for found in verdict.reasons)
    json.dumps(verdict.as_json(), allow_nan=False)


@pytest.mark.parametrize(("count", "promoted"), [(4, False), (7, False), (8, True), (40, True)])
def test_few_texts_need_stronger_evidence(count, promoted) -> None:
    """A gain whose bound touches -0.005 passes only from eight texts on."""
    gains = [-0.005] * (count - 1) + [0.006 * count]
    found = replace(
        BETTER, liked_current=[-1.0] * count, liked_candidate=[-1.0 + gain for gain in gains]
    )
    assert judge(found).promoted is promoted


def test_the_bound_is_below_the_mean_and_repeats_itself() -> None:
    values = [0.0, 0.1, 0.2, 0.5]
    assert bootstrap_bound(values, 0.9, 0) == bootstrap_bound(values, 0.9, 0) < 0.2
    assert bootstrap_bound([0.3] * 5, 0.9, 0) == pytest.approx(0.3)


@pytest.mark.parametrize(
    "change",
    [
        {"files": FILES, "liked_candidate": [-0.5] * 6 + [-1.1, -0.8, -1.1, -0.9]},
        {"files": ["one"] * 7 + ["other"] * 3, "liked_candidate": [-0.5] * 7 + [-1.1] * 3},
        {"kept_current": [0.5, 0.0], "kept_candidate": [0.5, 0.0]},
        {"kept_current": [0.5, 0.5], "kept_candidate": [0.4, 0.7]},
        {"broken_current": 2, "broken_candidate": 1},
        REPLAYED | {"tokens_current": 20, "tokens_candidate": 29},
    ],
    ids=[
        "one file unsure",
        "too few of one file",
        "as before",
        "more kept",
        "fewer broken",
        "longer",
    ],
)
def test_what_may_be_chance_or_holds_is_no_objection(change) -> None:
    assert judge(replace(BETTER, **change)).reasons == ()


def test_the_verdict_tells_what_was_asked_again() -> None:
    asked = {"tokens_current": 20, "tokens_candidate": 25, "broken_current": 1}
    verdict = judge(replace(BETTER, **(REPLAYED | asked | {"kept_candidate": [0.5, 0.75]})))
    assert (verdict.replayed, verdict.kept_gain, verdict.broken, verdict.length) == (
        2, 0.125, -1, 1.25,
    )  # fmt: skip


def test_no_rejected_text_is_no_objection() -> None:
    assert judge(replace(BETTER, disliked_current=[], disliked_candidate=[])).promoted


def test_an_untrained_adapter_measures_as_no_change(tiny_model, encoding) -> None:
    model = PolicyModel(tiny_model, None, LoraShape(), seed=0)
    held = [
        found
        for number in range(3)
        for found in judgements(
            episode(f"cmp-{number}", what=Outcome.REJECTED, stands="x"), encoding
        )
    ]
    found = measure(model, None, held, regression_set()[:2], encoding, CancellationToken())
    assert len(found.liked_current) == len(found.disliked_current) == 3
    assert list(found.liked_candidate) == pytest.approx(list(found.liked_current))
    assert list(found.regression_candidate) == pytest.approx(list(found.regression_base))
    assert found.kl == pytest.approx(0.0, abs=1e-6)
    assert found.finite


def test_the_regression_set_is_ordinary_code_of_this_project() -> None:
    holes = regression_set()
    assert len(holes) == 40
    assert all(hole.middle.strip() and "\n" not in hole.middle for hole in holes)
    assert all(hole.path.startswith("falcon_lsp/") for hole in holes)
    assert len({hole.prefix for hole in holes}) == 40
