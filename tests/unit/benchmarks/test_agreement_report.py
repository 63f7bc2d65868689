"""Inference against what really happened, on small simulated sessions and on a recorded one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agreement import INVISIBLE, REPORTED, matrix, share, simulated
from falcon_lsp.lsp.client import LspClient
from sessions.replay import ESCAPE, UNREPORTED, Replay, read

ROOT = Path(__file__).parents[3]
SOURCE = "def total(prices):\n    return sum(prices)\n\n\ndef average(prices):\n    return "


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, str]]:
    files = sorted((ROOT / "server" / "falcon_lsp" / "memory").glob("*.py"))
    return simulated([file.read_text(encoding="utf-8") for file in files], 12, 30)


def test_inference_agrees_with_what_can_be_seen(pairs: list[tuple[str, str]]) -> None:
    visible = [pair for pair in pairs if pair[0] not in INVISIBLE]
    reported = [pair for pair in visible if pair[0] in REPORTED]
    assert len(reported) > 100
    for seen in (visible, reported):
        assert sum(known == inferred for known, inferred in seen) >= 0.95 * len(seen)


def test_simulated_sessions_hold_every_outcome_and_are_the_same_each_time(
    pairs: list[tuple[str, str]],
) -> None:
    happened = {known for known, _ in pairs}
    assert happened >= {*REPORTED, "typed_through", "rejected", "ignored", "superseded", ESCAPE}
    files = sorted((ROOT / "server" / "falcon_lsp" / "memory").glob("*.py"))
    again = simulated([file.read_text(encoding="utf-8") for file in files], 1, 30)
    assert again == pairs[: len(again)]


def test_nothing_is_inferred_of_escape_but_what_is_typed_next(
    pairs: list[tuple[str, str]],
) -> None:
    assert {inferred for known, inferred in pairs if known == ESCAPE} <= {
        "rejected", "ignored", "typed_through"
    }  # fmt: skip


def test_a_matrix_and_a_share_count_every_pair() -> None:
    found = [("accepted", "accepted"), ("accepted", "partial"), ("undone", "undone")]
    assert matrix(found).splitlines()[2] == "| accepted | 1 | 1 |  |"
    assert share(found)["agree"] == 2


async def test_a_session_that_passed_the_recorder_can_be_replayed(tmp_path: Path) -> None:
    session = tmp_path / "session.jsonl"
    recorder = [sys.executable, str(ROOT / "benchmarks" / "record_session.py"), str(session)]
    client = LspClient({"falcon": {"engine": "fake", "learning": {"enable": False}}})
    folders = {"FALCON_DATA_DIR": str(tmp_path), "FALCON_CACHE_DIR": str(tmp_path)}
    await client.start([*recorder, sys.executable, "-m", "falcon_lsp", "serve"], env=folders)
    capabilities = {
        "textDocument": {"inlineCompletion": {}},
        "workspace": {"configuration": True},
    }
    await client.initialize(tmp_path, capabilities)
    uri, place = (tmp_path / "shop.py").as_uri(), (5, 11)
    client.open(uri, "python", SOURCE)
    items: list = []
    while not items:
        items = await client.inline_completion(uri, place)
    client.change(uri, place, place, items[0]["insertText"])
    await client.execute_command("falcon.accepted", items[0]["command"]["arguments"][0])
    await client.shutdown()
    assert (session.stat().st_mode & 0o077 == 0) or sys.platform == "win32"
    assert [p for p in Replay().play(read(session)).pairs() if p[0] != UNREPORTED] == [
        ("accepted", "accepted")
    ]
