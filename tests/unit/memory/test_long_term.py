"""The index can be lost, damaged, taken over and outgrown without harm, and mixes nothing up."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from falcon_lsp.memory.embedder import HashedNgramEmbedder
from falcon_lsp.memory.long_term import LongTermMemory, NotOpen
from falcon_lsp.memory.records import Damaged, Record, worth

RECORD = Record(
    completion_id="c1",
    outcome="success",
    workspace="file:///w",
    language="python",
    path="src/naïve.py",
    time=1000.5,
    context="def total(items):\n    ",
    suggested="return sum(items)",
    settled="return sum(items) + 1",
    label="accepted",
    chars_kept=17,
    adapter_id="a-1",
    diagnostics="F821:3",
)


def record(completion_id: str, **changes: object) -> Record:
    """`RECORD` under another id, and with another text: those with one key displace each other."""
    fields = {"suggested": f"return {completion_id}(items)", **changes}
    return replace(RECORD, completion_id=completion_id, **fields)


@pytest.fixture
def make(tmp_path: Path):
    opened: list[LongTermMemory] = []

    def open_memory(*, epoch: int = 0, most: int = 1000, dimension: int = 64) -> LongTermMemory:
        embedder = HashedNgramEmbedder(dimension)
        memory = LongTermMemory(tmp_path / "chroma", embedder, tmp_path / "locks" / "index", most)
        opened.append(memory)
        memory.open(epoch)
        return memory

    yield open_memory
    for memory in opened:
        memory.close()


def ask(memory: LongTermMemory, text: str = RECORD.context, k: int = 5, **more) -> list[str]:
    found = memory.query(text, "file:///w", "python", k, **more)
    return [each.record.completion_id for each in found]


@pytest.mark.parametrize("settled", [None, "", RECORD.settled])
def test_a_record_comes_back_as_it_went_in(make, settled: str | None) -> None:
    memory = make()
    memory.upsert([record("c1", settled=settled)])
    (found,) = memory.query(RECORD.context, "file:///w", "python", 3)
    assert found.record == record("c1", settled=settled)
    assert found.score == pytest.approx(1.0, abs=1e-3)


def test_the_most_alike_come_first_and_at_most_k_of_each_outcome(make) -> None:
    memory = make(dimension=512)
    contexts = [f"def total_{'x' * n}(items, {'y' * n}):\n    " for n in (0, 2, 9)]
    memory.upsert([record(f"s{n}", context=text) for n, text in enumerate(contexts)])
    memory.upsert(
        [record(f"f{n}", context=text, outcome="failure") for n, text in enumerate(contexts)]
    )
    found = memory.query(contexts[0], "file:///w", "python", 2)
    assert {each.record.completion_id for each in found} == {"s0", "f0", "s1", "f1"}
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)


def test_a_record_that_changes_its_outcome_moves(make) -> None:
    memory = make()
    memory.upsert([record("c1")])
    memory.upsert([record("c1", outcome="failure", label="undone")])
    assert memory.count() == 1
    (found,) = memory.query(RECORD.context, "file:///w", "python", 3)
    assert found.record.label == "undone"


def test_excluded_and_deleted_records_do_not_come_back(make) -> None:
    memory = make()
    memory.upsert([record(f"c{n}") for n in range(4)])
    assert set(ask(memory, k=3, exclude=["c0"])) == {"c1", "c2", "c3"}
    memory.retract([record("c1"), record("unknown")])
    assert set(ask(memory, exclude=["c0"])) == {"c2", "c3"}


def test_only_one_owner_at_a_time_and_ownership_passes_on(make) -> None:
    first, second = make(), make()
    assert (first.available, second.available) == (True, False)
    assert "another server" in second.reason
    assert second.discard() is False
    first.upsert([record("c1")])
    first.close()
    assert second.open(0)
    assert second.ids() == {"c1"}


@pytest.mark.parametrize("change", [{"epoch": 1}, {"dimension": 128}])
def test_what_was_made_under_other_conditions_is_replaced(make, tmp_path, change: dict) -> None:
    first = make()
    first.upsert([record("c1")])
    first.close()
    second = make(**change)
    assert second.count() == 0
    folders = [entry.name for entry in (tmp_path / "chroma").iterdir() if entry.is_dir()]
    assert folders == [second.generation] != [first.generation]


def test_the_same_conditions_keep_the_generation(make) -> None:
    first = make()
    first.upsert([record("c1")])
    first.close()
    second = make()
    assert (second.generation, second.ids()) == (first.generation, {"c1"})


@pytest.mark.parametrize("manifest", [b"", b"[]", b"\xff", b'{"generation": "../../x"}'])
def test_a_manifest_that_makes_no_sense_begins_anew(make, tmp_path, manifest: bytes) -> None:
    make().close()
    (tmp_path / "chroma" / "current.json").write_bytes(manifest)
    again = make()
    assert again.available
    assert json.loads((tmp_path / "chroma" / "current.json").read_text())["epoch"] == 0


def test_a_folder_that_chroma_cannot_read_is_given_up(make, tmp_path) -> None:
    first = make()
    first.upsert([record("c1")])
    first.close()
    (tmp_path / "chroma" / first.generation / "chroma.sqlite3").write_bytes(b"not a database" * 999)
    second = make()
    assert (second.available, second.count()) == (True, 0)
    assert not (tmp_path / "chroma" / first.generation).exists()
    second.discard()
    assert [entry.name for entry in (tmp_path / "chroma").iterdir()] == []


def test_a_folder_that_vanishes_is_noticed_at_the_next_open(make, tmp_path) -> None:
    memory = make()
    memory.upsert([record("c1")])
    shutil.rmtree(tmp_path / "chroma")
    assert memory.open(0)
    assert memory.count() == 0
    memory.upsert([record("c2")])
    assert ask(memory) == ["c2"]


def test_what_is_not_open_refuses_changes(make) -> None:
    memory = make()
    memory.discard()
    with pytest.raises(NotOpen):
        memory.upsert([record("c1")])


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_the_latest_verdict_on_nearly_the_same_suggestion_stands(make, outcome: str) -> None:
    memory = make()
    memory.upsert([record("old", suggested="return  sum( items )", time=1.0)])
    memory.upsert([record("new", suggested="return sum(items)", time=3.0, outcome=outcome)])
    memory.upsert([record("late news of an old one", suggested="return sum(items)", time=2.0)])
    (found,) = memory.query(RECORD.context, "file:///w", "python", 5)
    assert (found.record.completion_id, found.record.outcome) == ("new", outcome)
    memory.retract([record("old", suggested="return sum(items)")])
    assert memory.count() == 1


def test_one_batch_or_many_come_to_the_same(make) -> None:
    records = [
        record(f"c{n}", suggested=f"f{n % 7}(x)", time=float(n * 31 % 20), outcome=_side(n // 3))
        for n in range(40)
    ]
    one, many = make(), []
    one.upsert(records)
    together = one.ids()
    one.discard()
    one.open(0)
    for each in reversed(records):
        one.upsert([each])
        many.append(one.count())
    assert one.ids() == together
    assert (len(together), many[-1]) == (7, 7)


@pytest.mark.parametrize("age_days", [0, 90, 180])
def test_worth_halves_with_age_and_doubles_with_what_was_kept(age_days: int) -> None:
    now = 1_800_000_000.0
    kept = 2 ** (age_days // 90) * 16 - 1
    assert worth(kept, now - age_days * 86_400) == pytest.approx(worth(15, now))


def test_the_least_worthy_records_are_evicted(make) -> None:
    memory = make(most=100)
    memory.upsert([record(f"c{n}", time=float(n), outcome=_side(n)) for n in range(99)])
    memory.upsert([record("long and old", chars_kept=500, time=0.0)])
    assert memory.evict() == 0
    memory.upsert([record("c99", time=99.0)])
    assert memory.evict() == 6
    assert memory.ids() == {"long and old", *(f"c{n}" for n in range(6, 100))}
    assert memory.count() == 95


def _side(number: int) -> str:
    return ("success", "failure")[number % 2]


@pytest.mark.parametrize("field", ["suggested", "path", "completion_id"])
def test_a_record_that_is_not_what_it_was_is_not_returned_and_the_index_begins_anew(
    make, field: str
) -> None:
    memory = make()
    memory.upsert([record("c1")])
    (collection,) = memory._index._known.values()
    (key,) = collection.get()["ids"]
    if field == "suggested":
        text = "def totax(items):\n    return c1(items)"
        vectors = memory.embedder.embed([text])
        collection.update(ids=[key], embeddings=vectors, documents=[text])
    else:
        collection.update(ids=[key], metadatas=[{field: "other"}])
    first = memory.generation
    with pytest.raises(Damaged):
        ask(memory)
    assert memory.query(RECORD.context, "file:///w", "python", 5) == []
    assert memory.open(0)
    assert (memory.generation != first, memory.count()) == (True, 0)


def test_a_graph_that_was_not_sealed_is_never_opened(make, tmp_path) -> None:
    first = make()
    first.upsert([record(f"c{n}") for n in range(3)])
    first.close()
    (graph,) = (tmp_path / "chroma").rglob("data_level0.bin")
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    again = make()
    assert (again.available, again.generation != first.generation, again.count()) == (True, True, 0)
