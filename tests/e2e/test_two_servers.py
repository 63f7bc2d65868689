"""Two servers on one store: both record and complete and recall; one owns the index, in turn."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from loop_helpers import SOURCE, document, falcon, offered, ready, running

from falcon_lsp.lsp.client import LspClient

TAKEOVER_SECONDS = 5.0
EACH = 15


async def recall(client: LspClient) -> dict[str, Any]:
    return dict((await client.request("falcon/status", {}))["memory"]["recall"])


async def until_owner(client: LspClient) -> None:
    """Wait until recall is on; the status round trips are the pace."""
    async with asyncio.timeout(30):
        while not (found := await recall(client))["available"] or found["through"]:
            pass


async def work(client: LspClient, root: Path, name: str) -> set[str]:
    """Have `EACH` suggestions accepted, each acknowledged; returns their ids."""
    ids = set()
    for number in range(EACH):
        uri, place = document(root, name=f"{name}{number}.py")
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, place)
        (completion_id,) = item["command"]["arguments"]
        said = {"completionId": completion_id, "outcome": "accepted"}
        assert await client.request("falcon/feedback", said) == {"recorded": True}
        ids.add(completion_id)
    return ids


async def test_both_record_and_recall_and_a_kill_passes_the_index_on(tmp_path: Path) -> None:
    async with running(tmp_path, tmp_path) as first:
        await ready(first)
        await until_owner(first)
        async with running(tmp_path, tmp_path) as second:
            await ready(second)
            of_first, of_second = await asyncio.gather(
                work(first, tmp_path, "one"), work(second, tmp_path, "two")
            )
            through = (await recall(second))["through"]
            assert "another server on this machine owns the index" in through
            assert (await recall(first))["through"] == ""

            await first.kill()
            killed = time.monotonic()
            await until_owner(second)
            assert time.monotonic() - killed < TAKEOVER_SECONDS
            more = await work(second, tmp_path, "three")
    rows = falcon(tmp_path, "memory", "list", "--limit", "1000")
    accepted = [row["completion_id"] for row in rows if row["outcome"] == "accepted"]
    assert len(accepted) == len(set(accepted))
    assert set(accepted) == of_first | of_second | more
