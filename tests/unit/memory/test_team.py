"""Long-term memory on a real Chroma server: members share it, and its absence is no error."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from falcon_lsp.config import MemoryOptions, options
from falcon_lsp.core.paths import Store
from falcon_lsp.memory import team
from falcon_lsp.memory.embedder import HashedNgramEmbedder
from falcon_lsp.memory.long_term import NotOpen
from falcon_lsp.memory.records import Record
from falcon_lsp.memory.service import MemoryService
from falcon_lsp.memory.team import TeamMemory, project_of
from memory_samples import episode_events

PREFIX = "def total(items):\n    "
RECORD = Record(
    "c1", "success", "file:///w", "python", "src/naïve.py", 1000.5, PREFIX, "return sum(items)",
    None, "accepted", 17, "a-1",
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A `chroma run` process on loopback."""
    port = free_port()
    command = Path(sys.executable).with_name("chroma")
    folder = tmp_path_factory.mktemp("server")
    arguments = ["run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [str(command), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not answers(port):
            assert process.poll() is None, "chroma run ended"
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        time.sleep(0.05)  # another process: there is nothing to wait for but its port
        return False
    return True


@pytest.fixture
def join(url: str, request):
    """Return memories of members of one team; each test has a team of its own."""
    embedder = HashedNgramEmbedder(64)
    embedder.id += request.node.name
    joined: list[TeamMemory] = []

    def make(most: int = 1000) -> TeamMemory:
        memory = TeamMemory(url, embedder, most)
        joined.append(memory)
        assert memory.open(0), memory.reason
        return memory

    yield make
    for memory in joined:
        memory.close()


def ask(memory: TeamMemory, workspace: str = "file:///w") -> list[str]:
    return [r.record.completion_id for r in memory.query(PREFIX, workspace, "python", 5)]


def test_one_member_finds_what_another_one_kept(join, monkeypatch) -> None:
    first, second = join(), join()
    first.upsert([RECORD, replace(RECORD, completion_id="f", suggested="x", outcome="failure")])
    monkeypatch.setattr(team, "RETRY_SECONDS", 0.0)
    second._next = 0.0
    assert second.open(0)
    (success, failure) = second.query(PREFIX, "file:///w", "python", 5)
    assert {success.record.outcome, failure.record.outcome} == {"success", "failure"}
    assert RECORD in (success.record, failure.record)
    assert second.count() == 2
    assert ask(second, "file:///other") == []


def test_what_is_erased_or_evicted_is_gone_for_all(join) -> None:
    first = join(most=100)
    many = [
        replace(RECORD, completion_id=f"c{n}", suggested=f"f{n}(x)", time=float(n))
        for n in range(101)
    ]
    first.upsert(many)
    assert first.evict() == 6
    assert first.erase({"c100", "unknown"}) == 1
    second = join()
    assert second._index.ids() == set() != first._index.ids()
    assert "c100" not in ask(second)
    assert second.count() == 94


def test_the_service_indexes_recalls_and_forgets_on_the_server(url: str, tmp_path: Path) -> None:
    workspace = tmp_path.as_uri()
    service = MemoryService(Store(tmp_path / "data", tmp_path), MemoryOptions(), server=f"{url}/")
    service.open()
    for n in range(3):
        service.record(episode_events(f"s{n}", text=f"f{n}(x)", prefix=PREFIX, workspace=workspace))
    assert service.wait_indexed(60)

    def found() -> set[str]:
        answer = service.recall_records(PREFIX, workspace, "python", 5, 10_000)
        return {r.record.completion_id for r in answer}

    assert found() == {"s0", "s1", "s2"}
    assert service.status()["recall"]["server"] == url.removeprefix("http://")
    assert not (tmp_path / "data" / "chroma").exists()
    service.forget(completion_ids=["s1"])
    assert service.wait_indexed(60)
    assert found() == {"s0", "s2"}
    service.close()


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:{port}", "ftp://127.0.0.1", "nonsense", "//"]
)
def test_no_server_means_no_memory_and_no_error(address: str, tmp_path: Path) -> None:
    where = address.format(port=free_port())
    service = MemoryService(Store(tmp_path, tmp_path), MemoryOptions(), server=where)
    assert service.open()
    assert service.record(episode_events("c1", prefix=PREFIX))
    assert service.wait_indexed(60)
    assert service.recall(PREFIX, "file:///workspace", "python", 5, 1000) == ()
    recall = service.status()["recall"]
    assert (recall["available"], recall["records"]) == (False, 0)
    assert "the Chroma server at" in recall["reason"]
    service.close()


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(team, "_ANSWER_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        memory = TeamMemory(f"http://127.0.0.1:{port}", HashedNgramEmbedder(64), 100)
        assert memory.open(0) is False
    with pytest.raises(NotOpen):
        memory.upsert([RECORD])


def test_an_answer_that_fails_disconnects(join, monkeypatch) -> None:
    memory = join()
    monkeypatch.setattr(memory._index, "query", lambda *_: (_ for _ in ()).throw(OSError))
    with pytest.raises(OSError):  # noqa: PT011 - whatever the client raises
        ask(memory)
    assert (memory.available, memory.open(0)) == (False, False)
    assert ask(memory) == []


@pytest.mark.parametrize(
    "remote",
    [
        "https://user:secret@Git.example.org:8443/group/tool.git",
        "git@git.example.org:group/tool.git",
        "ssh://git@git.example.org/group/tool/",
    ],
)
def test_a_workspace_is_known_by_its_remote(tmp_path: Path, remote: str) -> None:
    folder = tmp_path / "with space"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_text(
        f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {remote}\n\tfetch = +a\n\tfetch = +b\n'
    )
    assert project_of(folder.as_uri()) == "git:git.example.org/group/tool"


def test_a_workspace_without_a_remote_is_known_by_its_folder(tmp_path: Path) -> None:
    assert project_of(tmp_path.as_uri()) == tmp_path.as_uri()
    assert project_of("untitled:x") == "untitled:x"


def test_no_workspace_can_set_the_server() -> None:
    (option,) = [leaf for leaf in options() if leaf.key == "memoryServer"]
    assert option.scope == "machine"
    assert "sent there" in option.doc


def test_what_lies_in_no_folder_belongs_to_no_project_least_of_all_the_server_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    config = '[remote "origin"]\n\turl = https://git.example.org/own.git\n'
    (tmp_path / ".git" / "config").write_text(config, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    project_of.cache_clear()
    assert project_of("") == ""
