"""Ghost text beside the editor's list of completions goes on from its entry, or is not offered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loop_helpers import SOURCE, document, falcon, offered, ready, running

from falcon_lsp.lsp.client import LspClient

TYPED = "return "


async def ask(client: LspClient, uri: str, place: tuple[int, int], text: str, back: int) -> Any:
    """Ask while the list's entry ``text`` would replace ``back`` characters before the cursor."""
    line, character = place
    cursor = {"line": line, "character": character}
    start = {"line": line, "character": character - back}
    selected = {"range": {"start": start, "end": cursor}, "text": text}
    context = {"triggerKind": 2, "selectedCompletionInfo": selected}
    params = {"textDocument": {"uri": uri}, "position": cursor, "context": context}
    return (await client.request("textDocument/inlineCompletion", params))["items"]


async def test_a_suggestion_goes_on_from_the_entry_of_the_list(tmp_path: Path) -> None:
    uri, place = document(tmp_path)
    back = len(TYPED)
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        client.open(uri, "python", SOURCE)
        plain = await offered(client, uri, place)
        text = plain["insertText"]

        (item,) = await ask(client, uri, place, TYPED + text[:2], back)
        assert item["insertText"] == TYPED + text
        assert item["range"]["start"]["character"] == place[1] - back
        (same,) = await ask(client, uri, place, text[:2], 0)
        assert same["insertText"] == text

        assert await ask(client, uri, place, TYPED + "something_else", back) == []
        status = await client.request("falcon/status", {})
        assert status["reasons"][-1]["reason"] == "the list shows something else"
        assert "close it" in status["reasons"][-1]["advice"]
        assert await ask(client, uri, place, "RETURN" + text, back) == []
        (again,) = await client.inline_completion(uri, place)
        assert again["insertText"] == text


async def test_what_the_list_hid_is_not_held_against_anything(tmp_path: Path) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        client.open(uri, "python", SOURCE)
        for _ in range(50):  # until the engine answers; the list disagrees every time
            assert await ask(client, uri, place, "something_else", 0) == []
            reasons = (await client.request("falcon/status", {}))["reasons"]
            if reasons[-1]["reason"] == "the list shows something else":
                break
        client.change(uri, place, place, "something_else")
    assert falcon(tmp_path, "memory", "list") == []
