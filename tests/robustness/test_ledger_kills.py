"""What the ledger acknowledged survives kills, failing writes and damaged files."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from falcon_lsp.memory.ledger import Ledger, LedgerUnavailable
from memory_samples import episode_events, suggested_event

TESTS = Path(__file__).parents[1]

WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from memory_samples import episode_events
    from falcon_lsp.memory.ledger import Ledger

    ledger = Ledger(Path(sys.argv[1]))
    for number in range(int(sys.argv[3])):
        ledger.append(episode_events(
            f"{sys.argv[2]}-{number}", prefix="x = 1\\n" * 400, path=f"src/{number % 50}.py"))
        print(number, flush=True)
""")


def write_in_another_process(path: Path, run: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), run, str(count)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_thirty_kills_lose_no_acknowledged_event_and_repeat_none(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    acknowledged: list[str] = []
    chance = random.Random(7)
    for run in range(30):
        process = write_in_another_process(path, str(run), 10_000)
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(chance.randrange(1, 25))]
        acknowledged += [f"{run}-{line}" for line in lines]
        process.kill()
        acknowledged += [f"{run}-{line}" for line in process.stdout.read().split()]
        process.wait()
    ledger = Ledger(path)
    assert ledger.salvage is None
    found = [event for _, event in ledger.events(limit=1_000_000)]
    ids = [event.event_id for event in found if event.kind == "suggested"]
    assert len(ids) == len(set(ids))
    assert set(acknowledged) <= {event.completion_id for event in found}
    for completion_id in acknowledged:
        episode = ledger.episode(completion_id)
        assert episode is not None
        assert episode.settled_text == "return total"
    assert ledger.pending() == len(ids), "events and their jobs were written together"
    ledger.close()


def test_two_processes_write_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    writers = [write_in_another_process(path, name, 250) for name in ("a", "b")]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    ledger = Ledger(path)
    assert ledger.counts()["events"] == 2 * 250 * 4
    assert ledger.pending() == 500
    ledger.close()


def whole_or_absent(ledger: Ledger, completion_id: str) -> int:
    """How many of the four events of an episode are there; its job must agree."""
    found = [e for _, e in ledger.events() if e.completion_id == completion_id]
    assert len(found) in {0, 4}
    return len(found)


def test_an_append_that_breaks_off_anywhere_leaves_nothing_half_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    ledger.append(episode_events("before"))
    events, failures = episode_events("c1"), 0
    while True:
        left = failures

        def fail() -> int:
            nonlocal left
            left -= 1
            return left < 0

        ledger._db.set_progress_handler(fail, 1)
        try:
            ledger.append(events)
        except LedgerUnavailable:
            pass
        else:
            break
        finally:
            ledger._db.set_progress_handler(None, 1)
        failures += 1
        written = whole_or_absent(ledger, "c1") == 4  # cut off behind the commit
        assert ledger.pending() == 1 + written
    assert failures > 50
    assert whole_or_absent(ledger, "c1") == 4
    assert ledger.pending() == 2
    ledger.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes to run into")
def test_a_full_disk_is_one_clear_error_until_there_is_room_again(tmp_path: Path) -> None:
    """A limit on file size makes the Nth write fail, partly written, for growing N."""
    import resource

    ledger = Ledger(tmp_path / "ledger.sqlite3")
    ledger.append(episode_events("before"))
    log = tmp_path / "ledger.sqlite3-wal"
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    events = episode_events("c1", prefix="y = 2\n" * 3000)
    start, failures, messages = log.stat().st_size, 0, set[str]()
    while True:
        resource.setrlimit(resource.RLIMIT_FSIZE, (start + failures * 1500, hard))
        try:
            ledger.append(events)
        except LedgerUnavailable as error:
            messages.add(str(error))
        else:
            break
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
        failures += 1
        assert whole_or_absent(ledger, "c1") == 0
    assert failures > 5
    assert all(message.startswith(f"{ledger.path}: ") for message in messages)
    ledger.close()
    again = Ledger(ledger.path)
    assert again.salvage is None
    assert whole_or_absent(again, "c1") == 4
    assert whole_or_absent(again, "before") == 4
    again.close()


# --------------------------------------------------------------------- damage


def filled(path: Path, *, log: bool) -> dict[str, str]:
    """Write forty episodes; with ``log`` they stay in the write-ahead log, as after a kill."""
    if log:
        process = write_in_another_process(path, "w", 40)
        assert process.stdout is not None
        for _ in range(40):
            process.stdout.readline()
        process.kill()
        process.wait()
    ledger = Ledger(path)
    if not log:
        for number in range(40):
            ledger.append(episode_events(f"w-{number}", prefix="x = 1\n" * 400))
        ledger.lease("worker", 10, 60)
        ledger.ack("worker", {f"w-{number}": "trained:a1" for number in range(10)})
    texts = {e.event_id: str(e.payload) for _, e in ledger.events(limit=1000)}
    ledger.close()
    return texts


def damage(file: Path, way: str, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    at = chance.randrange(len(content))
    if way == "flip":
        for _ in range(8):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif way == "zero":
        content[at : at + 6000] = bytes(len(content[at : at + 6000]))
    elif way == "cut":
        del content[at:]
    elif way == "noise":
        content[at : at + 3000] = chance.randbytes(len(content[at : at + 3000]))
    else:
        content[:4096] = chance.randbytes(4096)
    file.write_bytes(content)


@pytest.mark.parametrize("way", ["flip", "zero", "cut", "noise", "header"])
def test_ten_damaged_ledgers_are_set_aside_and_salvaged(tmp_path: Path, way: str) -> None:
    original = tmp_path / "original" / "ledger.sqlite3"
    truth = filled(original, log=False)
    content = original.read_bytes()
    salvaged = 0
    for case in range(10):
        path = tmp_path / str(case) / "ledger.sqlite3"
        path.parent.mkdir()
        path.write_bytes(content)
        damage(path, way, random.Random(f"{way}{case}"))
        ledger = Ledger(path)
        found = {e.event_id: str(e.payload) for _, e in ledger.events(limit=1000)}
        assert found.items() <= truth.items(), "what is read is what was written"
        if ledger.salvage is not None:
            salvaged += 1
            assert ledger.salvage.damaged.is_file()
            assert ledger.salvage.kept == len(found)
        else:
            assert len(found) + ledger.unreadable == len(truth)
        assert ledger.append([suggested_event("after")]) == 1
        assert ledger.counts()["waiting"] + ledger.counts()["done"] <= 40
        ledger.close()
        assert Ledger(path).salvage is None, "repaired once, and for good"
    assert salvaged > 0


def test_a_destroyed_header_loses_no_event_and_no_result(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    truth = filled(path, log=False)
    damage(path, "header", random.Random(1))
    ledger = Ledger(path)
    assert {e.event_id for _, e in ledger.events(limit=1000)} == set(truth)
    assert ledger.salvage is not None
    assert (ledger.salvage.kept, ledger.salvage.lost) == (len(truth), 0)
    assert (ledger.counts()["done"], ledger.counts()["waiting"]) == (10, 30)
    ledger.close()


def test_a_log_that_breaks_off_in_the_middle_is_noticed_and_salvaged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    process = write_in_another_process(path, "w", 40)
    assert process.stdout is not None
    for _ in range(40):
        process.stdout.readline()
    process.kill()
    process.wait()
    log = tmp_path / "ledger.sqlite3-wal"
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0x10
    log.write_bytes(content)
    ledger = Ledger(path)
    assert ledger.salvage is not None
    assert len({e.completion_id for _, e in ledger.events(limit=1000)}) >= 38
    ledger.close()


def test_what_was_forgotten_stays_forgotten_when_the_ledger_is_salvaged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger(path)
    ledger.append([*episode_events("c1", text="canary"), *episode_events("c2")])
    ledger.forget(completion_ids=["c1"])
    ledger.close()
    damage(path, "header", random.Random(1))
    again = Ledger(path)
    assert again.episode("c1") is None
    assert again.append(episode_events("c1")) == 0
    assert again.counts()["forgotten"] == 4
    again.close()


OPENER = """
import sys, time
from pathlib import Path
from falcon_lsp.memory.ledger import Ledger
print("up", flush=True)
sys.stdin.readline()
Ledger(Path(sys.argv[1])).close()
"""


@pytest.mark.parametrize("attempt", range(3))
def test_processes_that_create_the_ledger_at_once_all_get_it(tmp_path: Path, attempt: int) -> None:
    command = [sys.executable, "-c", OPENER, str(tmp_path / "ledger.sqlite3")]
    openers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(6)
    ]
    for opener in openers:
        assert opener.stdout is not None
        assert opener.stdout.readline().strip() == b"up"
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write(b"\n")
        opener.stdin.flush()
    for opener in openers:
        opener.communicate(timeout=60)
    assert [opener.returncode for opener in openers] == [0] * 6
