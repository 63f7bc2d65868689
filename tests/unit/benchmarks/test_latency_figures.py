"""Facts about the figures: kinds, shares, ratios, and the goals that they are held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keystrokes import targets
from keystrokes.kinds import Kind, against, kinds_of, summary, write_samples
from keystrokes.replay import Sample


def sample(step: int, took: float | None = None, offer: str = "", **changes: Any) -> Sample:
    given = None if took is not None else 130.0
    made = Sample(0, step, first=step == 0, moved=False, took=took, given=given)
    made.text = made.offer = offer
    made.ended = None if given is None else 4.0
    for name, value in changes.items():
        setattr(made, name, value)
    return made


OURS = [
    sample(0, 700.0, "a", exact=False),
    sample(1, 2.0, "a", exact=True),
    sample(2, 120.0, "b", exact=True),
    sample(3),
    sample(4, 15.0),
    sample(5, 240.0, "c"),
    sample(6, 3.0, "b", exact=True),
]
NAMED = kinds_of(OURS)


def test_an_offer_that_comes_again_was_typed_through() -> None:
    assert list(NAMED.values()) == [
        Kind.COLD, Kind.AHEAD, Kind.WARM, Kind.WARM, Kind.WARM, Kind.WARM, Kind.AHEAD,
    ]  # fmt: skip


def test_silence_is_counted_among_requests_and_not_among_times() -> None:
    found = summary(OURS, NAMED)
    assert found["requests"] == 7
    assert (found["withdrawn"], found["answered_with_nothing"]) == (1, 1)
    assert found["share_answered_with_text"]["value"] == pytest.approx(5 / 7, abs=1e-3)
    assert found["share_with_text_within_200_ms"]["value"] == pytest.approx(3 / 7, abs=1e-3)
    assert found["milliseconds"]["warm"]["n"] == 2
    assert found["milliseconds"]["warm"]["p95"]["value"] == 240.0


def test_a_withdrawn_question_counts_as_longer_than_it_was_given() -> None:
    warm = summary(OURS, NAMED)["milliseconds"]["warm"]
    assert warm["withdrawn"] == 1
    assert (warm["p50"]["value"], warm["p50_awaited"]["value"]) == (120.0, 240.0)


def test_exact_lines_are_counted_among_answers_that_can_be_judged() -> None:
    found = summary(OURS, NAMED)["share_of_exact_lines_among_answers"]
    assert found["value"] == pytest.approx(3 / 4)


def test_only_what_both_answered_is_compared() -> None:
    theirs = [sample(n, 300.0 if n != 2 else None, "t") for n in range(7)]
    found = against(OURS, theirs, NAMED)
    assert {name: row["n"] for name, row in found.items()} == {
        "cold": 1, "warm": 1, "typed_through": 2, "all": 4,
    }  # fmt: skip
    assert found["warm"]["ratio"]["value"] == pytest.approx(0.8)


def test_samples_hold_no_text(tmp_path: Path) -> None:
    write_samples(tmp_path / "samples.csv", {"ours": OURS}, NAMED)
    lines = (tmp_path / "samples.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1:4] == [
        "ours,0,0,cold,700.0,,,1,0",
        "ours,0,1,typed_through,2.0,,,1,1",
        "ours,0,2,warm,120.0,,,1,1",
    ]
    assert lines[4] == "ours,0,3,warm,,130.0,4.0,0,"


def result(p50: float) -> dict[str, Any]:
    warm = {"p50": {"value": p50}, "p95": {"value": 380.0}}
    ours = {
        "milliseconds": {"warm": warm},
        "share_answered_with_text": {"value": 0.7},
        "peak_memory_mb": 950,
    }
    return {
        "systems": {"falcon-lsp": ours},
        "against": {"llama.cpp Q4_1": {"warm": {"ratio": {"value": 0.7}}}},
        "start": {"initialize_answered_ms": [300, 510, 320]},
    }


@pytest.mark.parametrize(
    ("what", "value", "met"),
    [
        ("warm keystroke, p50, ms", 149.0, True),
        ("warm keystroke, p95, ms", 380.0, True),
        ("typed through, p95, ms", None, False),
        ("answered with text, share", 0.7, True),
        ("warm p50 against llama.cpp Q4_1", 0.7, True),
        ("memory, MB", 950, False),
        ("start to initialize answered, ms", 510, False),
        ("cancelled to rest, longest, ms", None, False),
    ],
)
def test_goals_are_judged_by_what_was_measured(what: str, value: float | None, met: bool) -> None:
    rows = {row["what"]: row for row in targets.judge(result(149.0))}
    assert (rows[what]["value"], rows[what]["met"]) == (value, met)


def test_the_table_says_what_was_missed() -> None:
    table = targets.table(targets.judge(result(151.0)))
    assert "| warm keystroke, p50, ms | <= 150 | 151 | no |" in table
    assert "| typed through, p95, ms | <= 20 | - | no |" in table
