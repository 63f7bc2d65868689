"""The user's say: what is off is off, what is left alone leaves no trace, and silence is explained.

The server is asked by its editor and, while it runs, by the command line.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from loop_helpers import SOURCE, document, falcon, offered, ready, running

from byte_scan import holding
from falcon_lsp.lsp.client import LspClient, ResponseError

CANARY = "lighthouse_of_marmalade"
HELPER = f"def {CANARY}(prices):\n    return sum(prices)\n"


async def silence(client: LspClient, uri: str, text: str, language: str = "python") -> Any:
    """Ask in a new document until the model is there; returns the newest reason's row."""
    client.open(uri, language, text)
    lines = text.split("\n")
    assert await client.inline_completion(uri, (len(lines) - 1, len(lines[-1]))) == []
    return (await client.request("falcon/status", {}))["reasons"][-1]


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("gen/api.py", {"ignore": ["gen/"]}, "ignored: falcon.ignore"),
        ("id_rsa", {}, "ignored: may hold secrets"),
        (".env", {}, "ignored: may hold secrets"),
        ("a.py", {"enable": False}, "switched off"),
    ],
)
async def test_a_file_that_is_left_alone_gets_nothing_and_leaves_nothing(
    tmp_path: Path, name: str, settings: dict[str, object], reason: str
) -> None:
    store, root = tmp_path / "store", tmp_path / "root"
    uri, _ = document(root, name=name)
    async with running(store, root, **settings) as client:
        await ready(client)
        row = await silence(client, uri, HELPER + SOURCE)
        assert row["reason"] == reason
        assert row["advice"].startswith(("Nothing is suggested in this file", "Suggestions are"))
        assert name not in json.dumps(row)
    assert holding((store,), CANARY) == []


async def test_what_git_ignores_is_completed_but_neither_recorded_nor_quoted(
    tmp_path: Path,
) -> None:
    store, root = tmp_path / "store", tmp_path / "root"
    root.mkdir()
    (root / ".gitignore").write_text("local_*\n")
    (root / "local_tools.py").write_text(HELPER)
    hidden, _ = document(root, name="local_tools.py")
    open_uri, open_place = document(root, f"from local_tools import x\n\n{SOURCE}")
    async with running(store, root) as client:
        await ready(client)
        text = HELPER + SOURCE
        client.open(hidden, "python", text)
        lines = text.split("\n")
        place = (len(lines) - 1, len(lines[-1]))
        item = await offered(client, hidden, place)
        said = {"completionId": item["command"]["arguments"][0], "outcome": "accepted"}
        assert await client.request("falcon/feedback", said) == {"recorded": False}
        client.change(hidden, place, place, "x")

        client.open(open_uri, "python", f"from local_tools import x\n\n{SOURCE}")
        item = await offered(client, open_uri, open_place)
        said = {"completionId": item["command"]["arguments"][0], "outcome": "accepted"}
        assert await client.request("falcon/feedback", said) == {"recorded": True}
    assert [row["path"] for row in falcon(store, "memory", "list")] == ["shop.py"]
    assert holding((store,), CANARY) == []


async def test_folders_decide_for_themselves(tmp_path: Path) -> None:
    store, one, two = tmp_path / "store", tmp_path / "one", tmp_path / "two"
    capabilities = {"workspace": {"configuration": True, "workspaceFolders": True}}
    async with running(store, one, capabilities) as client:
        await ready(client)
        quiet = {"falcon": {"enable": False}}
        strict = {"falcon": {"languages": ["typescript"], "engine": "torch"}}
        client.by_folder |= {one.as_uri(): quiet, two.as_uri(): strict}
        added = {"added": [{"uri": two.as_uri(), "name": "two"}], "removed": []}
        client.notify("workspace/didChangeWorkspaceFolders", {"event": added})
        for folder, reason in ((one, "switched off"), (two, "language off: python")):
            uri, place = document(folder)
            client.open(uri, "python", SOURCE)
            async with asyncio.timeout(20):
                while await completions(client, uri, place):
                    pass
            status = await client.request("falcon/status", {})
            assert status["reasons"][-1]["reason"] == reason
        uri, place = document(tmp_path / "three")
        client.open(uri, "python", SOURCE)
        assert await completions(client, uri, place), "elsewhere the common settings hold"


async def completions(client: LspClient, uri: str, place: tuple[int, int]) -> list[Any]:
    """Ask as an editor does that knows no inline completion."""
    where = {"line": place[0], "character": place[1]}
    params = {"textDocument": {"uri": uri}, "position": where}
    return list((await client.request("textDocument/completion", params))["items"])


async def test_the_command_line_asks_running_servers_why_nothing_came(tmp_path: Path) -> None:
    root = tmp_path / "root"
    async with running(tmp_path, root, completion={"threshold": 1.0}) as client:
        await ready(client)
        uri, _ = document(root)
        row = await silence(client, uri, SOURCE)
        assert row["reason"] == "quiet"
        assert row["detail"].endswith("threshold 100%")
        async with asyncio.timeout(20):
            while not (servers := await told(tmp_path)) or not servers[0]["reasons"]:
                pass
        assert servers[0]["reasons"][-1] == row
        assert servers[0]["silences"] == {"quiet": 1}
        assert "shop" not in json.dumps(servers)
        await client.kill()
        assert await told(tmp_path) == [], "a server that was killed says nothing any more"
    assert list((tmp_path / "data" / "servers").iterdir()) == []


async def told(store: Path) -> list[dict[str, Any]]:
    return list((await asyncio.to_thread(falcon, store, "status"))["servers"])


async def test_an_editor_may_have_a_file_forgotten(tmp_path: Path) -> None:
    store, root = tmp_path / "store", tmp_path / "root"
    text = HELPER + SOURCE
    async with running(store, root) as client:
        await ready(client)
        for name in ("one.py", "two.py"):
            uri, place = document(root, text.replace(CANARY, f"{CANARY}_{name[:3]}"), name)
            client.open(uri, "python", text.replace(CANARY, f"{CANARY}_{name[:3]}"))
            item = await offered(client, uri, place)
            said = {"completionId": item["command"]["arguments"][0], "outcome": "accepted"}
            assert await client.request("falcon/feedback", said) == {"recorded": True}
            client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        answer = await client.request("falcon/forget", {"uri": (root / "one.py").as_uri()})
        assert answer["message"].startswith("Forgotten: ")
        async with asyncio.timeout(30):
            while await asyncio.to_thread(holding, (store,), f"{CANARY}_one"):
                pass
    rows = falcon(store, "memory", "list")
    assert {row["path"] for row in rows} <= {"two.py"}


@pytest.mark.parametrize("params", [{}, {"day": "yesterday"}, {"uri": 7}, {"path": ""}])
async def test_what_to_forget_has_to_be_named(tmp_path: Path, params: dict[str, object]) -> None:
    async with running(tmp_path / "store", tmp_path) as client:
        with pytest.raises(ResponseError, match="-32602"):
            await client.request("falcon/forget", params)
