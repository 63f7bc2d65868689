"""How training stands, in words, and for other processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from falcon_lsp.core.paths import Store
from falcon_lsp.learning.background import standing
from falcon_lsp.learning.background.standing import Standing, announced

LEASED = {"event": "leased", "episodes": 8}
LOADING = {"event": "phase", "phase": "loading"}
TRAINING = {"event": "phase", "phase": "training"}
STEP = {"event": "step", "step": 0}


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "starting"),
        ([LEASED], "reading episodes"),
        ([LEASED, LOADING], "loading"),
        ([TRAINING, STEP, STEP], "training, 2 steps"),
        ([TRAINING, STEP, {"event": "phase", "phase": "gate"}], "gate"),
        ([TRAINING, {"event": "held", "reason": "on battery"}], "paused: on battery"),
        (
            [TRAINING, {"event": "held", "reason": "x"}, {"event": "held", "reason": ""}, STEP],
            "training, 1 steps",
        ),
    ],
)
def test_events_in_words(events, words) -> None:
    told = Standing()
    for event in events:
        told.hear(event)
    assert told.words == words


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", tmp_path / "cache")


def test_others_hear_of_it_as_long_as_it_lasts(store) -> None:
    heard = []
    with announced(store, heard.append) as announce:
        announce(TRAINING)
        assert standing.read(store) == "training"
        announce.held("on battery")
        assert standing.read(store) == "paused: on battery"
        announce.held("")
        assert standing.read(store) == "training"
    assert standing.read(store) == ""
    assert [event["event"] for event in heard] == ["phase", "held", "held"]


@pytest.mark.parametrize("content", ["", "[]", '{"pid": "x"}', '{"words": "training"}', "dead"])
def test_what_a_killed_trainer_left_is_not_believed(store, content) -> None:
    if content == "dead":
        content = json.dumps({"pid": 2**22 + 1 + os.getpid(), "words": "training"})
    store.locks.mkdir(parents=True)
    (store.locks / "training.json").write_text(content)
    assert standing.read(store) == ""
