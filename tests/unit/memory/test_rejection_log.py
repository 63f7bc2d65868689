"""Rejections follow the ledger: restarts, other processes, forgetting and forgiving."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from falcon_lsp.config import MemoryOptions
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.events import Kind
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.memory.rejection_log import BATCH
from falcon_lsp.memory.rejections import MAX_AGE, Rejections
from falcon_lsp.memory.service import MemoryService
from memory_samples import WORKSPACE, episode_events

BEFORE, TEXT = "def total(items):\n    ", "return total"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.default(str(tmp_path / "data"), str(tmp_path / "cache"))


@pytest.fixture
def opened(store: Store) -> Iterator[Callable[[], tuple[MemoryService, Rejections]]]:
    services: list[MemoryService] = []

    def open_one() -> tuple[MemoryService, Rejections]:
        rejections = Rejections()
        services.append(MemoryService(store, MemoryOptions(), rejections=rejections))
        services[-1].open()
        return services[-1], rejections

    yield open_one
    for service in services:
        service.close()


def blocked(rejections: Rejections, workspace: str = WORKSPACE) -> bool:
    return rejections.block(workspace, BEFORE, TEXT, time.time())


def no(name: str = "c1", **where: Any) -> list:
    return episode_events(name, what=Outcome.REJECTED, kept=0, **where)


def test_what_the_ledger_holds_is_known_from_the_start(store: Store, opened) -> None:
    with_ledger(store, lambda ledger: ledger.append(no()))
    _, rejections = opened()
    assert blocked(rejections)
    assert not blocked(rejections, "file:///other")


def with_ledger(store: Store, use: Callable[[Ledger], object]) -> None:
    ledger = Ledger(store.ledger)
    use(ledger)
    ledger.close()


def test_more_rejections_than_a_batch_are_read_and_a_later_accept_counts(
    store: Store, opened
) -> None:
    many = [
        event
        for number in range(BATCH + 50)
        for event in no(f"n{number}", prefix=f"def total_{number}(items):\n    ")
    ]
    yes = episode_events("yes", prefix="def total_7(items):\n    ", time=time.time() + 1)
    with_ledger(store, lambda ledger: ledger.append([*many, *yes]))
    service, rejections = opened()
    assert len(service.rejections()) == BATCH + 49
    for number, expected in ((0, True), (7, False), (BATCH + 49, True)):
        where = f"def total_{number}(items):\n    "
        assert rejections.block(WORKSPACE, where, TEXT, time.time()) is expected


def test_what_is_too_old_is_not_read(store: Store, opened) -> None:
    with_ledger(store, lambda ledger: ledger.append(no(time=time.time() - MAX_AGE - 60)))
    service, _ = opened()
    assert service.rejections() == []


NOW = dt.datetime.now().astimezone()
FORGETTING = [
    pytest.param({"completion_ids": ["c1"]}, id="the episode"),
    pytest.param({"event_id": "c1:outcome"}, id="an event"),
    pytest.param({"path": "src/a.py"}, id="the file"),
    pytest.param({"workspace": WORKSPACE}, id="the workspace"),
    pytest.param({"day": NOW.date()}, id="the day"),
]


@pytest.mark.parametrize("what", FORGETTING)
def test_forgetting_forgets_the_rejection(store: Store, opened, what: dict) -> None:
    service, rejections = opened()
    other = no("c2", workspace="file:///other", path="b.py", time=1.7e9)
    service.record([*no(time=NOW.timestamp()), *other])
    service.follow()
    assert blocked(rejections)
    service.forget(**what)
    assert not blocked(rejections)
    assert service.rejections() == []


def test_what_another_process_rejects_forgives_or_forgets_counts_here(opened) -> None:
    one, mine = opened()
    other, _ = opened()
    other.record(no())
    other.follow()
    one.follow()
    assert blocked(mine)
    assert other.forgive("c1") == 1
    one.follow()
    assert not blocked(mine)
    other.record(no("c2"))
    one.follow()
    assert blocked(mine)
    other.forget(completion_ids=["c2"])
    one.follow()
    assert not blocked(mine)


def test_what_is_forgiven_stays_forgiven_and_is_silence_for_learning(store: Store, opened) -> None:
    service, rejections = opened()
    service.record([*no(), *no("c2")])
    service.follow()
    (entry,) = service.rejections()
    assert service.forgive("c1") == 2
    assert not blocked(rejections)
    assert service.forgive("c1") == 0
    assert [e.outcome for e in service.recent_episodes(2)] == [Outcome.IGNORED] * 2
    service.close()
    again, anew = opened()
    assert not blocked(anew)
    assert again.rejections() == []
    assert set(entry.completion_ids) == {"c1", "c2"}


def test_a_rejected_secret_leaves_its_redacted_form_only(store: Store, opened) -> None:
    service, _ = opened()
    secret = "gh" + "p_" + "".join("aB3dE5gH7j"[i % 10] for i in range(36))
    service.record(no(text=f'token = "{secret}"'))
    service.follow()
    (entry,) = service.rejections()
    assert secret not in repr(entry)
    assert "token" in entry.text


def test_never_holds_where_a_rejection_would_have_faded(store: Store, opened) -> None:
    old = time.time() - 2 * MAX_AGE
    with_ledger(store, lambda ledger: ledger.append(episode_events("c1", time=old)))
    service, rejections = opened()
    assert not blocked(rejections)  # it was accepted
    assert service.refuse("c1") == 1
    assert blocked(rejections)
    again, later = opened()  # as after a restart
    assert blocked(later)
    (entry,) = again.rejections()
    assert (entry.never, entry.blocks, entry.weight) == (True, True, 1.0)


def test_never_is_read_however_old_it_is(store: Store, opened) -> None:
    events = no(time=time.time() - 2 * MAX_AGE)
    said = next(event for event in events if event.kind is Kind.OUTCOME)
    never = replace(said, payload={**said.payload, "never": True}, event_id="never")
    with_ledger(store, lambda ledger: ledger.append([*events, never]))
    _, rejections = opened()
    assert blocked(rejections)


def test_never_can_be_undone_and_names_what_is_there(opened) -> None:
    service, rejections = opened()
    service.record(no())
    assert service.refuse("unknown") == 0
    assert service.refuse("c1") == 1
    assert service.forgive("c1") == 1
    assert not blocked(rejections)


def test_never_survives_an_export(store: Store, opened, tmp_path: Path) -> None:
    service, _ = opened()
    service.record(no())
    service.refuse("c1")
    log, copy = tmp_path / "log.jsonl", Ledger(tmp_path / "copy.sqlite3")
    with log.open("w", encoding="utf-8") as file:
        service.read(lambda ledger: ledger.export_jsonl(file), 0)
    assert copy.import_jsonl(log).skipped == ()
    episode = copy.episode("c1")
    copy.close()
    assert episode is not None
    assert episode.never
