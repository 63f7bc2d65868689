"""Forgetting leaves no byte behind, in a running server's store too, wherever it is cut short."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import shutil
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from byte_scan import holding
from e2e.loop_helpers import falcon, offered, ready, running
from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store, locked
from falcon_lsp.learning.forgetting import is_due, trainer_lock, unlearn
from falcon_lsp.lsp.application import Application
from falcon_lsp.lsp.client import LspClient
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.memory.service import MemoryService
from falcon_lsp.model.adapters import AdapterRegistry
from memory_samples import episode_events
from unit.model.adapter_samples import publish

CANARY = "marmelade_größe_灯台"
"""Differs in UTF-8, UTF-16 and JSON, and is still an identifier."""

HEAD, TAIL = "def ", "(prices):\n    return sum(prices)\n\n\ndef average(prices):\n    return "


def canary(number: int) -> str:
    return f"{CANARY}_{number}"


def derive(store: Store, completion_id: str, text: str) -> list[str]:
    """Leave what a trainer, an engine and a replay would make of an episode; returns adapters."""
    registry = AdapterRegistry(store.adapters)
    parent, child = f"of-{completion_id[-8:]}", f"child-{completion_id[-8:]}"
    publish(registry, parent, completion_ids=(completion_id,))
    publish(registry, child, parent=parent)
    for name in (parent, child, "base"):
        file = store.quantised / f"0123-{name}-4567.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("base" if name == "base" else text)
    for folder in (store.cache / "replay" / "0a" / "learned", store.training / "log-x"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ledger.sqlite3").write_text(text)
    (store.adapters / ".tmp-unfinished").mkdir(exist_ok=True)
    (store.adapters / ".tmp-unfinished" / "adapter_model.safetensors").write_text(text)
    return [child, parent]


# ------------------------------------------------------------------ in a running server


async def judge(client: LspClient, folder: Path, number: int, outcome: str) -> tuple[str, str]:
    """Have a suggestion that quotes a canary judged; returns its id and the report's."""
    uri = (folder / f"file{number}.py").as_uri()
    text = HEAD + canary(number) + TAIL
    client.open(uri, "python", text)
    lines = text.split("\n")
    item = await offered(client, uri, (len(lines) - 1, len(lines[-1])))
    (completion_id,) = item["command"]["arguments"]
    said = {"completionId": completion_id, "outcome": outcome, "eventId": f"report-{number}"}
    assert await client.request("falcon/feedback", said) == {"recorded": True}
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    return completion_id, said["eventId"]


async def gone(store: Store, text: str) -> None:
    """Wait until the running server has let go as well: it looks once a second."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(holding, (store.data, store.cache), text):
            pass


async def test_every_way_to_forget_reaches_a_running_server(tmp_path: Path) -> None:
    store = Store(tmp_path / "data", tmp_path / "cache")
    here, there = tmp_path / "here", tmp_path / "there"
    async with running(tmp_path, here) as client:
        await ready(client)
        told = [await judge(client, here, number, "accepted") for number in range(3)]
        told.append(await judge(client, here, 3, "rejected"))
        told.append(await judge(client, there, 4, "accepted"))
        ways: list[tuple[int, tuple[str, ...]]] = [
            (0, ("--id", told[0][0])),
            (1, ("--event", told[1][1])),
            (2, ("--path", "file2.py")),
            (4, ("--workspace", there.as_uri())),
            (3, ("--day", dt.datetime.now().astimezone().date().isoformat())),
        ]
        for number, way in ways:
            text = canary(number)
            assert holding((store.data,), text), "or the test would show nothing"
            derived = derive(store, told[number][0], text)
            said: dict[str, Any] = await asyncio.to_thread(
                falcon, tmp_path, "memory", "forget", *way
            )
            assert said["forgotten"] == 1
            assert said["finished"]
            assert set(said["adapters_dropped"]) <= set(derived), "the server may drop them first"
            assert AdapterRegistry(store.adapters).names() == []
            await gone(store, text)
            left = await client.request("falcon/rejections", {})
            assert text not in str(left)
        assert [f.name for f in store.quantised.glob("*.safetensors")] == [
            "0123-base-4567.safetensors"
        ]
        assert AdapterRegistry(store.adapters).names() == []
    assert holding((store.data, store.cache), CANARY) == []


# ------------------------------------------------------------------- cut short anywhere

FORGETTER = textwrap.dedent("""
    import importlib, os, sys
    from falcon_lsp import cli

    module, _, path = sys.argv[1].partition(":")
    calls = int(sys.argv[2])
    owner = importlib.import_module(module)
    *inner, name = path.split(".")
    for part in inner:
        owner = getattr(owner, part)
    original = getattr(owner, name)

    def die(*args, **kwargs):
        global calls
        calls -= 1
        if calls < 0:
            os._exit(9)  # as a kill: nothing is flushed, nothing is closed
        return original(*args, **kwargs)

    setattr(owner, name, die)
    sys.exit(cli.main(["memory", "forget", "--path", "hidden.py", *sys.argv[3:]]))
""")

STEPS = {
    "before the file is scrubbed": ("falcon_lsp.memory.ledger_file:LedgerFile.scrub", 0),
    "before the index is discarded": ("falcon_lsp.memory.long_term:LongTermMemory.discard", 0),
    "before adapters are dropped": ("falcon_lsp.learning.forgetting:drop_adapters", 0),
    "between two adapters": ("falcon_lsp.model.adapters:AdapterRegistry._remove", 1),
    "before merged weights go": ("falcon_lsp.learning.forgetting:drop_merged", 0),
    "before copies go": ("falcon_lsp.learning.forgetting:_drop_copies", 0),
    "before the end is noted": ("falcon_lsp.memory.ledger:Ledger.set_cursor", 1),
}
"""Where a forgetting may be killed: a function, and how many of its calls still succeed."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a canary in ledger, index and all that is derived; one episode is innocent."""
    root = tmp_path_factory.mktemp("filled")
    store = Store(root / "data", root / "cache")
    with closing(MemoryService(store, Config().memory)) as memory:
        secret = episode_events("cmp-hidden", text=f"{CANARY} + 1", path="hidden.py")
        assert memory.open()
        assert memory.record([*secret, *episode_events("cmp-open", text="innocent + 1")])
        memory.wait_indexed()
        assert memory.status()["recall"]["records"] == 2
    derive(store, "cmp-hidden", CANARY)
    assert len(holding((store.data, store.cache), CANARY)) > 5
    return root


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_is_made_good_by_the_next_start(
    filled: Path, tmp_path: Path, step: str
) -> None:
    root = tmp_path / "store"
    shutil.copytree(filled, root)
    store = Store(root / "data", root / "cache")
    where, calls = STEPS[step]
    folders = ["--data-dir", str(store.data), "--cache-dir", str(store.cache)]
    done = subprocess.run(
        [sys.executable, "-c", FORGETTER, where, str(calls), *folders],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 9, done.stderr
    start_and_stop(store)
    assert holding((store.data, store.cache), CANARY) == []
    assert AdapterRegistry(store.adapters).names() == []
    with closing(Ledger(store.ledger)) as ledger:
        assert not is_due(ledger)
        assert [each.completion_id for each in ledger.episodes()] == ["cmp-open"]


def start_and_stop(store: Store) -> None:
    """Let a server's shared parts come up on ``store``, and go when they have caught up."""
    app = Application()
    config = Config(engine="fake", data_dir=str(store.data), cache_dir=str(store.cache))
    with closing(app):
        app.start(config, lambda _message, _share: None)
        app.flush()
        assert app.memory is not None
        assert app.memory.wait_indexed(60)


def test_a_trainer_at_work_keeps_nothing_that_was_forgotten(filled: Path, tmp_path: Path) -> None:
    """It holds its lock and publishes late: what it learned goes when it ends."""
    shutil.copytree(filled, tmp_path / "store")
    store = Store(tmp_path / "store" / "data", tmp_path / "store" / "cache")
    with closing(Ledger(store.ledger)) as ledger:
        with locked(trainer_lock(store)):
            assert ledger.forget(path="hidden.py") == ["cmp-hidden"]
            dropped, finished = unlearn(store, ledger)
            assert (len(dropped), finished) == (2, False)
            publish(AdapterRegistry(store.adapters), "late", parent="of-p-hidden")
        dropped, finished = unlearn(store, ledger)
        assert (list(dropped), finished) == (["late"], True)


def test_what_descends_through_pruned_versions_goes_as_well(tmp_path: Path) -> None:
    registry = AdapterRegistry(tmp_path)
    publish(registry, "first", completion_ids=("cmp-1",), created=1.0)
    publish(registry, "second", completion_ids=("cmp-2",), parent="first", created=2.0)
    publish(registry, "third", completion_ids=("cmp-3",), parent="second", created=3.0)
    publish(registry, "fourth", completion_ids=("cmp-4",), parent="third", created=4.0)
    assert registry.prune(1) == ["first", "second"]
    assert registry.drop_descendants({"cmp-9"}) == []
    assert sorted(registry.drop_descendants({"cmp-1"})) == ["fourth", "third"]
    assert registry.current() == "base"
    assert holding((tmp_path,), "cmp-2") == [], "nobody needs its descent any more"


def test_a_version_whose_descent_cannot_be_read_does_not_survive_a_forgetting(
    tmp_path: Path,
) -> None:
    registry = AdapterRegistry(tmp_path)
    publish(registry, "known", completion_ids=("cmp-1",))
    publish(registry, "broken")
    (tmp_path / "broken" / "manifest.json").write_text("{")
    assert registry.drop_descendants(()) == []
    assert registry.drop_descendants({"cmp-9"}) == ["broken"]
    assert registry.current() == "known"
