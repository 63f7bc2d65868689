"""Facts about the figures of the ablation."""

from __future__ import annotations

import json

import pytest

from proof import report
from proof.arms import ARMS, SMALL, Objective, named
from proof.evaluating import Item, from_plain, plain


def _item(name: str, greedy: bool, sampled: str, error: str = "", kl: float = 0.1) -> Item:
    task = name.split("/", maxsplit=1)[0]
    return Item(name, task, greedy, tuple(digit == "1" for digit in sampled), error, 5, kl)


WEAK = [_item("a/1", False, "0000000001", "NameError"), _item("b/1", False, "0" * 10, "no end")]
GOOD = [_item("a/1", True, "1111100000"), _item("b/1", False, "0" * 10, "wrong answer")]


def test_pass_at_one_is_greedy_and_pass_at_ten_is_any_of_ten() -> None:
    values = {name: report.ratio({"0": GOOD}, name).value for name in report.MEASURES}
    assert values == {"pass@1": 0.5, "pass@1, sampled": 0.25, "pass@10": 0.5}


def test_a_summary_counts_errors_by_kind() -> None:
    found = report.summary({"0": WEAK, "1": GOOD})
    assert found["errors"] == {"none": 1, "no end": 1, "raises": 1, "wrong answer": 1}
    assert found["items"] == 4
    assert found["kl"] == pytest.approx(0.1)


def test_differences_are_paired_by_hole_and_seed() -> None:
    found = report.differences({
        "frozen": {"0": WEAK, "1": WEAK}, "RLTF": {"1": GOOD}, "FALCON": {"0": GOOD, "1": GOOD},
    })  # fmt: skip
    frozen = next(row for row in found if row["against"] == "frozen" and row["measure"] == "pass@1")
    assert (frozen["difference"], frozen["seeds"]) == (0.5, 2)
    assert frozen["low"] <= 0.0 <= frozen["high"]  # two tasks can claim nothing
    same = next(row for row in found if row["against"] == "RLTF" and row["measure"] == "pass@1")
    assert (same["difference"], same["low"], same["high"], same["seeds"]) == (0.0, 0.0, 0.0, 1)


def test_items_come_back_from_json() -> None:
    for item in (*WEAK, *GOOD):
        assert from_plain(json.loads(json.dumps(plain(item)))) == item


def test_the_arm_to_beat_is_never_one_of_our_own() -> None:
    scores = {"frozen": 0.2, "RLTF": 0.4, "FALCON without meta-learning": 0.9, "FALCON": 0.8}
    assert report.best_peer(scores) == "RLTF"
    assert report.best_peer({}) == ""


def test_arms_differ_from_falcon_in_one_thing_each() -> None:
    falcon = next(arm for arm in ARMS if arm.name == "FALCON")
    parts = ("long_term", "short_term", "meta")
    ablations = [arm for arm in ARMS if arm.ours and arm is not falcon]
    assert len(ablations) == 3
    for arm in ablations:
        assert sum(getattr(arm, part) != getattr(falcon, part) for part in parts) == 1
        assert (arm.worth, arm.objective) == (falcon.worth, Objective.POLICY)
    peers = [arm for arm in ARMS if not arm.ours]
    assert not any(getattr(arm, part) for arm in peers for part in parts)


def test_unknown_arms_are_refused() -> None:
    assert [arm.name for arm in named(list(SMALL))] == list(SMALL)
    with pytest.raises(ValueError, match="no such arm: best"):
        named(["best"])
