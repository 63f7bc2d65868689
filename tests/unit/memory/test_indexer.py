"""Only what is clean and final is indexed, each event once is enough, and twice does no harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from falcon_lsp.core.types import Outcome
from falcon_lsp.memory import events as ev
from falcon_lsp.memory.embedder import HashedNgramEmbedder
from falcon_lsp.memory.episodes import fold
from falcon_lsp.memory.gate import record_of, refusal
from falcon_lsp.memory.indexer import Indexer
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.memory.long_term import LongTermMemory
from memory_samples import episode_events, place


@pytest.mark.parametrize(
    ("what", "text", "kept", "expected"),
    [
        (Outcome.ACCEPTED, "return total", 12, "success"),
        (Outcome.TYPED_THROUGH, "return total", 6, "success"),
        (Outcome.PARTIAL, "return total", 5, None),
        (Outcome.REJECTED, "return total", 0, "failure"),
        (Outcome.UNDONE, "return total", 0, "failure"),
        (Outcome.IGNORED, "return total", 0, None),
        (Outcome.SHOWN, "return total", 0, None),
        (Outcome.SUPERSEDED, "return total", 12, None),
        (Outcome.ACCEPTED, " )\n ) ", 6, None),
        (Outcome.ACCEPTED, "x" * 2001, 2001, None),
        (Outcome.ACCEPTED, "k = '<redacted:github>'", 23, None),
    ],
)
def test_a_write_is_gated(what: Outcome, text: str, kept: int, expected: str | None) -> None:
    episode = fold(episode_events("c1", what=what, text=text, kept=kept))
    assert episode is not None
    assert (None if refusal(episode) else record_of(episode).outcome) == expected


@pytest.mark.parametrize("field", ["prefix", "settled", "path"])
def test_an_episode_that_a_secret_was_taken_out_of_is_left_out(field: str) -> None:
    episode = fold(episode_events("c1", **{field: "a<redacted:npm>b"}))
    assert episode is not None
    assert refusal(episode) == "held a secret"


def test_what_was_taken_and_deleted_again_is_no_success() -> None:
    assert refusal(fold(episode_events("c1", settled=" \n"))) == "nothing of it is left"


def test_a_record_is_bounded_and_says_what_was_found() -> None:
    record = record_of(fold(episode_events("c1", prefix="z" * 9000 + "end")))
    assert len(record.context) == 600
    assert record.context.endswith("end")
    assert record.diagnostics == "F821:2"


class Recorder(LongTermMemory):
    """The real index, with a note of every write and a fault on demand."""

    def __init__(self, folder: Path, most: int = 1000) -> None:
        super().__init__(folder / "chroma", HashedNgramEmbedder(64), folder / "lock", most)
        self.batches: list[list[str]] = []
        self.fault: BaseException | None = None

    def upsert(self, records) -> None:
        self.batches.append([record.completion_id for record in records])
        if self.fault is not None:
            raise self.fault
        super().upsert(records)


@pytest.fixture
def ledger(tmp_path: Path):
    opened = Ledger(tmp_path / "ledger.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def memory(tmp_path: Path):
    recorder = Recorder(tmp_path)
    yield recorder
    recorder.close()


def test_it_reads_in_batches_behind_its_cursor(ledger: Ledger, memory: Recorder) -> None:
    for index in range(10):
        ledger.append(episode_events(f"c{index}"))
    indexer = Indexer(ledger, memory, batch=16)
    indexer.run("test")
    assert [len(batch) for batch in memory.batches] == [4, 4, 2]
    indexer.run("again")
    assert len(memory.batches) == 3
    ledger.append(episode_events("c10"))
    indexer.run("more")
    assert memory.batches[3:] == [["c10"]]


def test_refusals_are_counted_by_reason(ledger: Ledger, memory: Recorder) -> None:
    ledger.append(episode_events("c1", what=Outcome.IGNORED, kept=0))
    ledger.append(episode_events("c2", kept=1))
    indexer = Indexer(ledger, memory)
    indexer.run("test")
    assert dict(indexer.refused) == {"no opinion": 1, "too little was kept": 1}
    assert memory.ids() == set()


def test_a_crash_before_the_cursor_moves_repeats_harmlessly(
    ledger: Ledger, memory: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(episode_events("c1"))
    indexer = Indexer(ledger, memory)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "set_cursor", lambda *_: (_ for _ in ()).throw(RuntimeError))
        indexer.run("crashes")
    indexer.run("again")
    assert memory.batches == [["c1"], ["c1"]]
    assert memory.ids() == {"c1"}


def test_an_undo_turns_a_success_into_a_failure_and_doubt_removes_it(
    ledger: Ledger, memory: Recorder
) -> None:
    ledger.append([*episode_events("c1"), *episode_events("c2", text="return other")])
    indexer = Indexer(ledger, memory)
    indexer.run("test")
    undone = ev.outcome(place("c1"), Outcome.UNDONE, chars_kept=0, elapsed_ms=1.0, inferred=True)
    partial = ev.outcome(place("c2"), Outcome.PARTIAL, chars_kept=1, elapsed_ms=1.0, inferred=False)
    ledger.append([undone, partial])
    indexer.run("test")
    (found,) = memory.query("def total", "file:///workspace", "python", 5)
    assert (found.record.completion_id, found.record.outcome) == ("c1", "failure")


def test_a_failing_index_is_opened_again_and_given_up_after_three_failures(
    ledger: Ledger, memory: Recorder
) -> None:
    ledger.append(episode_events("c1"))
    indexer = Indexer(ledger, memory)
    memory.fault = RuntimeError("broken")
    indexer.run("1")
    first = memory.generation
    assert "RuntimeError" in memory.reason
    indexer.run("2")
    assert memory.generation == first
    indexer.run("3")
    memory.fault = None
    indexer.run("4")
    assert memory.generation != first
    assert memory.ids() == {"c1"}


def test_more_than_the_most_records_are_evicted_by_age(ledger: Ledger, tmp_path: Path) -> None:
    memory = Recorder(tmp_path, most=10)
    for index in range(12):
        ledger.append(episode_events(f"c{index}", text=f"return {index}", time=1000.0 + index))
    Indexer(ledger, memory).run("test")
    assert memory.ids() == {f"c{index}" for index in range(3, 12)}
    memory.close()


def test_closing_stops_it(ledger: Ledger, memory: Recorder) -> None:
    indexer = Indexer(ledger, memory)
    indexer.close()
    ledger.append(episode_events("c1"))
    indexer.request("late")
    indexer.run("late")
    assert memory.batches == []
