"""Facts about the result file: what is kept, what is scored again, what separates two rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation import results
from evaluation.intervals import Ratio
from evaluation.results import Cell, Results

CELL = Cell("base", "infilling", "", 0)
GROUPS = ["a", "a", "b", "c"]
BEFORE = {"pass@1": Ratio([0, 1, 0, 0], [1] * 4, GROUPS)}
AFTER = {"pass@1": Ratio([1, 1, 0, 1], [1] * 4, GROUPS)}
ABOUT = {"machine": {"cores": 2}, "command": "infill.py"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results" / "infill.json"


def test_what_was_scored_is_there_after_a_restart(path: Path) -> None:
    Results(path).add(CELL, BEFORE, 1.5, ABOUT)
    again = Results(path)
    assert again.has(CELL)
    stored = again.rows["base"]["infilling"]
    assert results.ratio(stored, "pass@1").value == BEFORE["pass@1"].value
    assert stored["measures"]["pass@1"]["value"] == 0.25
    assert (stored["items"], stored["seconds"], stored["machine"]) == (4, 1.5, {"cores": 2})


@pytest.mark.parametrize(
    "other",
    [
        replace(CELL, row="another"),
        replace(CELL, task="humaneval"),
        replace(CELL, adapter_sha256="f" * 64),
        replace(CELL, limit=10),
    ],
)
def test_anything_else_is_still_to_be_scored(path: Path, other: Cell) -> None:
    kept = Results(path)
    kept.add(CELL, BEFORE, 1.0, ABOUT)
    assert not kept.has(other)


def test_a_new_way_of_scoring_makes_old_results_void(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Results(path).add(CELL, BEFORE, 1.0, ABOUT)
    monkeypatch.setattr(results, "VERSION", results.VERSION + 1)
    assert Results(path).rows == {}


def test_two_rows_are_compared_pair_by_pair(path: Path) -> None:
    kept = Results(path)
    kept.add(CELL, BEFORE, 1.0, ABOUT)
    kept.add(replace(CELL, row="adapter", adapter_sha256="f"), AFTER, 1.0, ABOUT)
    [row] = json.loads(path.read_text(encoding="utf-8"))["differences"]
    assert (row["from"], row["to"], row["difference"]) == ("base", "adapter", 0.5)
    assert row["low"] <= 0.5 <= row["high"]


def test_rows_of_other_items_are_not_compared(path: Path) -> None:
    kept = Results(path)
    kept.add(CELL, BEFORE, 1.0, ABOUT)
    fewer = {"pass@1": Ratio([1], [1], ["a"])}
    kept.add(Cell("adapter", "infilling", "f", 1), fewer, 1.0, ABOUT)
    assert json.loads(path.read_text(encoding="utf-8"))["differences"] == []


@pytest.mark.parametrize(
    ("over", "under"),
    [([0.25, 1 / 3, 0.5], [1, 1, 1]), ([100.5, 20, 3], [90, 10, 4]), ([0, 1, 1], [0, 1, 1])],
)
def test_outcomes_survive_being_stored(path: Path, over: list[float], under: list[float]) -> None:
    measured = Ratio(over, under, ["a", "b", "a"])
    Results(path).add(CELL, {"some": measured}, 1.0, ABOUT)
    back = results.ratio(Results(path).rows["base"]["infilling"], "some")
    assert back.over == pytest.approx(over, rel=1e-4)
    assert back.under == pytest.approx(under)
    assert back.interval() == pytest.approx(measured.interval(), rel=1e-3)


def test_the_machine_is_described_by_what_a_figure_depends_on() -> None:
    known = results.machine("cpu")
    assert known["cores"] >= 1
    assert all(known[name] for name in ("processor", "system", "python", "torch"))
