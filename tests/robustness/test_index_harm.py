"""The index harmed, deleted, fought over and told to forget: nothing is lost, nothing stays."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from byte_scan import holding
from falcon_lsp.config import MemoryOptions
from falcon_lsp.core.paths import Store
from falcon_lsp.memory import collections_index
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.memory.long_term import LongTermMemory
from falcon_lsp.memory.service import MemoryService
from memory_samples import episode_events

WAYS = ("flip", "cut", "zero", "noise")
CASES = 48
RECORDS = 250
PROBES = range(0, RECORDS, 10)
UNLINKED = 3
"""So many records of a graph may have no link to them: about 1 in 1,000 has none, in clusters."""
WORKSPACE = "file:///workspace"


def prefix(number: int) -> str:
    return f"def step_{number * 31 % 997}(value_{number % 13}):\n    "


def fill(folder: Path, episodes: int, first: int = 0) -> None:
    """Record them behind the index's back, as if it had been off."""
    with contextlib.closing(Ledger(folder / "ledger.sqlite3")) as ledger:
        for start in range(first, first + episodes, 250):
            batch = range(start, min(start + 250, first + episodes))
            ledger.append([e for n in batch for e in events(n)])


def events(number: int) -> list:
    text = f"canary{number}canary = compute_{number}()"
    path = f"canary{number}canary.py"
    return episode_events(f"c{number}", text=text, prefix=prefix(number), path=path, time=number)


@contextlib.contextmanager
def service_on(folder: Path) -> Iterator[MemoryService]:
    with contextlib.closing(MemoryService(Store(folder, folder), MemoryOptions())) as service:
        service.open()
        assert service.wait_indexed(300)
        yield service


def ask(service: MemoryService, number: int) -> list[str]:
    found = service.recall_records(prefix(number), WORKSPACE, "python", 3, 60_000)
    return [each.record.completion_id for each in found]


def harm(file: Path, way: str, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    at = chance.randrange(len(content))
    if way == "flip":
        for _ in range(8):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif way == "cut":
        del content[at:]
    elif way == "zero":
        content[at : at + 6000] = bytes(len(content[at : at + 6000]))
    else:
        content[at : at + 3000] = chance.randbytes(len(content[at : at + 3000]))
    file.write_bytes(content)


READER = textwrap.dedent("""
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from test_index_harm import PROBES, UNLINKED, ask, service_on

    for folder in sys.argv[2:]:
        with service_on(Path(folder)) as service:
            for number in PROBES[::5]:
                ask(service, number)
                service._request("tick")
                assert service.wait_indexed(300)
            lost = [number for number in PROBES if ask(service, number)[0] != f"c{number}"]
            print(service.status()["recall"]["records"], len(lost) <= UNLINKED, flush=True)
""")


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """A store whose graph Chroma has written to disk: it does so after 1,000 changes otherwise."""
    folder = tmp_path_factory.mktemp("filled")
    fill(folder, RECORDS)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setitem(collections_index._GRAPH, "sync_threshold", 100)
        service = stack.enter_context(service_on(folder))
        assert service.status()["recall"]["records"] == RECORDS
    return folder


@pytest.mark.slow
def test_damage_crashes_nothing_and_the_ledger_makes_it_good(filled: Path, tmp_path: Path) -> None:
    """In one process, so that a crash would show; graphs, SQLite, seal and manifest in turn."""
    kept = [file.relative_to(filled) for file in filled.rglob("*") if file.is_file()]
    targets = sorted(file for file in kept if file.parts[0] == "chroma")
    assert {"data_level0.bin", "chroma.sqlite3", "seal.json"} <= {file.name for file in targets}
    folders = []
    for case in range(CASES):
        folder = tmp_path / f"case{case}"
        shutil.copytree(filled, folder)
        target = folder / targets[case % len(targets)]
        if target.stat().st_size:
            harm(target, WAYS[case // len(targets) % len(WAYS)], random.Random(case))
        folders.append(str(folder))
    done = subprocess.run(
        [sys.executable, "-c", READER, str(Path(__file__).parent), *folders],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == [str(RECORDS), "True"] * CASES


def test_a_deleted_folder_is_filled_again_with_the_same_ids_and_first_results(
    tmp_path: Path,
) -> None:
    """Of 10,000 events: 2,500 episodes of four."""
    fill(tmp_path, 2500)
    known = []
    for _ in range(2):
        with service_on(tmp_path) as service:
            assert isinstance(service._long_term, LongTermMemory)
            first = [ask(service, number)[0] for number in range(0, 2500, 25)]
            known.append((service._long_term.ids(), first))
        shutil.rmtree(tmp_path / "chroma")
    (ids, first), (ids_again, first_again) = known
    assert ids == ids_again
    assert len(ids) == 2500
    assert sum(a != b for a, b in zip(first, first_again, strict=True)) <= UNLINKED


def test_what_is_forgotten_leaves_no_byte_in_any_file(filled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(filled, folder)

    assert holding([folder], "canary77canary")
    with service_on(folder) as service:
        ask(service, 77)
        assert service.forget(path="canary77canary.py") == ["c77"]
        assert service.wait_indexed(300)
        assert service.status()["recall"]["records"] == RECORDS - 1
        assert holding([folder], "canary77canary") == []
        assert holding([folder], "canary78canary")
    assert holding([folder], "canary77canary") == []


WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from test_index_harm import ask, events, service_on

    first = int(sys.argv[3])
    with service_on(Path(sys.argv[2])) as service:
        for number in range(first, first + 250):
            assert service.record(events(number))
        print("done", flush=True)
        for line in sys.stdin:
            service._request("asked")
            assert service.wait_indexed(300)
            said = service.status()["recall"]
            owner = said["available"] and not said["through"]
            print(owner, said["available"], said["records"], ask(service, first)[:1], flush=True)
""")


@pytest.mark.parametrize("servers", [2, 4])
def test_servers_on_one_store_lose_nothing_and_the_index_passes_on(
    tmp_path: Path, servers: int
) -> None:
    """1,000 events each; one owns the index, all recall, the next owns it 5 s after a kill."""
    everything = servers * 250
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(writer(tmp_path, number)) for number in range(servers)]
        for process in started:
            assert process.stdout.readline() == "done\n"
        said = [tell(process) for process in started]
        (owner,) = [p for p, answer in zip(started, said, strict=True) if answer[0] == "True"]
        said = [tell(process, everything) for process in (owner, *started)][1:]
        assert [answer[1:3] for answer in said] == [["True", str(everything)]] * servers
        assert [answer[3] for answer in said] == [f"['c{n * 250}']" for n in range(servers)]

        owner.kill()
        killed = time.monotonic()
        left = [process for process in started if process is not owner]
        while not any(tell(process)[0] == "True" for process in left):
            assert time.monotonic() - killed < 5
        assert [tell(process, everything)[2] for process in left] == [str(everything)] * len(left)
    with contextlib.closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        assert ledger.counts()["events"] == everything * 4


@contextlib.contextmanager
def writer(folder: Path, number: int) -> Iterator[subprocess.Popen]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(Path(__file__).parent), str(folder), str(number * 250)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        yield process
        process.stdin.close()


def tell(process: subprocess.Popen, records: int = 0) -> list[str]:
    """Return ``owner available records first``, asked again until it knows of ``records``."""
    while True:
        process.stdin.write("\n")
        process.stdin.flush()
        answer = process.stdout.readline().split()
        if int(answer[2]) >= records:
            return answer
