"""The service records durably, recalls within its deadline, and goes on when parts of it fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from falcon_lsp.config import MemoryOptions
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome, Snippet
from falcon_lsp.memory import events as ev
from falcon_lsp.memory import service as service_module
from falcon_lsp.memory.ledger import Ledger, LedgerUnavailable
from falcon_lsp.memory.policy import RecordingPolicy
from falcon_lsp.memory.service import MemoryService
from memory_samples import episode_events, place, suggested_event

PREFIX = "def parse_settings(path):\n    data = "


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", tmp_path / "cache")


@pytest.fixture
def start(store: Store):
    opened: list[MemoryService] = []

    def make(options: MemoryOptions | None = None) -> MemoryService:
        service = MemoryService(store, options or MemoryOptions())
        service.open()
        opened.append(service)
        return service

    yield make
    for service in opened:
        service.close()


def ask(service: MemoryService, text: str = PREFIX, workspace: str = "file:///workspace", **more):
    return service.recall_records(text, workspace, "python", 5, 10_000, **more)


def test_what_was_accepted_is_recalled_and_what_was_rejected_too_but_not_as_an_example(
    start,
) -> None:
    service = start()
    service.record(episode_events("good", text="json.loads(text)", prefix=PREFIX))
    service.record(
        episode_events("bad", text="eval(text)", prefix=PREFIX, what=Outcome.REJECTED, kept=0)
    )
    assert service.wait_indexed(60)
    assert {r.record.completion_id: r.record.outcome for r in ask(service)} == {
        "good": "success",
        "bad": "failure",
    }
    snippets = service.recall(PREFIX, "file:///workspace", "python", 5, 10_000)
    assert snippets == (Snippet("src/a.py", PREFIX + "json.loads(text)"),)


def test_the_episode_that_asks_never_comes_back(start) -> None:
    service = start()
    service.record(episode_events("c1", prefix=PREFIX))
    service.record(episode_events("c2", prefix=PREFIX))
    assert service.wait_indexed(60)
    assert [r.record.completion_id for r in ask(service, exclude=["c1"])] == ["c2"]


def test_no_workspace_or_language_sees_another_ones_records(start) -> None:
    service = start()
    for index in range(20):
        for language in ("python", "typescript"):
            service.record(
                episode_events(
                    f"w{index}-{language}",
                    text=f"canary_{index}_{language}",
                    prefix=PREFIX,
                    workspace=f"file:///w{index}",
                    language=language,
                )
            )
    assert service.wait_indexed(60)
    for index in range(20):
        found = ask(service, workspace=f"file:///w{index}")
        assert [r.record.suggested for r in found] == [f"canary_{index}_python"]
    assert ask(service, workspace="file:///w") == ()


@pytest.mark.parametrize("path", [".env", "config/.env.local", "keys/server.PEM", "My_Secrets/a"])
def test_nothing_is_recorded_of_an_ignored_file(start, path: str) -> None:
    service = start()
    assert service.record([suggested_event("c1", path=path)]) is False
    assert service.status()["counts"]["events"] == 0
    assert service.status()["counters"]["refused"] == 1


def test_nothing_is_recorded_while_recording_is_off(start) -> None:
    service = start()
    before, service.policy = service.policy, RecordingPolicy(MemoryOptions(record=False))
    assert service.record([suggested_event("c1")]) is False
    service.policy = before
    assert service.record([suggested_event("c2")]) is True
    assert [e.completion_id for e in service.recent_episodes(10)] == ["c2"]


def test_a_quoted_snippet_of_an_ignored_file_is_left_out(start) -> None:
    service = start()
    snippets = (Snippet(".env", "DEBUG=1"), Snippet("b.py", "x = 1"))
    assert service.record([suggested_event("c1", snippets=snippets)])
    (episode,) = service.recent_episodes(1)
    assert episode.suggestion.prompt.snippets == snippets[1:]
    assert episode.suggestion.token_ids == ()


def test_a_secret_reaches_no_file_and_its_episode_no_index(start, store: Store) -> None:
    service = start()
    secret = "gh" + "p_" + "".join("aB3dE5gH7j"[i % 10] for i in range(36))
    prefix = f'TOKEN = "{secret[:20]}'
    events = episode_events("c1", text=secret[20:], prefix=prefix, suffix='"\n')
    events[2] = ev.diagnostics(place("c1"), [], [])
    assert service.record(events)
    assert service.wait_indexed(60)
    assert ask(service, text=prefix) == ()
    service.close()
    stored = b"".join(f.read_bytes() for f in store.data.rglob("*") if f.is_file())
    for piece in (secret, secret[:20], secret[20:]):
        assert piece.encode() not in stored


def test_what_could_not_be_written_waits_and_is_written_by_the_next_call(
    start, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start()
    broken = True
    append = Ledger.append

    def flaky(self, events):
        if broken:
            raise LedgerUnavailable("the disk is full; free some space")
        return append(self, events)

    monkeypatch.setattr(Ledger, "append", flaky)
    for index in range(5):
        assert service.record([suggested_event(f"c{index}")]) is False
    status = service.status()
    assert (status["recording"], status["waiting"]) == (False, 5)
    assert "disk is full" in status["trouble"]
    broken = False
    assert service.record([suggested_event("c5")]) is True
    assert [e.completion_id for e in service.recent_episodes(10)] == [f"c{i}" for i in range(6)]
    status = service.status()
    assert (status["recording"], status["waiting"], status["trouble"]) == (True, 0, "")


def test_waiting_events_are_bounded_and_the_loss_is_counted(
    start, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start()
    monkeypatch.setattr(service_module, "MAX_WAITING", 3)
    monkeypatch.setattr(Ledger, "append", lambda *_: (_ for _ in ()).throw(LedgerUnavailable("no")))
    service.record([suggested_event(f"c{index}") for index in range(5)])
    assert service.status()["waiting"] == 3
    assert service.status()["counters"]["lost"] == 2
    monkeypatch.undo()


def test_a_store_that_cannot_be_opened_pauses_recording_until_it_can(tmp_path: Path) -> None:
    blocked = tmp_path / "data"
    blocked.write_text("in the way")
    service = MemoryService(Store(blocked, tmp_path / "cache"), MemoryOptions())
    assert service.open() is False
    assert service.record([suggested_event("c1")]) is False
    assert service.recall(PREFIX, "file:///workspace", "python", 5, 100) == ()
    assert service.status()["recording"] is False
    blocked.unlink()
    assert service.record([suggested_event("c2")]) is True
    assert [e.completion_id for e in service.recent_episodes(9)] == ["c1", "c2"]
    service.close()


def test_recall_that_hangs_is_a_miss_and_so_is_one_that_comes_meanwhile(start, monkeypatch) -> None:
    service = start()
    service.record(episode_events("c1", prefix=PREFIX))
    assert service.wait_indexed(60)
    release = threading.Event()
    query = service._long_term.query

    def slow(*arguments):
        release.wait()
        return query(*arguments)

    monkeypatch.setattr(service._long_term, "query", slow)
    assert service.recall(PREFIX, "file:///workspace", "python", 5, 20) == ()
    assert service.recall(PREFIX, "file:///workspace", "python", 5, 10_000) == ()
    release.set()
    service._recall._one._free.acquire()
    service._recall._one._free.release()
    assert len(ask(service)) == 1
    assert service.counters["recall_missed"] == 2


class Panic(BaseException):
    """As Chroma's Rust code raises it: no `Exception`."""


@pytest.mark.parametrize("failure", [ValueError, Panic])
def test_recall_that_raises_is_a_miss(start, monkeypatch, failure: type[BaseException]) -> None:
    def fail(*_question: object) -> None:
        raise failure

    service = start()
    assert service.wait_indexed(60)
    monkeypatch.setattr(service._long_term, "query", fail)
    assert service.recall(PREFIX, "file:///workspace", "python", 5, 10_000) == ()
    assert service.counters["recall_failed"] == 1


def test_a_second_service_records_and_recalls_through_the_first(start) -> None:
    first = start()
    assert first.wait_indexed(60)
    second = start()
    assert second.wait_indexed(60)
    for index in range(50):
        events = episode_events(f"c{index}", text=f"json.loads({index})", prefix=PREFIX)
        (first, second)[index % 2].record(events)
    for service in (first, second):
        service._indexer.request("tick")
        assert service.wait_indexed(60)
    assert [r.record for r in ask(second)] == [r.record for r in ask(first)]
    said = second.status()["recall"]
    assert (said["available"], said["records"]) == (True, 50)
    assert "another server" in said["through"]
    assert second.rebuild() == 0
    first.close()
    assert ask(second) == ()
    second._indexer.request("tick")
    assert second.wait_indexed(60)
    assert len(ask(second)) == 5
    assert second.status()["recall"]["through"] == ""


def test_a_second_service_says_that_recall_is_off_when_nobody_answers(start, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("falcon_lsp.memory.recall.PeerServer", refuse)
    first = start()
    assert first.wait_indexed(60)
    second = start()
    assert second.wait_indexed(60)
    assert ask(second) == ()
    assert "recall is off: another server" in second.status()["recall"]["reason"]
    assert second.counters["recall_off"] == 1


def fill(service: MemoryService, count: int) -> None:
    for index in range(count):
        service.record(
            episode_events(
                f"c{index}",
                text=f"canary{index}canary = compute_{index * 7919 % 101}()",
                prefix=f"def step_{index * 31 % 97}(value_{index % 13}):\n    ",
                path=f"canary{index}canary.py",
            )
        )
    assert service.wait_indexed(120)


def files_with(text: bytes, store: Store) -> list[str]:
    files = [file for file in store.data.rglob("*") if file.is_file()]
    return [str(file.relative_to(store.data)) for file in files if text in file.read_bytes()]


def answers(service: MemoryService) -> list[list[str]]:
    questions = [f"def step_{n}(value_{n % 13}):\n    " for n in range(0, 97, 8)]
    return [[r.record.completion_id for r in ask(service, text=q)][:1] for q in questions]


def test_a_deleted_index_is_rebuilt_with_the_same_ids_and_first_results(
    start, store: Store
) -> None:
    service = start()
    fill(service, 300)
    before = (service._long_term.ids(), answers(service))
    assert len(before[0]) == 300
    service.close()
    shutil.rmtree(store.chroma)
    again = start()
    assert again.wait_indexed(120)
    assert (again._long_term.ids(), answers(again)) == before


def test_a_rebuild_on_request_counts_what_it_indexed(start) -> None:
    service = start()
    fill(service, 20)
    first = service._long_term.generation
    assert service.rebuild() == 20
    assert service._long_term.generation != first


def test_forgetting_leaves_no_byte_in_ledger_and_index(start, store: Store) -> None:
    service = start()
    fill(service, 30)
    assert service.forget(path="canary7canary.py") == ["c7"]
    assert service.wait_indexed(120)
    assert service._long_term.ids() == {f"c{i}" for i in range(30)} - {"c7"}
    for state in ("open", "closed"):
        assert files_with(b"canary7canary", store) == [], state
        assert files_with(b"canary8canary", store) != [], state
        service.close()


def test_what_another_process_forgets_leaves_the_owners_index(start, store: Store) -> None:
    owner = start()
    fill(owner, 10)
    other = start()
    assert other.forget(completion_ids=["c3"]) == ["c3"]
    owner._indexer.request("tick")
    assert owner.wait_indexed(60)
    assert owner._long_term.ids() == {f"c{i}" for i in range(10)} - {"c3"}
    assert files_with(b"canary3canary", store) == []


def test_importing_the_service_loads_neither_chroma_nor_torch() -> None:
    script = (
        "import sys, falcon_lsp.memory.service; "
        "print([m for m in ('chromadb', 'torch', 'transformers', 'peft') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_status_is_plain_json_and_names_no_source_text(start) -> None:
    import json

    service = start()
    fill(service, 3)
    assert "canary" not in json.dumps(service.status())
