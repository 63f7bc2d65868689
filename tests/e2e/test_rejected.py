"""What was rejected stays away: in another file, after a restart, until the developer undoes it."""

from __future__ import annotations

from pathlib import Path

from loop_helpers import SOURCE, document, falcon, offered, ready, running


async def test_a_rejected_text_is_listed_stays_away_and_can_be_undone(tmp_path: Path) -> None:
    uri, place = document(tmp_path)
    elsewhere, _ = document(tmp_path, name="other.py")
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, place)
        completion_id = item["command"]["arguments"][0]
        said = {"completionId": completion_id, "outcome": "rejected", "eventId": "evt-1"}
        assert await client.request("falcon/feedback", said) == {"recorded": True}
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        client.open(elsewhere, "python", SOURCE)
        answers = await client.inline_completion(elsewhere, place)
        assert item["insertText"] not in [each["insertText"] for each in answers]
        listed = (await client.request("falcon/rejections", {}))["rejections"]
        assert [(row["id"], row["text"], row["blocks"]) for row in listed] == [
            (completion_id, item["insertText"], True)
        ]
        answer = await client.request("falcon/forgive", {"id": completion_id})
        assert answer == {"message": "It may be offered again."}
        again = await offered(client, elsewhere, place)
        assert again["insertText"] == item["insertText"]
    assert falcon(tmp_path, "memory", "rejected") == []


async def test_never_is_said_once_by_the_editor_and_by_hand(tmp_path: Path) -> None:
    uri, place = document(tmp_path)
    async with running(tmp_path, tmp_path) as client:
        await ready(client)
        client.open(uri, "python", SOURCE)
        item = await offered(client, uri, place)
        completion_id = item["command"]["arguments"][0]
        unknown = await client.request("falcon/never", {"id": "cmp-unknown"})
        assert unknown == {"message": "No suggestion has that id."}
        said = {"completionId": completion_id, "outcome": "rejected", "eventId": "evt-1"}
        await client.request("falcon/feedback", said)
        answer = await client.request("falcon/never", {"id": completion_id})
        assert answer == {"message": "It will not be offered again."}
        (row,) = (await client.request("falcon/rejections", {}))["rejections"]
        assert (row["id"], row["never"]) == (completion_id, True)
    assert falcon(tmp_path, "memory", "rejected", "--undo", completion_id) == {"undone": 1}
    assert falcon(tmp_path, "memory", "rejected", "--never", completion_id) == {"refused": 1}
    assert [row["never"] for row in falcon(tmp_path, "memory", "rejected")] == [True]
