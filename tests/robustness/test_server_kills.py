"""kill -9 of the server at any moment loses no feedback that it has acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from loop_helpers import COMMAND, SOURCE, VSCODE, document, offered

from falcon_lsp.lsp.client import LspClient, ServerGone
from falcon_lsp.memory.events import Kind
from falcon_lsp.memory.ledger import Ledger

KILLS = 30


async def feed(client: LspClient, uri: str, place: tuple[int, int], run: int) -> list[str]:
    """Send numbered feedback until the server is gone; return what it acknowledged."""
    acknowledged: list[str] = []
    number = 0
    with contextlib.suppress(ServerGone, AssertionError):
        while True:
            # a rejected text does not come back, so each round has its own names
            client.open(uri, "python", SOURCE.replace("prices", f"prices_{run}_{number}"))
            item = await offered(client, uri, place)
            completion_id = item["command"]["arguments"][0]
            event_id = f"run-{run}-{number}"
            said = {"eventId": event_id, "completionId": completion_id, "outcome": "rejected"}
            answer = await client.request("falcon/feedback", said)
            if answer["recorded"]:
                acknowledged.append(event_id)
            number += 1
            client.close(uri)
    return acknowledged


@pytest.mark.slow
async def test_acknowledged_feedback_survives_thirty_kills(tmp_path: Path) -> None:
    rng, acknowledged = random.Random(1), list[str]()
    uri, place = document(tmp_path)
    for run in range(KILLS):
        client = LspClient({"falcon": {"engine": "fake", "learning": {"enable": False}}})
        folders = {"FALCON_DATA_DIR": str(tmp_path / "d"), "FALCON_CACHE_DIR": str(tmp_path / "c")}
        await client.start(COMMAND, env=folders)
        await client.initialize(tmp_path, VSCODE)
        feeding = asyncio.create_task(feed(client, uri, place, run))
        await client.request("falcon/status", {})
        await asyncio.sleep(rng.uniform(0.0, 0.6))
        await client.kill()
        acknowledged += await feeding
    with closing(Ledger(tmp_path / "d" / "ledger.sqlite3")) as ledger:
        found = [event.event_id for _, event in ledger.events(limit=10**6)]
        kinds = {event.completion_id: event.kind for _, event in ledger.events(limit=10**6)}
    assert len(acknowledged) > KILLS
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))
    assert set(kinds.values()) == {Kind.OUTCOME}  # no suggestion without what became of it
