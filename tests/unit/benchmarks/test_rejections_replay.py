"""A small replay of rejections: lines of this repository stand for suggestions."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from evaluation.places import File
from rejections import Line, after_restart, lines_of, lost, reappearances, rejected_events

PACKAGE = Path(__file__).parents[3] / "server" / "falcon_lsp"


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    files = [
        File("falcon", path.name, path.read_text(encoding="utf-8"))
        for path in sorted((PACKAGE / "memory").glob("*.py"))
    ]
    found = [line for file in files for line in lines_of(file)]
    random.Random(5).shuffle(found)
    return found


def test_nothing_rejected_comes_back_and_little_else_is_lost(lines: list[Line]) -> None:
    declined, others = lines[:60], lines[60:]
    events = [e for n, line in enumerate(declined) for e in rejected_events(n, line, line.text)]
    rejections = after_restart(events)
    counts = reappearances(rejections, declined)
    assert {name: count["reappeared"] for name, count in counts.items()} == dict.fromkeys(counts, 0)
    assert counts["the same"]["asked"] == 60
    assert lost(rejections, others)["share"] < 0.02
