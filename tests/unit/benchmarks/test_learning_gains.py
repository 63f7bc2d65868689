"""What the proof of learning says of its numbers, and what each of its arms begins with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import learning
from evaluation import gains, phases
from falcon_lsp.model.adapters import BASE, GLOBAL, scope_of
from falcon_lsp.model.pointers import Pointers
from falcon_lsp.replay.measures import Tally
from falcon_lsp.replay.measures import compared as compared_in_one


def trial(folder: Path, steps: int = 1000, seed: int = 1) -> phases.Trial:
    source: Any = SimpleNamespace(steps=[str(n) for n in range(steps)])
    return phases.Trial(folder, folder / "cache", source, seed, 8.0, 20.0)


def run(project: str, seed: int, kept: dict[str, int], commits: int = 8) -> dict[str, Any]:
    """Return a run in which each arm keeps so many characters of each commit."""
    rows = [
        {"commit": f"{n}", **{arm: [10, 4 + n % 2, each + n, 1] for arm, each in kept.items()}}
        for n in range(commits)
    ]
    return {
        "project": project, "seed": seed, "lines": 9, "by_commit": rows,
        "latencies_ms": {arm: [100, 200] for arm in kept},
        "training": {"verdicts": VERDICTS, "serves": "adp-1"},
    }  # fmt: skip


VERDICTS = [
    {"what": "promoted", "liked": 9, "liked_gain": 0.1},
    {"what": "set_aside", "liked": 9, "liked_gain": -0.1},
    {"what": "set_aside", "liked": 3, "liked_gain": 0.1},
    {"what": "rolled_back"},
]


KEPT = {"frozen": 100, "instant": 110, "slow": 130, "both": 150}


def test_a_finished_trial_is_written_and_not_tried_again(tmp_path, monkeypatch):
    tried = []

    def replay(_arguments: Any, project: Any, seed: int) -> tuple[Path, dict[str, Any]]:
        tried.append((project.name, seed))
        if len(tried) == 2:
            raise KeyboardInterrupt
        folder = tmp_path / f"{project.name}-{seed}"
        folder.mkdir()
        return folder, run(project.repository, seed, KEPT)

    monkeypatch.setattr(learning, "replay", replay)
    out = tmp_path / "out.json"
    command = ["learning", "--projects", "click", "httpx", "--seeds", "1", "2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(KeyboardInterrupt):
        learning.main()
    assert len(json.loads(out.read_text())["runs"]) == 1
    learning.main()
    assert tried == [("click", 1), ("httpx", 1), ("httpx", 1), ("click", 2), ("httpx", 2)]
    body = json.loads(out.read_text())
    assert set(body["together"]["by_seed"]) == {"1", "2"}
    assert not [each for each in tmp_path.iterdir() if each.is_dir()]


@pytest.mark.parametrize("steps", [2, 5, 100, 1000, 20_000])
@pytest.mark.parametrize("seed", range(1, 6))
def test_the_practice_leaves_room_for_the_examination(tmp_path, steps, seed):
    stretch = trial(tmp_path, steps, seed).steps
    assert 0 <= stretch.start < stretch.end < steps
    room, practised = steps - stretch.end, stretch.end - stretch.start
    assert room >= 2 * practised or practised == 1  # 20 minutes against 8


def test_each_arm_begins_with_its_part_of_the_practice(tmp_path):
    tried = trial(tmp_path)
    for name in ("adapters", "chroma", "locks", "reports", "servers"):
        (tried.store.data / name).mkdir(parents=True)
    tried.store.ledger.touch()
    own = scope_of(tried.workspace.as_uri())
    Pointers({GLOBAL: "adp-1", own: "adp-2", "ws-other": "adp-3"}).write(
        tried.store.adapters / "current.json"
    )
    arms = phases.terms(tried)
    begun = {arm: [each.name for each in terms.begins_with] for arm, terms in arms.items()}
    assert begun == {
        "frozen": [], "instant": ["chroma", "ledger.sqlite3"], "slow": ["adapters"],
        "both": ["chroma", "ledger.sqlite3", "adapters"],
    }  # fmt: skip
    versions = {arm: terms.adapter for arm, terms in arms.items()}
    assert versions == {"frozen": BASE, "instant": BASE, "slow": "adp-2", "both": "adp-2"}
    for arm, terms in arms.items():
        assert ("learning.instant=false" in terms.settings) == (arm in {"frozen", "slow"})
        assert "learning.enable=false" in terms.settings


def test_what_the_gate_refused_is_not_served(tmp_path):
    assert phases.served(trial(tmp_path)) == BASE


def test_gains_are_those_of_one_replay_where_there_is_one():
    rows = run("p", 1, KEPT)["by_commit"]
    pairs = [
        {arm: Tally(**dict(zip(gains.COUNTED, row[arm], strict=True))) for arm in KEPT}
        for row in rows
    ]
    found = gains.compared({"p": {row["commit"]: [row] for row in rows}}, "frozen", "slow")
    expected = compared_in_one(pairs, ("frozen", "slow"), seed=0)
    for name, value in expected["relative"].items():
        assert found["relative"][name] == pytest.approx(value)
        assert found["interval"][name] == pytest.approx(expected["interval"][name], abs=0.01)


def test_a_commit_that_two_seeds_typed_is_drawn_as_one():
    """Twice the same is no more to go by: the interval stays as wide."""
    noisy = [
        {"commit": str(n), "frozen": [10, 4, 100, 1], "both": [10, 4, 100 + 40 * (n % 3), 1]}
        for n in range(9)
    ]
    once = gains.compared({"p": {row["commit"]: [row] for row in noisy}}, "frozen", "both")
    twice = gains.compared({"p": {row["commit"]: [row, row] for row in noisy}}, "frozen", "both")
    assert twice == once
    low, high = once["interval"]["kept_chars"]
    assert low < once["relative"]["kept_chars"] < high


def test_over_nothing_there_is_no_gain():
    rows = [{"frozen": [0, 0, 0, 0], "both": [3, 1, 9, 1]}]
    found = gains.compared({"p": {"1": rows}}, "frozen", "both")
    assert set(found["relative"].values()) | set(found["interval"].values()) == {None}


def test_together_holds_every_comparison_and_only_reached_goals_count():
    found = learning.together([run("p", 1, KEPT), run("q", 2, KEPT)])
    assert list(found["gains"]) == [
        "instant against frozen", "slow against frozen", "both against frozen",
        "both against instant",
    ]  # fmt: skip
    assert (found["commits"], found["p50_ms"]["slow"], found["p95_ms"]["slow"]) == (16, 100, 200)
    assert found["versions"] == {
        "promoted": 2, "rolled_back": 2, "set_aside": 4,
        "judged by enough text": 4, "liked text rose": 2, "runs that serve one": 2,
    }  # fmt: skip
    assert {name: goal["reached"] for name, goal in found["goals"].items()} == {
        "kept_chars": True, "acceptance": False, "shown": False,
    }  # fmt: skip
    assert set(found["by_project"]) == {"p", "q"}
    assert set(found["by_seed"]) == {"1", "2"}
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "interval", "reached"),
    [(0.3, [0.1, 0.5], True), (0.3, [-0.1, 0.5], False), (0.2, [0.1, 0.3], False),
     (None, None, False)],
)  # fmt: skip
def test_a_goal_is_reached_when_the_interval_excludes_zero_too(value, interval, reached):
    every = {"relative": dict.fromkeys(learning.GOALS, value)}
    found = learning.goals(every | {"interval": dict.fromkeys(learning.GOALS, interval)})
    assert found["kept_chars"]["reached"] is reached
    assert found["shown"]["reached"] is False  # more is shown, not less


def test_fewer_shown_reaches_the_goal_of_showing_less():
    found = learning.goals({
        "relative": dict.fromkeys(learning.GOALS, -0.25),
        "interval": {name: [-0.3, -0.2] for name in learning.GOALS},
    })  # fmt: skip
    assert [name for name, goal in found.items() if goal["reached"]] == ["shown"]


def test_the_plot_has_two_panels_for_each_project(tmp_path):
    pytest.importorskip("matplotlib")
    from evaluation.learning_plot import draw

    draw([run("p", 1, KEPT), run("q", 1, KEPT), run("p", 2, KEPT)], tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    assert ET.fromstring(text).tag.endswith("svg")
    assert text.count("characters kept so far") == text.count("accepted so far") == 2
