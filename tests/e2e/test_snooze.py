"""Snoozing over the protocol: quiet for a while, unless asked; everything else goes on."""

from pathlib import Path

import pytest

from e2e.loop_helpers import SOURCE, document, offered, ready, running
from falcon_lsp.lsp.client import ResponseError


async def test_a_snooze_is_quiet_until_it_ends(tmp_path: Path) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path / "store", tmp_path) as client:
        await ready(client)
        client.open(uri, "python", SOURCE)
        await offered(client, uri, place)
        status = await client.request("falcon/snooze", {"minutes": 5})
        assert status["state"] == "snoozed"
        assert status["snoozedUntil"] is not None
        assert await client.inline_completion(uri, place) == []
        asked = await client.request(
            "textDocument/inlineCompletion",
            {
                "textDocument": {"uri": uri},
                "position": {"line": place[0], "character": place[1]},
                "context": {"triggerKind": 1},
            },
        )
        assert asked["items"]
        status = await client.request("falcon/snooze", {"minutes": 0})
        assert (status["state"], status["snoozedUntil"]) == ("ready", None)
        assert status["quiet"]["aggressiveness"] == "balanced"
        assert await client.inline_completion(uri, place)


@pytest.mark.parametrize("minutes", [-1, 1e9, "5", True, None])
async def test_a_wrong_time_is_refused(tmp_path: Path, minutes: object) -> None:
    async with running(tmp_path / "store", tmp_path) as client:
        with pytest.raises(ResponseError, match="minutes must be a number"):
            await client.request("falcon/snooze", {"minutes": minutes})
