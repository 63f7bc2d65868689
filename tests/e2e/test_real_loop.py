"""The whole loop with the real model, over the plain protocol: no message of ours is sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from loop_helpers import COMMAND, VSCODE, falcon, ready

from falcon_lsp.core.paths import Store
from falcon_lsp.lsp.client import LspClient

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(600)]

FUNCTIONS = (
    "def area(width, height):\n    return wid",
    "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n"
    "        self.items.app",
    "import json\n\n\ndef load(path):\n    with open(path) as file:\n        return json.lo",
    "def is_even(number):\n    return number % 2 =",
    "names = ['a', 'b']\nfor name in na",
    "def first(values):\n    if not values:\n        return No",
    "def add(a, b):\n    return a ",
    "total = 0\nfor price in [1, 2, 3]:\n    total += pr",
)


def store(tmp_path: Path) -> dict[str, str]:
    """Return an environment with a store of its own, and the user's cache of models."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "models").symlink_to(Store.default().models, target_is_directory=True)
    return {"FALCON_DATA_DIR": str(tmp_path / "data"), "FALCON_CACHE_DIR": str(cache)}


async def complete(client: LspClient, uri: str, place: tuple[int, int]) -> str:
    """Ask until the model is there and answers; returns the text, empty when it stays silent."""
    items = await client.inline_completion(uri, place, invoked=True)
    return str(items[0]["insertText"]) if items else ""


async def test_completions_edits_episodes_training(tmp_path: Path) -> None:
    environment = store(tmp_path)
    patient = {"deadlineMs": 30_000, "coldDeadlineMs": 30_000}
    client = LspClient({"falcon": {"learning": {"enable": False}, "completion": patient}})
    await client.start(COMMAND, environment)
    await client.initialize(tmp_path, VSCODE)
    assert (await ready(client))["state"] == "ready"
    offered = 0
    for number, text in enumerate(FUNCTIONS):
        uri = (tmp_path / f"file{number}.py").as_uri()
        lines = text.split("\n")
        place = (len(lines) - 1, len(lines[-1]))
        client.open(uri, "python", text)
        suggestion = await complete(client, uri, place)
        offered += bool(suggestion)
        if number % 4 == 3:
            await asyncio.sleep(0.5)
            client.change(uri, place, place, "~")
        elif suggestion:
            client.change(uri, place, place, suggestion)
        client.close(uri)
    assert await client.shutdown() == 0
    episodes = falcon(tmp_path, "memory", "list")
    outcomes = {row["outcome"] for row in episodes if row["source"] == "model"}
    assert offered >= len(FUNCTIONS) // 2
    assert {"accepted", "rejected"} <= outcomes
    report = falcon(tmp_path, "--train-from-logs")
    assert report["episodes"] + report["waiting"] == len(episodes)
    versions = falcon(tmp_path, "adapters", "list")
    assert versions or report["waiting"] or report["skipped"]  # an adapter, or the reason why none
    for version in versions:
        assert version["status"] == "promoted" or version["reasons"]
