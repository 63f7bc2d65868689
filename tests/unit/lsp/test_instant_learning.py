"""Without instant learning the server is as if it had never been told anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from falcon_lsp.completion import features
from falcon_lsp.completion.belief import usual
from falcon_lsp.config import Config
from falcon_lsp.core.text import Position, TextSnapshot
from falcon_lsp.core.types import Lately, Outcome, TextEdit
from falcon_lsp.lsp.application import Application
from falcon_lsp.lsp.documents import ContentChange, DocumentStore, Range
from falcon_lsp.lsp.session import Session
from falcon_lsp.memory import events
from memory_samples import WORKSPACE, episode_events, place, suggested_event


@pytest.mark.parametrize("instant", [True, False])
def test_feedback_reaches_the_next_suggestion_only_when_it_may(instant):
    app = Application()
    app.config = replace(app.config, learning=replace(app.config.learning, instant=instant))
    before = app.short_term.acceptance(WORKSPACE)
    for number in range(4):
        app.observe(episode_events(f"cmp-{number}", what=Outcome.ACCEPTED))
    assert (app.short_term.acceptance(WORKSPACE) != before) is instant
    app.close()


def rejected(completion_id: str) -> list[events.Event]:
    """Return a suggestion with its features, and that it was rejected."""
    suggested = suggested_event(completion_id)
    payload = {
        **suggested.payload,
        "features": [1.0] * len(features.NAMES),
        "features_version": features.VERSION,
    }
    no = events.outcome(
        place(completion_id), Outcome.REJECTED, chars_kept=0, elapsed_ms=1.0, inferred=False
    )
    return [replace(suggested, payload=payload), no]


def started(tmp_path, *, instant: bool) -> Application:
    app = Application()
    config = Config(
        engine="fake", data_dir=str(tmp_path / "data"), cache_dir=str(tmp_path / "cache")
    )
    learning = replace(config.learning, instant=instant, enable=False)
    app.start(replace(config, learning=learning), lambda _message, _share: None)
    return app


@pytest.mark.parametrize("instant", [True, False])
def test_the_quiet_policy_learns_only_when_it_may_and_knows_it_after_a_restart(tmp_path, instant):
    app = started(tmp_path, instant=instant)
    for number in range(3):
        assert app.record(rejected(f"cmp-{number}")).result(30)
    app.flush()
    learned = app.believed()
    assert (learned != usual()) is instant
    app.close()
    again = started(tmp_path, instant=instant)
    again.flush()
    assert again.believed() == learned
    again.close()
    frozen = started(tmp_path, instant=False)
    frozen.flush()
    assert frozen.believed() == usual()
    assert (
        frozen.short_term.lately(WORKSPACE, "src/a.py", "file:///workspace/src/a.py", 0) == Lately()
    )
    frozen.close()


def test_a_snooze_ends_by_itself(monkeypatch):
    app = Application()
    now = [1000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    app.snooze(5)
    assert (app.snoozed, app.state()) == (True, "snoozed")
    now[0] += 301
    assert not app.snoozed
    app.close()


def type_into(app: Application, path: str = "src/a.py") -> None:
    before = TextSnapshot(f"{WORKSPACE}/{path}", "python", 1, "x = ")
    app.short_term.edited(WORKSPACE, path, before, (TextEdit(4, 4, "canary"),), 0.0)


def test_forgetting_lets_go_of_edits_also_where_nothing_was_recorded_of_them(tmp_path):
    app = started(tmp_path, instant=True)
    assert app.record(rejected("cmp-1")).result(30)
    for what in ({"path": "src/a.py"}, {"path": "src/unrecorded.py"}):
        type_into(app)
        app.forget(what)
        assert app.short_term.recent_edits(WORKSPACE, 9) == ()
    app.close()


async def test_what_is_edited_during_a_pause_is_not_remembered():
    app = Application()
    documents = DocumentStore()
    session = Session(app, documents)
    session.folders = [WORKSPACE]
    uri = f"{WORKSPACE}/src/a.py"
    documents.open(uri, "python", 1, "x = ")
    for version, paused, known in ((2, True, []), (3, False, ["y"])):
        app.pause(paused)
        at = Position(0, 4)
        change = documents.change(uri, version, [ContentChange("y", Range(at, at))])
        session.changed(*change)
        assert [edit.added for edit in app.short_term.recent_edits(WORKSPACE, 9)] == known
    session.flush()
    app.close()
