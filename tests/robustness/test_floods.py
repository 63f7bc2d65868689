"""A flood of feedback from one file buys no more than a person's day of it."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.events import Event, outcome
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.memory.ledger_sources import MOST_PER_DAY, SURPLUS
from falcon_lsp.memory.service import MemoryService
from memory_samples import WORKSPACE, episode_events, place

FLOOD = 10_000
NOON = 1_800_000_000.0 // 86_400 * 86_400 + 43_200


def accepted(number: int, path: str, when: float = NOON) -> list[Event]:
    """Return a suggestion and that it was taken."""
    events = episode_events(
        f"{path}-{number}", path=path, time=when, text=f"flooded_{number}(value)",
        prefix=f"def step_{number}(value):\n    return ",
    )  # fmt: skip
    return events[:2]


def test_ten_thousand_accepts_from_one_file_do_not_crowd_out_the_others(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        for start in range(0, FLOOD, 1000):
            ledger.append([e for n in range(start, start + 1000) for e in accepted(n, "flood.py")])
        ledger.append([e for n in range(20) for e in accepted(n, "other.py")])
        assert ledger.counts()["suggestions"] == FLOOD + 20, "all is recorded"
        jobs = ledger.lease("trainer", FLOOD, 60.0)
        of_file = Counter(job.completion_id.partition("-")[0] for job in jobs)
        assert of_file == {"flood.py": MOST_PER_DAY, "other.py": 20}
        ledger.append([e for n in range(5) for e in accepted(FLOOD + n, "flood.py", NOON + 86_400)])
        assert ledger.counts()["waiting"] == 5, "another day, another allowance"


def test_taking_the_surplus_back_does_not_bring_it_in(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        ledger.append([e for n in range(MOST_PER_DAY + 1) for e in accepted(n, "flood.py")])
        last = f"flood.py-{MOST_PER_DAY}"
        undone = outcome(
            place(last, path="flood.py"), Outcome.UNDONE, chars_kept=0, elapsed_ms=1.0,
            inferred=True,
        )  # fmt: skip
        ledger.append([replace(undone, time=NOON)])
        assert ledger.pending(NOON) == MOST_PER_DAY
        assert last not in {job.completion_id for job in ledger.lease("t", FLOOD, 60.0)}


def test_forgetting_leaves_no_count_of_a_file(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        ledger.append(accepted(0, "flood.py"))
        assert b"source:" in ledger.path.with_name("ledger.sqlite3-wal").read_bytes()
        ledger.forget(path="flood.py")
        assert SURPLUS not in str(ledger.counts())
    assert b"source:" not in ledger.path.read_bytes()


def test_old_counts_go(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        for day in range(100):
            ledger.append(accepted(day, "daily.py", NOON + 86_400 * day))
        ledger.scrub()
        kept = ledger._db.execute("SELECT count(*) FROM numbers WHERE name GLOB 'source:*'")
        assert 30 <= kept.fetchone()[0] <= 32


def test_memory_still_recalls_what_another_file_taught(tmp_path: Path) -> None:
    store = Store(tmp_path / "data", tmp_path / "cache")
    with closing(MemoryService(store, Config().memory)) as memory:
        assert memory.open()
        own = episode_events(
            "cmp-own", path="shop.py", text="sum(each.price for each in basket)",
            prefix="def total_of_basket(basket):\n    return ",
        )  # fmt: skip
        memory.record(own)
        for start in range(0, FLOOD // 5, 500):
            flood = [e for n in range(start, start + 500) for e in accepted(n, "flood.py")]
            memory.record(flood)
        assert memory.wait_indexed(120)
        asked = "def total_of_basket(basket):\n    return "
        (first, *_) = memory.recall_records(asked, WORKSPACE, "python", 4, 10_000)
        assert first.record.completion_id == "cmp-own"
