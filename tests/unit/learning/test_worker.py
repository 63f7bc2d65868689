"""The worker's way with the queue: every job is acknowledged, put back, or counted as failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from episodes_factory import episode, events_of
from falcon_lsp.config import Config, from_client_options
from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.paths import Store, locked
from falcon_lsp.learning.background import worker
from falcon_lsp.learning.background.pace import Limits, PacedToken, SliceOver
from falcon_lsp.learning.background.waiting import waiting
from falcon_lsp.learning.caps import MOST_PER_FILE_AND_HOUR
from falcon_lsp.learning.forgetting import trainer_lock
from falcon_lsp.learning.journal import NO_JOURNAL, Journal
from falcon_lsp.learning.update_report import UpdateReport
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.ledger import MAX_TRIES, Ledger
from falcon_lsp.memory.ledger_sources import MOST_PER_DAY
from falcon_lsp.model.adapters import AdapterRegistry
from falcon_lsp.model.engine import EngineError


class StandIn:
    """An updater that learns from everything, unless it is told to fail."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure
        self.batches: list[list[str]] = []

    def run(
        self, episodes: Sequence[Episode], emit: Any, token: Any, history: Sequence[Episode]
    ) -> UpdateReport:
        assert {one.completion_id for one in episodes} <= {one.completion_id for one in history}
        self.batches.append([one.completion_id for one in episodes])
        if self.failure is not None:
            raise self.failure
        return UpdateReport(dict.fromkeys(self.batches[-1], "trained:adp-1"), "adp-1", used=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", tmp_path / "cache")


@pytest.fixture
def ledger(store: Store) -> Iterator[Ledger]:
    with closing(Ledger(store.ledger)) as opened:
        for number in range(20):
            opened.append(events_of(episode(f"cmp-{number:02}", time=float(number))))
        yield opened


def settings(**learning: Any) -> Config:
    config, problems = from_client_options({"learning": learning})
    assert problems == []
    return config


def work(ledger: Ledger, updater: Any, **given: Any) -> list[UpdateReport]:
    return list(iterate(ledger, updater, **given))


def iterate(
    ledger: Ledger, updater: Any, least: int = 8, most: int = 8, journal: Journal = NO_JOURNAL
) -> Iterator[UpdateReport]:
    token = CancellationToken()
    return worker.work(ledger, updater, least, most, lambda _: None, token, journal)


def test_full_batches_are_worked_through_in_order_and_the_rest_waits(ledger) -> None:
    updater = StandIn()
    assert len(work(ledger, updater)) == 2
    assert [batch[0] for batch in updater.batches] == ["cmp-00", "cmp-08"]
    assert ledger.counts() | {"done": 16, "waiting": 4, "leased": 0} == ledger.counts()


def test_a_forgotten_episode_is_acknowledged_unread(ledger) -> None:
    updater = StandIn()
    jobs_before = ledger.pending()
    ledger.forget(completion_ids=["cmp-03"])
    work(ledger, updater, least=1, most=20)
    assert "cmp-03" not in updater.batches[0]
    assert ledger.pending() == 0
    assert jobs_before == 20


@pytest.mark.parametrize("error", [Cancelled(), KeyboardInterrupt()])
def test_an_interrupted_batch_goes_back_without_blame(ledger, error) -> None:
    for _ in range(MAX_TRIES + 1):
        with pytest.raises(type(error)):
            work(ledger, StandIn(error))
    assert ledger.pending() == 20


def test_a_batch_that_always_fails_is_set_aside_after_three_tries(ledger) -> None:
    for _ in range(MAX_TRIES):
        with pytest.raises(RuntimeError):
            work(ledger, StandIn(RuntimeError("boom")))
    assert ledger.counts()["set_aside"] == 8
    updater = StandIn()
    work(ledger, updater)
    assert updater.batches[0][0] == "cmp-08"


def test_only_a_part_of_a_large_batch_is_set_aside_with_what_fails(ledger) -> None:
    class Allergic(StandIn):
        def run(self, episodes: Any, *rest: Any) -> UpdateReport:
            if any(episode.completion_id == "cmp-11" for episode in episodes):
                raise RuntimeError("boom")
            return super().run(episodes, *rest)

    updater = Allergic()
    for _ in range(MAX_TRIES):
        with pytest.raises(RuntimeError):
            work(ledger, updater, least=1, most=20)
    work(ledger, updater, least=1, most=20)
    assert ledger.counts() | {"done": 12, "set_aside": 8, "waiting": 0} == ledger.counts()


@pytest.mark.parametrize(
    ("failure", "code", "event", "reason"),
    [
        (None, 0, "done", None),
        (Cancelled(), 0, "cancelled", None),
        (EngineError("Fetch the model."), 1, "error", "Fetch the model."),
        (ZeroDivisionError("secret text"), 1, "error", "training failed (ZeroDivisionError)"),
    ],
)
def test_serving_ends_with_a_code_and_a_sentence(
    store, ledger, monkeypatch, failure, code, event, reason
) -> None:
    monkeypatch.setattr(worker, "make_updater", lambda *_: StandIn(failure))
    heard: list[dict[str, Any]] = []
    config = settings(batchEpisodes=16)
    assert worker.serve(store, config, heard.append, CancellationToken()) == code
    assert heard[-1]["event"] == event
    assert heard[-1].get("reason") == reason
    json.dumps(heard)


def test_one_trainer_at_a_time(store, ledger, monkeypatch) -> None:
    updater = StandIn()
    monkeypatch.setattr(worker, "make_updater", lambda *_: updater)
    heard: list[dict[str, Any]] = []
    with locked(trainer_lock(store)):
        assert worker.serve(store, settings(), heard.append, CancellationToken()) == 0
    assert heard[0] == {"event": "busy"}
    assert updater.batches == []


def test_what_one_file_has_too_many_of_is_not_remembered(store) -> None:
    """Neither what is learned from again nor what a version is judged by in use holds a flood."""
    flood = {f"cmp-{n:03}": n / 10 for n in range(MOST_PER_DAY + 20)}
    slow = {f"day-{n:03}": 1e5 + n * 30.0 for n in range(MOST_PER_DAY)}
    with closing(Ledger(store.ledger)) as ledger:
        for name, when in {**flood, **slow}.items():
            ledger.append([replace(event, time=when) for event in events_of(episode(name))])
        assert len(ledger.episodes(with_outcome=True)) == 2 * MOST_PER_DAY
        kept = [each.completion_id for each in worker.finished(ledger)]
    assert sum(name.startswith("cmp-") for name in kept) == MOST_PER_FILE_AND_HOUR
    assert sum(name.startswith("day-") for name in kept) <= 3 * MOST_PER_FILE_AND_HOUR


def test_too_short_a_queue_loads_no_model(store, ledger) -> None:
    config = settings(batchEpisodes=64)
    heard: list[dict[str, Any]] = []
    assert worker.serve(store, config, heard.append, CancellationToken()) == 0
    assert heard == [{"event": "done"}]


def test_what_a_killed_trainer_held_is_taken_at_once(store, ledger, monkeypatch) -> None:
    """Its lease would last for minutes; the lock shows that nobody holds it any more.

    A part of it at first, as always after a failure: it may be what killed.
    """
    assert len(ledger.lease("killed", 20, 600.0)) == 20
    updater = StandIn()
    monkeypatch.setattr(worker, "make_updater", lambda *_: updater)
    worker.serve(store, settings(batchEpisodes=16), lambda _: None, CancellationToken())
    assert [len(batch) for batch in updater.batches] == [8]


def test_who_asks_has_less_than_a_batch_trained_on(store, ledger, monkeypatch) -> None:
    updater = StandIn()
    monkeypatch.setattr(worker, "make_updater", lambda *_: updater)
    config = settings(batchEpisodes=64)
    worker.serve(store, config, lambda _: None, CancellationToken(), least=8)
    assert [len(batch) for batch in updater.batches] == [20]


def test_what_a_dead_trainer_held_waits_and_what_a_living_one_holds_does_not(store, ledger) -> None:
    ledger.lease("somebody", 12, 600.0)
    with locked(trainer_lock(store)):
        assert waiting(store, ledger) == 8
    assert waiting(store, ledger) == 20
    assert ledger.held() == 0
    assert len(ledger.lease("another", 20, 600.0)) == 20


def test_starting_clears_what_a_kill_left(store, ledger, monkeypatch) -> None:
    left = AdapterRegistry(store.adapters).new_temporary()
    worker.serve(store, settings(batchEpisodes=64), lambda _: None, CancellationToken())
    assert not left.exists()


def test_the_process_leaves_when_its_input_is_closed(store, ledger) -> None:
    script = (
        "import sys, threading; from falcon_lsp.learning.background import worker;"
        "from falcon_lsp.core.cancellation import CancellationToken;"
        "token = CancellationToken(); worker.leave_when_told(token, True);"
        "print('ready', flush=True); token._event.wait(60); print(token.cancelled, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    out, _ = process.communicate(timeout=30)
    assert out == "True\n"


def test_the_module_runs_and_speaks_json_lines(store, ledger) -> None:
    options = json.dumps({"learning.batchEpisodes": 64})
    done = subprocess.run(
        [
            sys.executable, "-m", "falcon_lsp.learning.background.worker",
            "--data-dir", str(store.data), "--cache-dir", str(store.cache),
            "--options", options, "--supervised",
        ],
        input="", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"event": "done"}]


class Interrupted(StandIn):
    """Takes one step, then is killed: nothing is put back, only the lease is left."""

    def run(self, episodes: Sequence[Episode], emit: Any, *rest: Any) -> UpdateReport:
        self.batches.append([one.completion_id for one in episodes])
        emit({"event": "step", "step": 0})
        os._exit(9)


def test_an_update_that_was_killed_goes_on_with_the_same_batch(
    ledger, tmp_path, monkeypatch
) -> None:
    """However often, as long as each time gets a step further: it is not what kills the trainer."""
    monkeypatch.setattr(worker, "LEASE_SECONDS", 0.0)
    monkeypatch.setattr(os, "_exit", lambda _: (_ for _ in ()).throw(SystemExit))
    monkeypatch.setattr(Ledger, "release", lambda *_: None)
    journal, killed, finished = Journal(tmp_path / "journal"), Interrupted(), StandIn()
    for _ in range(MAX_TRIES + 2):
        with pytest.raises(SystemExit):
            work(ledger, killed, least=1, most=12, journal=journal)
    ledger.append(events_of(episode("cmp-late", time=99.0)))
    next(iterate(ledger, finished, least=1, most=20, journal=journal))
    first = [f"cmp-{number:02}" for number in range(12)]
    assert [*killed.batches, *finished.batches] == [first] * (MAX_TRIES + 3)
    assert journal.batch() == []


def test_a_batch_that_gets_no_further_is_tried_in_a_smaller_part(ledger, tmp_path) -> None:
    journal, updater = Journal(tmp_path / "journal"), StandIn(RuntimeError("boom"))
    for _ in range(MAX_TRIES):
        with pytest.raises(RuntimeError):
            work(ledger, updater, least=1, most=20, journal=journal)
    assert [len(batch) for batch in updater.batches] == [20, 20, 8]


def test_what_was_forgotten_meanwhile_begins_the_update_anew(ledger, tmp_path) -> None:
    journal = Journal(tmp_path / "journal")
    with pytest.raises(Cancelled):
        work(ledger, StandIn(Cancelled()), least=1, most=12, journal=journal)
    ledger.forget(completion_ids=["cmp-03"])
    page = journal.page([], "run")
    page.write({}, {})
    updater = StandIn()
    work(ledger, updater, least=1, most=12, journal=journal)
    assert "cmp-03" not in updater.batches[0]
    assert page.read() is None


@pytest.mark.parametrize("event", ["round", "step"])
def test_a_slice_may_end_behind_whatever_is_in_the_journal(ledger, event) -> None:
    class Working:
        def run(self, _episodes: Any, emit: Any, token: Any, _history: Any) -> UpdateReport:
            token.check()
            emit({"event": "phase", "phase": "training"})
            token.check()
            emit({"event": event})
            token.check()
            raise AssertionError("the slice is over")

    token = PacedToken(Limits(slice_seconds=0.0), lambda _: None)
    with pytest.raises(SliceOver):
        list(worker.work(ledger, Working(), 8, 8, lambda _: None, token))
    assert ledger.pending() == 20


def test_the_end_of_a_slice_is_told_and_puts_the_batch_back(store, ledger, monkeypatch) -> None:
    monkeypatch.setattr(worker, "make_updater", lambda *_: StandIn(SliceOver()))
    heard: list[dict[str, Any]] = []
    assert worker.serve(store, settings(batchEpisodes=16), heard.append, CancellationToken()) == 0
    assert heard[-1] == {"event": "slice_over"}
    assert ledger.pending() == 20
    assert worker.open_journal(store).batch() != []
