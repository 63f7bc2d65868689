"""One source fills no update, neither what it trains on nor what it is judged by."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from episodes_factory import episode
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.caps import MOST_PER_FILE_AND_HOUR, surplus
from falcon_lsp.learning.dataset import Encoding, Reason
from falcon_lsp.learning.material import sort_out
from falcon_lsp.memory.episodes import Episode

FLOOD = 10_000


def of(path: str, count: int, seconds: float, encoding: Encoding | None = None) -> list[Episode]:
    """Return ``count`` accepted suggestions of one file, spread over ``seconds``."""
    ids = tuple(encoding.tokenizer.encode("a + b")) if encoding else ()
    one = episode("cmp", "a + b", what=Outcome.ACCEPTED, token_ids=ids)
    return [
        replace(one, completion_id=f"{path}-{number:05}", path=path, time=number * seconds / count)
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [(3600, MOST_PER_FILE_AND_HOUR), (2 * 3600, 2 * MOST_PER_FILE_AND_HOUR), (1e9, FLOOD)],
)
def test_of_a_flood_each_hours_first_are_taken(seconds, kept) -> None:
    flood = of("evil.py", FLOOD, seconds)
    over = surplus(list(reversed(flood)))
    assert len(over) == FLOOD - kept
    assert "evil.py-00000" not in over


def test_other_files_and_workspaces_do_not_suffer() -> None:
    quiet = of("good.py", 40, 3600)
    elsewhere = [
        replace(e, completion_id=f"x{e.completion_id}", workspace="file:///other")
        for e in of("evil.py", 40, 3600)
    ]
    over = surplus(of("evil.py", FLOOD, 3600) + quiet + elsewhere)
    assert len(over) == FLOOD - MOST_PER_FILE_AND_HOUR
    assert all(each.startswith("evil.py-") for each in over)


def test_a_flood_neither_trains_nor_judges_beyond_its_cap(encoding) -> None:
    material = sort_out(
        of("evil.py", FLOOD, 3600, encoding) + of("good.py", 40, 3600, encoding),
        encoding,
        {},
    )
    answers = Counter(material.skipped.values())
    assert answers[Reason.SURPLUS] == FLOOD - MOST_PER_FILE_AND_HOUR
    trained = Counter(one.completion_id.partition("-")[0] for one in material.examples)
    judged = Counter(judgement.path for judgement in material.later.judgements)
    assert trained["evil.py"] + judged["evil.py"] == MOST_PER_FILE_AND_HOUR
    assert trained["good.py"] + judged["good.py"] == 40
