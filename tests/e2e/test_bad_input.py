"""Wrong settings, broken folders and odd documents: the server says what is off, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from loop_helpers import (
    COMMAND,
    SOURCE,
    VSCODE,
    document,
    falcon,
    offered,
    outcomes,
    ready,
    running,
)

from episodes_factory import episode, events_of
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import new_id
from falcon_lsp.lsp.client import LspClient, ResponseError
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import AdapterRegistry
from unit.model.adapter_samples import publish

MESSAGE = "window/showMessage"
PATIENCE = 15.0
"""Seconds until the server must have noticed something; it looks once a second."""


def told(client: LspClient) -> list[str]:
    return [params["message"] for name, params in client.notifications if name == MESSAGE]


async def says(client: LspClient, part: str) -> dict[str, Any]:
    """Wait for the message to the user with ``part``; the status must hold the same sentence."""
    wait = client.wait_for(MESSAGE, lambda params: part in params["message"])
    message = (await asyncio.wait_for(wait, PATIENCE))["message"]
    assert "Traceback" not in message
    assert "\n" not in message
    status: dict[str, Any] = await client.request("falcon/status", {})
    assert message in status["message"]
    return status


WRONG_SETTINGS: list[dict[str, tuple[Any, str]]] = [
    {
        "completion.maxTokens": ("many", "must be of type int"),
        "completion.threshold": (True, "must be of type float"),
        "learning.batchEpisodes": (True, "must be of type int"),
        "model": (3, "must be of type str"),
        "languages": ("python", "must be a list of strings"),
        "completion.multiline": ("often", "must be one of auto, never"),
        "context.prefixTokens": (0, "must lie between 64 and 8192"),
    },
    {
        "completion.maxTokens": (1.5, "must be of type int"),
        "context.prefixTokens": (10**30, "must lie between 64 and 8192"),
        "memory.ignore": ([1], "must be a list of strings"),
    },
]


@pytest.mark.parametrize("wrong", WRONG_SETTINGS, ids=["many", "few"])
async def test_each_wrong_setting_is_named_once_and_the_rest_is_used(
    tmp_path: Path, wrong: dict[str, tuple[Any, str]]
) -> None:
    uri, place = document(tmp_path)
    values = {name: value for name, (value, _) in wrong.items()}
    async with running(tmp_path, tmp_path, **values) as client:
        client.open(uri, "python", SOURCE)
        await ready(client)
        await offered(client, uri, place)
        messages = told(client)
    expected = {f"falcon.{name}: {said}; the value is ignored" for name, (_, said) in wrong.items()}
    assert set(messages) == expected
    assert len(messages) == len(wrong)


@pytest.mark.parametrize("options", [[], 7, {"falcon": None, "": {}}])
async def test_settings_of_any_shape_do_not_keep_the_server_from_starting(
    tmp_path: Path, options: object
) -> None:
    client = LspClient()
    await client.start(COMMAND, env={"FALCON_DATA_DIR": str(tmp_path)})
    try:
        params = {"processId": None, "rootUri": None, "capabilities": {}}
        await client.request("initialize", {**params, "initializationOptions": options})
        assert (await client.request("falcon/status", {}))["languages"]
    finally:
        await client.shutdown()


async def test_a_data_folder_that_comes_back_gets_everything(tmp_path: Path) -> None:
    blocked = tmp_path / "data"
    blocked.write_text("a file where the folder belongs")
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        status = await says(client, "recording paused")
        assert str(blocked) in status["message"]
        assert status["state"] == "ready"
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, place)
        said = {"completionId": item["command"]["arguments"][0], "outcome": "rejected"}
        assert await client.request("falcon/feedback", said) == {"recorded": False}
        blocked.unlink()
        other = {**said, "outcome": "accepted"}
        assert await client.request("falcon/feedback", other) == {"recorded": True}
        status = await client.request("falcon/status", {})
        assert (status["message"], status["memory"]["waiting"]) == ("", 0)
    (row,) = falcon(tmp_path, "memory", "list")
    assert row["completion_id"] == said["completionId"]
    exported = tmp_path / "log.jsonl"
    falcon(tmp_path, "memory", "export", str(exported))
    events = [json.loads(line) for line in exported.read_text().splitlines()]
    recorded = [e["payload"]["outcome"] for e in events if e["kind"] == "outcome"]
    assert recorded[-2:] == ["rejected", "accepted"]


async def test_a_cache_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder belongs")
    async with running(tmp_path, tmp_path, engine="torch") as client:
        status = await says(client, "choose another folder in falcon.cacheDir")
        assert status["state"] == "trouble"


async def test_a_damaged_ledger_is_repaired_and_the_loss_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "data", tmp_path / "cache")
    with closing(Ledger(store.ledger)) as ledger:
        ledger.append(events_of(episode("cmp-1", "alpha + beta")))
    content = bytearray(store.ledger.read_bytes())
    content[:64] = bytes(64)
    store.ledger.write_bytes(content)
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        status = await says(client, "the ledger was damaged")
        assert status["memory"]["salvaged"]["damaged"] in {
            str(path) for path in store.data.iterdir()
        }
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, place)
        said = {"completionId": item["command"]["arguments"][0], "outcome": "accepted"}
        assert await client.request("falcon/feedback", said) == {"recorded": True}


@pytest.mark.parametrize("pointer", ["{", '{"id": 3}', '{"id": "../x"}'])
async def test_a_damaged_pointer_is_told_and_the_newest_good_adapter_served(
    tmp_path: Path, pointer: str
) -> None:
    registry = AdapterRegistry(Store(tmp_path / "data", tmp_path / "cache").adapters)
    publish(registry, "good", base_sha256="fake")
    (registry.folder / "current.json").write_text(pointer)
    async with running(tmp_path, tmp_path) as client:
        status = await says(client, "The current adapter cannot be served")
        assert (status["state"], status["adapter"]) == ("ready", "good")


async def test_an_adapter_for_another_base_is_told_and_not_served(tmp_path: Path) -> None:
    registry = AdapterRegistry(Store(tmp_path / "data", tmp_path / "cache").adapters)
    publish(registry, "foreign")
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        status = await says(client, "trained for other weights")
        assert (status["state"], status["adapter"]) == ("ready", "base")
        client.open(uri, "python", SOURCE)
        await offered(client, uri, place)


def empty(folder: Path) -> None:
    folder.mkdir()


def pickled(folder: Path) -> None:
    folder.mkdir()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def damaged(folder: Path) -> None:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"\xff" * 64)
    (folder / "config.json").write_text("{}")


def absent(_folder: Path) -> None:
    pass


MODELS = {
    empty: "holds no weights",
    pickled: "in a format that can run code",
    damaged: "choose another model",
    absent: "neither the whole path of a folder nor a Hugging Face id",
}


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
async def test_a_model_that_cannot_be_used_is_told_and_copies_are_still_offered(
    tmp_path: Path, make: Any
) -> None:
    folder = tmp_path / "model"
    make(folder)
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path, engine="torch", model=str(folder)) as client:
        status = await says(client, MODELS[make])
        assert status["state"] == "trouble"
        client.open(uri, "python", SOURCE)
        copied = await offered(client, uri, place)
        said = {"completionId": copied["command"]["arguments"][0], "outcome": "accepted"}
        assert await client.request("falcon/feedback", said) == {"recorded": True}


DOCUMENTS = {
    "empty": "",
    "one long line": "x = [" + "1, " * 700_000,
    "windows line ends": SOURCE.replace("\n", "\r\n"),
    "old line ends": SOURCE.replace("\n", "\r"),
    "null bytes": f"a = '\0'\n{SOURCE}",
    "emoji": f"party = '🎉👩‍👩‍👧'\n{SOURCE}",
    "right to left": f"# שלום עולם\u202e\n{SOURCE}",
    "half a surrogate pair": f"broken = '\ud83d'\n{SOURCE}",
    "deep nesting": "(" * 2_000,
    "only line ends": "\n" * 10_000,
}


async def test_odd_documents_are_edited_and_answered(tmp_path: Path) -> None:
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        for number, (name, text) in enumerate(DOCUMENTS.items()):
            uri = (tmp_path / f"odd{number}.py").as_uri()
            before = await reasons(client)
            items = await typed_at_the_end(client, uri, text)
            assert items or await reasons(client) != before, name
        status = await client.request("falcon/status", {})
        assert (status["errors"], status["state"]) == ({}, "ready")


async def reasons(client: LspClient) -> list[Any]:
    return list((await client.request("falcon/status", {}))["reasons"])


async def typed_at_the_end(client: LspClient, uri: str, text: str) -> list[dict[str, Any]]:
    """Open, type two characters, ask after each, close; return all that was offered."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    line, column = len(lines) - 1, len(lines[-1].encode("utf-16-le", "surrogatepass")) // 2
    items = []
    client.open(uri, "python", text)
    for character in "xy":
        client.change(uri, (line, column), (line, column), character)
        column += 1
        items += await client.inline_completion(uri, (line, column))
    client.close(uri)
    return items


URIS = [
    "untitled:Untitled-1",
    "file:///c%3A/project/x.py",
    "file:///C:/project/x.py",
    "file:///tmp/somewhere%20else/%C3%A4.py",
    "file://server/share/x.py",
    "file://[broken/x.py",
    "vscode-notebook-cell:/tmp/book.ipynb#W0sZmlsZQ%3D%3D",
    "vscode-remote://ssh-remote%2Bbox/home/x.py",
    "git:/tmp/x.py?%7B%22ref%22%3A%22%22%7D",
    "",
]


async def test_any_uri_gets_suggestions_and_its_feedback_is_recorded(tmp_path: Path) -> None:
    _, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        for uri in URIS:
            client.open(uri, "python", SOURCE)
            item = await offered(client, uri, place)
            client.change(uri, place, place, item["insertText"])
            client.close(uri)
        assert (await client.request("falcon/status", {}))["errors"] == {}
    assert outcomes(tmp_path) == [("accepted", True)] * len(URIS)


async def test_a_client_that_dies_mid_request_leaves_no_server_and_loses_nothing(
    tmp_path: Path,
) -> None:
    uri, place = document(tmp_path)
    client = LspClient({"falcon": {"engine": "fake"}})
    await client.start(COMMAND, env={"FALCON_DATA_DIR": str(tmp_path / "data")})
    await client.initialize(tmp_path, VSCODE)
    client.open(uri, "python", SOURCE)
    item = await offered(client, uri, place)
    client.change(uri, place, place, item["insertText"])
    asking = asyncio.create_task(client.inline_completion(uri, place))
    await asyncio.sleep(0)
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert await asyncio.wait_for(client.process.wait(), PATIENCE) == 1
    with contextlib.suppress(Exception):
        await asking
    await client.kill()
    assert outcomes(tmp_path)[0] == ("accepted", True)


async def test_initialize_is_answered_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    client = LspClient()
    command = [sys.executable, "-X", "importtime", *COMMAND[1:]]
    with (tmp_path / "imports").open("wb") as imports:
        await client.start(command, env={"FALCON_DATA_DIR": str(tmp_path)}, stderr=imports)
        await client.request("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        await client.kill()
    lines = (tmp_path / "imports").read_text().splitlines()
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "pygls" in loaded
    heavy = {"torch", "transformers", "peft", "chromadb", "numpy", "rich", "websockets"}
    assert loaded & heavy == set()


async def configured(client: LspClient, *languages: str, **settings: Any) -> None:
    """Change the settings as an editor does, and wait until the server has taken them over."""
    wanted = [*languages, new_id("marker")]
    base = {"engine": "fake", "learning": {"enable": False}, "languages": wanted}
    client.configuration = {"falcon": {**base, **settings}}
    client.notify("workspace/didChangeConfiguration", {"settings": None})
    async with asyncio.timeout(PATIENCE):
        while (await client.request("falcon/status", {}))["languages"] != wanted:
            pass


async def test_settings_that_change_take_effect_at_once(tmp_path: Path) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        client.open(uri, "python", SOURCE)
        await offered(client, uri, place)
        await configured(client, "rust")
        assert await client.inline_completion(uri, place) == []
        await configured(client, "python", enable=False)
        assert (await client.request("falcon/status", {}))["state"] == "off"
        assert await client.inline_completion(uri, place) == []
        await configured(client, "python")
        await offered(client, uri, place)


async def test_a_file_that_is_ignored_from_now_on_is_not_recorded_any_more(tmp_path: Path) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        await configured(client, "python", memory={"ignore": ["**/shop.py"]})
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, place)
        said = {"completionId": item["command"]["arguments"][0], "outcome": "accepted"}
        assert await client.request("falcon/feedback", said) == {"recorded": False}
    assert outcomes(tmp_path) == []


async def test_a_setting_that_needs_a_restart_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        await configured(client, "python", model="other/model")
        await says(client, "falcon.model takes effect after a restart.")


async def test_a_report_in_the_wrong_shape_is_refused_with_a_reason(tmp_path: Path) -> None:
    async with running(tmp_path, tmp_path) as client:
        for params in ({}, {"completionId": 3, "outcome": "accepted"}, {"completionId": "cmp-1"}):
            with pytest.raises(ResponseError, match="-32602"):
                await client.request("falcon/feedback", params)
        with pytest.raises(ResponseError, match="-32602"):
            await client.request("falcon/pause", {"paused": "yes"})
