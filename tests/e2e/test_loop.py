"""The whole loop with the fake engine: offered, taken or refused, recorded, recalled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from loop_helpers import (
    COMMAND,
    NEOVIM,
    SOURCE,
    VSCODE,
    document,
    falcon,
    offered,
    outcomes,
    ready,
    running,
)

from falcon_lsp.lsp.client import LspClient


async def test_an_accept_is_inferred_from_the_edit_alone(tmp_path: Path) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, place)
        client.change(uri, place, place, item["insertText"])
    (row,) = falcon(tmp_path, "memory", "list")
    assert (row["outcome"], row["inferred"]) == ("accepted", True)
    assert row["text"] == item["insertText"]
    assert row["completion_id"] == item["command"]["arguments"][0]
    assert row["chars_kept"] == len(item["insertText"])


async def test_the_items_command_and_the_edit_are_one_accept(tmp_path: Path) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, place)
        client.change(uri, place, place, item["insertText"])
        command = item["command"]
        assert await client.execute_command(command["command"], *command["arguments"])
    assert outcomes(tmp_path) == [("accepted", False)]


async def test_typing_something_else_is_an_inferred_rejection(tmp_path: Path) -> None:
    uri, (line, column) = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        client.open(uri, "python", SOURCE)
        await offered(client, uri, (line, column))
        await asyncio.sleep(0.6)
        for index, character in enumerate("len([])"):
            place = (line, column + index)
            client.change(uri, place, place, character)
    assert outcomes(tmp_path) == [("rejected", True)]


async def test_typing_the_suggestion_out_is_typed_through(tmp_path: Path) -> None:
    uri, (line, column) = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, (line, column))
        for index, character in enumerate(item["insertText"]):
            place = (line, column + index)
            client.change(uri, place, place, character)
    assert outcomes(tmp_path)[0] == ("typed_through", True)


async def test_suggestions_replaced_while_typing_leave_nothing(tmp_path: Path) -> None:
    uri, (line, column) = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        client.open(uri, "python", SOURCE)
        await offered(client, uri, (line, column))
        for index, character in enumerate("sum(reversed"):
            place = (line, column + index)
            client.change(uri, place, place, character)
            await client.inline_completion(uri, (line, column + index + 1))
    assert "superseded" not in [outcome for outcome, _ in outcomes(tmp_path)]


@pytest.mark.parametrize("outcome", ["rejected", "partial", "undone"])
async def test_what_an_editor_reports_is_on_disk_when_it_is_acknowledged(
    tmp_path: Path, outcome: str
) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, place)
        said = {"completionId": item["command"]["arguments"][0], "outcome": outcome}
        answer = await client.request("falcon/feedback", {**said, "charsKept": 2})
        assert answer == {"recorded": True}
        await client.kill()
    assert outcomes(tmp_path) == [(outcome, False)]


async def test_feedback_about_an_unknown_suggestion_is_not_recorded(tmp_path: Path) -> None:
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        said = {"completionId": "cmp-unknown", "outcome": "accepted"}
        assert await client.request("falcon/feedback", said) == {"recorded": False}
    assert outcomes(tmp_path) == []


async def test_findings_after_an_accept_belong_to_its_episode(tmp_path: Path) -> None:
    uri, (line, column) = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, (line, column))
        text = item["insertText"]
        client.notify("falcon/diagnostics", {"uri": uri, "diagnostics": []})
        await asyncio.sleep(0.5)  # the server's own first check is the baseline
        client.change(uri, (line, column), (line, column), f"{text}(")
        report = {"line": line, "severity": 1, "message": "undefined name", "source": "other"}
        client.notify("falcon/diagnostics", {"uri": uri, "diagnostics": [report]})
        await asyncio.sleep(1.0)  # the server's own check follows when the edits rest
    (row,) = falcon(tmp_path, "memory", "list")
    episode = falcon(tmp_path, "memory", "show", row["completion_id"])
    assert {d["source"] for d in episode["diagnostics_added"]} == {"other", "falcon"}


async def test_an_editor_without_inline_completion_gets_list_items(tmp_path: Path) -> None:
    uri, (line, column) = document(tmp_path)
    async with running(tmp_path, tmp_path, NEOVIM) as client:
        client.open(uri, "python", SOURCE)
        await ready(client)
        params = {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
        answer = await client.request("textDocument/completion", params)
        (item,) = answer["items"][:1]
        edit = item["textEdit"]
        start, end = (
            (edit["range"][side]["line"], edit["range"][side]["character"])
            for side in ("start", "end")
        )
        client.change(uri, start, end, edit["newText"])
    assert outcomes(tmp_path)[0] == ("accepted", True)


async def test_a_client_with_inline_completion_gets_nothing_twice(tmp_path: Path) -> None:
    uri, (line, column) = document(tmp_path)
    async with running(tmp_path, tmp_path, VSCODE) as client:
        client.open(uri, "python", SOURCE)
        await offered(client, uri, (line, column))
        params = {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}
        assert (await client.request("textDocument/completion", params))["items"] == []


@pytest.mark.parametrize(
    ("language", "settings", "reason"),
    [
        ("rust", {}, "language off: rust"),
        ("python", {"enable": False}, "switched off"),
        ("python", {"languages": ["typescript"]}, "language off: python"),
    ],
)
async def test_silence_has_a_reason(
    tmp_path: Path, language: str, settings: dict[str, object], reason: str
) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path, **settings) as client:
        await ready(client)
        client.open(uri, language, SOURCE)
        assert await client.inline_completion(uri, place) == []
        status = await client.request("falcon/status", {})
        assert [entry["reason"] for entry in status["reasons"]] == [reason]


async def test_pause_stops_suggestions_and_recording(tmp_path: Path) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        client.open(uri, "python", SOURCE)
        await ready(client)
        assert (await client.request("falcon/pause", {"paused": True}))["state"] == "paused"
        assert await client.inline_completion(uri, place) == []
        assert (await client.request("falcon/pause", {"paused": False}))["state"] == "ready"
        assert await client.inline_completion(uri, place) != []


async def test_a_wrong_setting_is_told_once_and_the_server_lives(tmp_path: Path) -> None:
    async with running(tmp_path, tmp_path, completion={"deadlineMs": "soon"}) as client:
        await ready(client)
        await client.request("falcon/status", {})
    told = [p["message"] for m, p in client.notifications if m == "window/showMessage"]
    assert told == ["falcon.completion.deadlineMs: must be of type int; the value is ignored"]


async def test_an_unknown_model_is_one_sentence_in_the_status(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-such-model")
    async with running(tmp_path, tmp_path, engine="torch", model=missing) as client:
        status = await ready(client)
    assert status["state"] == "trouble"
    assert "no-such-model" in status["message"]
    assert "Traceback" not in status["message"]


async def test_the_log_holds_no_source_text(tmp_path: Path) -> None:
    canary = "zanzibar_peppermint"
    uri, place = document(tmp_path, f"{canary} = 1\n{SOURCE}")
    client = LspClient({"falcon": {"engine": "fake"}})
    with (tmp_path / "log.txt").open("wb") as log:
        env = {"FALCON_DATA_DIR": str(tmp_path / "data"), "FALCON_LOG": "DEBUG"}
        await client.start(COMMAND, env=env, stderr=log)
        await client.initialize(tmp_path, VSCODE)
        client.open(uri, "python", f"{canary} = 1\n{SOURCE}")
        await offered(client, uri, place)
        await client.shutdown()
    assert canary not in (tmp_path / "log.txt").read_text("utf-8", "replace")
