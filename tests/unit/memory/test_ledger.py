"""The ledger keeps every event once, its queue loses no job, and what is forgotten is gone."""

from __future__ import annotations

import datetime as dt
import io
import json
import sqlite3
import threading
from pathlib import Path

import pytest

from falcon_lsp.core.types import Outcome, Prompt, Snippet, Suggestion
from falcon_lsp.memory import events as ev
from falcon_lsp.memory.event_log import to_line
from falcon_lsp.memory.ledger import Job, Ledger, LedgerUnavailable
from memory_samples import WORKSPACE, episode_events, place, suggested_event


@pytest.fixture
def ledger(tmp_path: Path):
    opened = Ledger(tmp_path / "ledger.sqlite3")
    yield opened
    opened.close()


def outcome(completion_id: str, what: Outcome, event_id: str = "") -> ev.Event:
    return ev.outcome(
        place(completion_id), what, chars_kept=3, elapsed_ms=5.0, inferred=False, event_id=event_id
    )


def test_an_event_is_recorded_once_however_often_it_is_sent(ledger: Ledger) -> None:
    events = episode_events("c1")
    assert ledger.append(events) == len(events)
    assert ledger.append(events) == 0
    assert [to_line(event) for _, event in ledger.events()] == [to_line(e) for e in events]


def test_events_come_back_in_order_and_in_pages(ledger: Ledger) -> None:
    for index in range(7):
        ledger.append([suggested_event(f"c{index}")])
    first = ledger.events(limit=3)
    rest = ledger.events(after_seq=first[-1][0], limit=100)
    ids = [event.completion_id for _, event in first + rest]
    assert ids == [f"c{index}" for index in range(7)]
    assert ledger.events(after_seq=rest[-1][0]) == []


def test_an_episode_is_folded_from_its_events(ledger: Ledger) -> None:
    ledger.append(episode_events("c1", text="return x", what=Outcome.PARTIAL, kept=6))
    episode = ledger.episode("c1")
    assert episode is not None
    assert (episode.suggestion.text, episode.outcome) == ("return x", Outcome.PARTIAL)
    assert (episode.chars_kept, episode.settled_text) == (6, "return x")
    assert ledger.episode("unknown") is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ["c0", "c1", "c2", "c3"]),
        ({"workspace": "file:///other"}, ["c3"]),
        ({"limit": 2}, ["c2", "c3"]),
        ({"limit": 2, "before": 1002.0}, ["c0", "c1"]),
        ({"with_outcome": True}, ["c1", "c3"]),
    ],
)
def test_episodes_are_the_latest_of_the_selection_oldest_first(
    ledger: Ledger, arguments: dict, expected: list[str]
) -> None:
    for index in range(4):
        workspace = "file:///other" if index == 3 else WORKSPACE
        ledger.append([suggested_event(f"c{index}", workspace=workspace, time=1000.0 + index)])
    ledger.append([outcome("c1", Outcome.REJECTED), outcome("c3", Outcome.ACCEPTED)])
    ledger.append([outcome("c2", Outcome.SHOWN)])
    assert [e.completion_id for e in ledger.episodes(**arguments)] == expected


@pytest.mark.parametrize("what", list(Outcome))
def test_only_a_final_outcome_makes_a_job(ledger: Ledger, what: Outcome) -> None:
    ledger.append([suggested_event("c1"), outcome("c1", what)])
    assert ledger.pending() == int(what.final)


def test_several_final_outcomes_make_one_job(ledger: Ledger) -> None:
    ledger.append([outcome("c1", Outcome.ACCEPTED), outcome("c1", Outcome.PARTIAL)])
    assert [job.completion_id for job in ledger.lease("w", 10, 60)] == ["c1"]


def test_a_leased_job_is_given_to_nobody_else_until_the_lease_runs_out(ledger: Ledger) -> None:
    ledger.append([outcome(f"c{i}", Outcome.ACCEPTED) for i in range(3)])
    assert [j.completion_id for j in ledger.lease("a", 2, 60, now=0)] == ["c0", "c1"]
    assert [j.completion_id for j in ledger.lease("b", 9, 60, now=10)] == ["c2"]
    assert ledger.pending(now=10) == 0
    assert ledger.pending(now=60) == 2
    again = ledger.lease("b", 9, 60, now=60)
    assert [(j.completion_id, j.tries) for j in again] == [("c0", 2), ("c1", 2)]


def test_ack_closes_only_what_its_owner_holds(ledger: Ledger) -> None:
    ledger.append([outcome("c1", Outcome.ACCEPTED)])
    ledger.lease("a", 1, 60, now=0)
    assert ledger.ack("b", {"c1": "trained:x"}) == 0
    assert ledger.ack("a", {"c1": "trained:x", "c2": "trained:x"}) == 1
    assert ledger.lease("a", 1, 60, now=1000) == []
    assert ledger.counts()["done"] == 1


def test_an_undo_reopens_a_job_that_was_done_or_is_being_done(ledger: Ledger) -> None:
    ledger.append([outcome("c1", Outcome.ACCEPTED), outcome("c2", Outcome.ACCEPTED)])
    ledger.lease("a", 2, 60, now=0)
    ledger.ack("a", {"c1": "trained:x"})
    ledger.append([outcome("c1", Outcome.UNDONE), outcome("c2", Outcome.UNDONE)])
    assert ledger.ack("a", {"c2": "trained:x"}) == 0, "it was trained on what no longer holds"
    assert [(j.completion_id, j.tries) for j in ledger.lease("a", 9, 60, now=1)] == [
        ("c1", 1),
        ("c2", 1),
    ]


@pytest.mark.parametrize("way", ["error", "crash"])
def test_a_job_that_fails_three_times_is_set_aside(ledger: Ledger, way: str) -> None:
    ledger.append([outcome("c1", Outcome.ACCEPTED)])
    for now in (0, 100, 200):
        assert [job.tries for job in ledger.lease("a", 1, 60, now=now)] == [now // 100 + 1]
        if way == "error":
            ledger.release("a", ["c1"], "the loss was not finite")
    assert ledger.lease("a", 1, 60, now=300) == []
    assert ledger.counts()["set_aside"] == 1


def test_a_job_given_back_without_an_error_has_not_failed(ledger: Ledger) -> None:
    ledger.append([outcome("c1", Outcome.ACCEPTED)])
    for _ in range(5):
        assert ledger.lease("a", 1, 60, now=0) == [Job("c1", 1, ledger.events()[0][1].time)]
        ledger.release("a", ["c1"])


def test_cursors_start_at_zero_and_are_kept(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger.sqlite3")
    assert first.cursor("index") == 0
    first.set_cursor("index", 7)
    first.set_cursor("index", 9)
    first.close()
    second = Ledger(tmp_path / "ledger.sqlite3")
    assert second.cursor("index") == 9
    second.close()


def test_threads_share_one_ledger(ledger: Ledger) -> None:
    def work(number: int) -> None:
        for index in range(20):
            ledger.append([suggested_event(f"c{number}-{index}")])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.counts()["events"] == 80


def test_text_that_is_not_valid_unicode_is_recorded(ledger: Ledger) -> None:
    event = suggested_event("c1", text="a\ud800b\x00c", path="half\ud800.py")
    ledger.append([event])
    ((_, found),) = ledger.events()
    assert found.payload["text"] == "a\ud800b\x00c"
    assert found.path == "half?.py"


# ---------------------------------------------------------------------- forget


def fill(ledger: Ledger) -> None:
    """Eight episodes whose every text holds its own mark, enough to split pages."""
    for index in range(8):
        mark = f"canary{index}canary " * 40
        events = episode_events(
            f"c{index}",
            text=mark,
            prefix=mark * (1 + index),
            path=f"canary{index}canary/{'ab'[index % 2]}.py",
            workspace=f"file:///canary{index}canary/w{index // 4}",
            time=1_700_000_000.0 + 86_400 * index,
        )
        ledger.append(events)


def bytes_on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("criterion", "gone"),
    [
        ({"completion_ids": ["c1", "c6", "unknown"]}, [1, 6]),
        ({"event_id": "c2:suggested"}, [2]),
        ({"event_id": "c3:settled:10"}, [3]),
        ({"path": "canary4canary/a.py"}, [4]),
        ({"workspace": "file:///canary5canary/w1"}, [5]),
        ({"day": dt.datetime.fromtimestamp(1_700_000_000.0).date()}, [0]),  # noqa: DTZ006 - local
        ({"path": "canary4canary/a.py", "workspace": "file:///elsewhere"}, []),
    ],
)
def test_what_is_forgotten_leaves_no_byte_behind(
    tmp_path: Path, criterion: dict, gone: list[int]
) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    fill(ledger)
    (tmp_path / "ledger.damaged-20250101T000000000000.sqlite3").write_bytes(b"canary1canary")
    assert ledger.forget(**criterion) == [f"c{i}" for i in gone]
    for state in ("open", "closed"):
        content = bytes_on_disk(tmp_path)
        for index in range(8):
            here = f"canary{index}canary".encode() in content
            assert here == (index not in gone), f"canary {index} while {state}"
        ledger.close()


def test_a_forgotten_file_takes_along_the_prompts_that_quoted_it(ledger: Ledger) -> None:
    quoting = suggested_event("c1", path="b.py", snippets=(Snippet('a "1".py', "x = 1"),))
    ledger.append([quoting, suggested_event("c2", path="b.py", prefix='"path": "a.py"')])
    assert ledger.forget(path="a.py") == []
    assert ledger.forget(path='a "1".py') == ["c1"]


def test_a_forgotten_episode_keeps_its_rows_and_takes_no_more(ledger: Ledger) -> None:
    ledger.append([*episode_events("c1"), suggested_event("c2")])
    before = ledger.counts()["events"]
    ledger.forget(completion_ids=["c1"])
    assert ledger.episode("c1") is None
    assert ledger.pending() == 0
    late = ev.settled(place("c1"), 300, "late text")
    assert ledger.append([late]) == 0
    assert ledger.counts()["events"] + ledger.counts()["forgotten"] == before
    assert ledger.cursor("forgotten") == 1
    assert [e.completion_id for _, e in ledger.events()] == ["c2"]


def test_forgetting_nothing_in_particular_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="say what"):
        ledger.forget()


# ------------------------------------------------------------------ JSON lines


def test_an_export_can_be_imported(ledger: Ledger, tmp_path: Path) -> None:
    unseen = Suggestion(
        "c3", "x", 0, Prompt("a.py", "", ""), "model", "test-model", "base",
        propensity=0.25, features=(1.0, 2.5), features_version=1,
    )  # fmt: skip
    ledger.append([*episode_events("c1"), *episode_events("c2", text="naïve 😀")])
    ledger.append([ev.held(place("c3"), unseen)])
    assert {event.kind for _, event in ledger.events()} == set(ev.Kind)
    out = io.StringIO()
    assert ledger.export_jsonl(out) == 9
    log = tmp_path / "log.jsonl"
    log.write_text(out.getvalue(), encoding="utf-8")
    other = Ledger(tmp_path / "other" / "ledger.sqlite3")
    report = other.import_jsonl(log)
    assert (report.used, report.skipped) == (9, ())
    assert other.events() == ledger.events()
    assert other.pending() == 2
    other.close()


BREAKERS = {
    "not JSON": lambda raw: "{",
    "not an object": lambda raw: "[1]",
    "not UTF-8": lambda raw: "\udcff",
    "no id": lambda raw: json.dumps(raw | {"event_id": ""}),
    "path missing": lambda raw: json.dumps({k: v for k, v in raw.items() if k != "path"}),
    "unknown kind": lambda raw: json.dumps(raw | {"kind": "rumour"}),
    "newer version": lambda raw: json.dumps(raw | {"version": 99}),
    "time is not finite": lambda raw: json.dumps(raw | {"time": float("nan")}),
    "payload is a list": lambda raw: json.dumps(raw | {"payload": []}),
    "text is a number": lambda raw: json.dumps(raw | {"payload": raw["payload"] | {"text": 3}}),
    "bool as number": lambda raw: json.dumps(raw | {"payload": raw["payload"] | {"offset": True}}),
    "unknown field": lambda raw: json.dumps(raw | {"payload": raw["payload"] | {"x": 1}}),
    "deeply nested": lambda raw: "[" * 100_000,
}


@pytest.mark.parametrize("name", BREAKERS)
def test_a_broken_line_is_named_and_the_others_are_used(
    ledger: Ledger, tmp_path: Path, name: str
) -> None:
    source = Ledger(tmp_path / "source" / "ledger.sqlite3")
    source.append([suggested_event("c1"), suggested_event("c2")])
    out = io.StringIO()
    source.export_jsonl(out)
    source.close()
    first, second = out.getvalue().splitlines()
    broken = BREAKERS[name](json.loads(first) | {"event_id": "c3"})
    log = tmp_path / "log.jsonl"
    log.write_bytes("\n".join([first, broken, "", second]).encode("utf-8", "surrogateescape"))
    report = ledger.import_jsonl(log)
    assert (report.path, report.used) == (log, 2)
    assert [number for number, _ in report.skipped] == [2]
    assert all(reason for _, reason in report.skipped)
    assert [e.completion_id for _, e in ledger.events()] == ["c1", "c2"]


# --------------------------------------------------------------------- opening


def test_the_file_is_durable_and_private(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "home" / "ledger.sqlite3")
    settings = {
        name: ledger._db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "secure_delete")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
    assert ledger.path.stat().st_mode & 0o077 == 0
    ledger.close()


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    Ledger(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerUnavailable, match="upgrade"):
        Ledger(path)
    assert path.is_file()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerUnavailable):
        Ledger(tmp_path / "file" / "ledger.sqlite3")


def test_a_closed_ledger_says_so(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    ledger.close()
    with pytest.raises(LedgerUnavailable):
        ledger.append([suggested_event("c1")])
