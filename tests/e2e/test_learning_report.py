"""The running server tells its report, and what is asked for in it happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loop_helpers import SOURCE, document, falcon, offered, ready, running

from falcon_lsp.lsp.client import ResponseError


async def test_the_report_holds_what_was_just_rejected_and_lets_it_be_forgotten(
    tmp_path: Path,
) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, place)
        completion_id = item["command"]["arguments"][0]
        said = {"completionId": completion_id, "outcome": "rejected", "eventId": "evt-1"}
        await client.request("falcon/feedback", said)

        shown = await client.request("falcon/report", {})
        assert f'id="forget:{completion_id}"' in shown["html"]
        assert f'id="forgive:{completion_id}"' in shown["html"]
        assert ":root" in shown["style"]
        other = await client.request("falcon/report", {"search": "nothing like it"})
        assert completion_id not in other["html"].partition('id="rejected"')[0]
        page = await client.request("falcon/report", {"whole": True})
        assert page["html"].startswith("<!doctype html>")

        week = (await client.request("falcon/status", {}))["week"]
        assert set(week) == {"shown", "taken", "acceptance", "keptChars"}

        part = await client.request("falcon/export", {})
        lines = [json.loads(line) for line in part["lines"]]
        assert {line["completion_id"] for line in lines} == {completion_id}
        last = await client.request("falcon/export", {"after": part["next"]})
        assert last == {"lines": [], "next": None}

        await client.request("falcon/forget", {"completionId": completion_id})
        assert completion_id not in (await client.request("falcon/report", {}))["html"]


async def test_going_back_to_an_adapter_that_is_not_there_is_refused_in_a_sentence(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        answer = await client.request("falcon/rollback", {"id": "adp-unknown"})
        assert answer == {"message": "there is no adapter adp-unknown"}
        assert (await client.request("falcon/rollback", {"id": "base"}))["message"]
        for method, params in (
            ("falcon/rollback", {"id": 3}),
            ("falcon/report", {"search": 3}),
            ("falcon/report", {"whole": "yes"}),
            ("falcon/export", {"after": -1}),
        ):
            with pytest.raises(ResponseError) as refused:
                await client.request(method, params)
            assert refused.value.code == -32602
    assert falcon(tmp_path, "adapters", "list") == []
