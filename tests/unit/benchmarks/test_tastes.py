"""The quiet policy's benchmark: what is recorded, fitted and counted."""

import dataclasses
import itertools
import math
import random
from pathlib import Path

import numpy as np
import pytest

from evaluation import sightings, tastes
from evaluation.sightings import Sighting
from evaluation.tastes import Judged
from falcon_lsp.completion import features
from falcon_lsp.completion.belief import Prior, dot, logistic, shipped_prior
from falcon_lsp.core.types import Outcome

TOTAL = features.NAMES.index("total doubt")
TRUTH = (1.5, -1.6)


def sighting(doubt: float, *, wanted: bool, project: str = "p", step: int = 0) -> Sighting:
    given = [0.0] * len(features.NAMES)
    given[0], given[TOTAL] = 1.0, doubt
    return Sighting(project, step, 1, tuple(given), wanted, wanted, True, 8 * wanted, 10)


def drawn(count: int, seed: int = 1) -> list[Sighting]:
    rng = random.Random(seed)
    found = []
    for n in range(count):
        doubt = rng.uniform(0, 3)
        wanted = rng.random() < logistic(dot(TRUTH, (1.0, doubt)))
        found.append(sighting(doubt, wanted=wanted, project=f"p{n % 4}", step=n // 8))
    return found


def test_a_fit_finds_what_decides_and_leaves_the_rest_as_guessed() -> None:
    prior = tastes.fit(drawn(3000))
    weights = dict(zip(features.NAMES, prior.mean, strict=True))
    # the simulated user's noise flattens what is fitted a little
    assert weights["one"] == pytest.approx(TRUTH[0], abs=0.35)
    assert weights["total doubt"] == pytest.approx(TRUTH[1], abs=0.35)
    for name in ("inside word", "pause", "copied"):
        assert weights[name] == pytest.approx(tastes.GUESSES.get(name, 0.0), abs=1e-6)


def test_the_shipped_prior_is_what_the_recorded_sightings_make() -> None:
    folder = Path(tastes.__file__).parents[1] / "data"
    made = tastes.fit(sightings.read(folder / "sightings-development.jsonl"))
    assert made.mean == pytest.approx(shipped_prior().mean, abs=1e-3)
    assert made.spread == shipped_prior().spread


def test_no_project_is_judged_by_a_prior_that_has_seen_it() -> None:
    rows = drawn(80)
    for prior, own in tastes.without_each(rows):
        (project,) = {row.project for row in own}
        assert prior == tastes.fit([row for row in rows if row.project != project])


def test_counts_of_what_is_hidden_and_lost() -> None:
    judged = [
        Judged(sighting(0, wanted=True), 0.9, 1.0),
        Judged(sighting(0, wanted=True), 0.2, 0.0),
        Judged(sighting(0, wanted=False), 0.1, 0.0),
        Judged(sighting(0, wanted=False), 0.3, 0.5),
    ]
    found = {name: each["value"] for name, each in tastes.outcome(judged).items()}
    assert found == {
        "fewer": 0.625, "accepts_lost": 0.5, "kept_chars_lost": 0.5, "acceptance": 0.6667,
    }  # fmt: skip


def test_what_is_not_shown_teaches_nothing() -> None:
    rows = [sighting(3.0, wanted=False) for _ in range(30)]
    certain = Prior((-9.0, *(0.0,) * (len(features.NAMES) - 1)), (1.0,) * len(features.NAMES))
    judged = tastes.judge(rows, certain, 0.2, learning=True)
    assert len({each.chance for each in judged}) == 1
    open_ = dataclasses.replace(certain, mean=(1.0, *certain.mean[1:]))
    taught = tastes.judge(rows, open_, 0.2, learning=True)
    assert taught[-1].chance < taught[0].chance


def test_learning_sees_no_outcome_before_it_is_judged() -> None:
    rows = drawn(40)
    other = [*rows[:-1], dataclasses.replace(rows[-1], took=not rows[-1].took)]
    prior = tastes.fit(rows)
    one, two = (tastes.judge(each, prior, 0.1, learning=True) for each in (rows, other))
    assert [each.chance for each in one] == [each.chance for each in two]


def test_learning_helps_with_a_developer_whom_the_prior_does_not_know() -> None:
    rows = tastes.one_life([dataclasses.replace(r, took=False, wanted=False) for r in drawn(400)])
    prior = tastes.fit(drawn(400, seed=2))
    fixed, learned = (tastes.judge(rows, prior, 0.1, learning=each) for each in (False, True))
    assert tastes.log_loss(learned) < tastes.log_loss(fixed) * 0.8


@pytest.mark.parametrize(
    ("chance", "took", "area"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 0.0),
        ([0.5, 0.5, 0.5, 0.5], [0, 1, 0, 1], 0.5),
        ([0.1, 0.6, 0.4, 0.9], [0, 0, 1, 1], 0.75),
    ],
)
def test_the_area_under_the_curve(chance: list[float], took: list[float], area: float) -> None:
    assert tastes.area(np.array(chance), np.array(took, dtype=float)) == pytest.approx(area)


def test_calibration_of_what_is_certain_and_right() -> None:
    judged = [Judged(sighting(0, wanted=n % 2 == 0), float(n % 2 == 0), 1.0) for n in range(40)]
    found = tastes.calibration(judged)
    assert (found["brier"], found["ece"], found["auc"]) == (0.0, 0.0, 1.0)


def test_the_curve_ends_with_everything_hidden_and_lost() -> None:
    judged = tastes.judge(drawn(60), tastes.fit(drawn(60)), 0.1, learning=False)
    points = tastes.curve(judged)
    assert points[-1] == (1.0, 1.0)
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in itertools.pairwise(points))


def test_another_past_changes_only_what_it_is_about() -> None:
    given = sighting(1.0, wanted=True).features
    changed = tastes.with_history(given, [Outcome.REJECTED] * 9, [Outcome.ACCEPTED])
    different = {n for n, a, b in zip(features.NAMES, given, changed, strict=True) if a != b}
    assert different == {"acceptance", "here", "around"}
    assert not any(map(math.isnan, changed))


def test_what_is_recorded_comes_back_and_holds_no_text(tmp_path: Path) -> None:
    rows = drawn(3)
    for row in rows:
        sightings.append(tmp_path / "a.jsonl", row)
    assert sightings.read(tmp_path / "a.jsonl") == rows
    assert sightings.read(tmp_path / "none.jsonl") == []
    texts = [
        value for row in rows for value in dataclasses.asdict(row).values()
        if isinstance(value, str)
    ]  # fmt: skip
    assert set(texts) <= {f"p{n}" for n in range(4)}
