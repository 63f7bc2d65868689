"""A running server with the fake engine, driven as an editor would, and its store read back."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from falcon_lsp.lsp.client import LspClient

COMMAND = [sys.executable, "-m", "falcon_lsp", "serve", "--stdio"]
SOURCE = "def total(prices):\n    return sum(prices)\n\n\ndef average(prices):\n    return "

VSCODE = {
    "general": {"positionEncodings": ["utf-16"]},
    "textDocument": {"inlineCompletion": {"dynamicRegistration": True}},
    "window": {"workDoneProgress": True, "showMessage": {}},
    "workspace": {"configuration": True, "workspaceFolders": True},
}
NEOVIM = {
    "general": {"positionEncodings": ["utf-8", "utf-16", "utf-32"]},
    "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}},
    "window": {"workDoneProgress": True},
    "workspace": {"configuration": True, "workspaceFolders": True},
}


@asynccontextmanager
async def running(
    store: Path, root: Path, capabilities: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[LspClient]:
    """Start a server on ``store``; settings are the client's configuration."""
    configuration = {"falcon": {"engine": "fake", "learning": {"enable": False}, **settings}}
    client = LspClient(configuration)
    folders = {"FALCON_DATA_DIR": str(store / "data"), "FALCON_CACHE_DIR": str(store / "cache")}
    await client.start(COMMAND, env=folders)
    try:
        await client.initialize(root, VSCODE if capabilities is None else capabilities)
        yield client
    finally:
        await client.shutdown()


async def ready(client: LspClient) -> dict[str, Any]:
    """Wait until the engine is there; returns the status."""
    while True:
        status: dict[str, Any] = await client.request("falcon/status", {})
        if status["state"] != "loading":
            return status
        await asyncio.sleep(0.05)


def document(root: Path, text: str = SOURCE, name: str = "shop.py") -> tuple[str, tuple[int, int]]:
    """Return the URI of a file and the place at the end of ``text``."""
    lines = text.split("\n")
    return (root / name).as_uri(), (len(lines) - 1, len(lines[-1]))


async def offered(client: LspClient, uri: str, place: tuple[int, int]) -> dict[str, Any]:
    """Ask for ghost text until some comes; returns the first item."""
    for _ in range(50):
        if items := await client.inline_completion(uri, place):
            return items[0]
        await asyncio.sleep(0.1)
    raise AssertionError("no suggestion came")


def falcon(store: Path, *arguments: str) -> Any:
    """Run ``falcon-lsp ... --json`` on the store and return what it prints."""
    folders = ["--data-dir", str(store / "data"), "--cache-dir", str(store / "cache")]
    done = subprocess.run(
        [sys.executable, "-m", "falcon_lsp", *arguments, "--json", *folders],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def outcomes(store: Path) -> list[tuple[str, bool]]:
    """Return each episode's outcome and whether it was inferred, oldest first."""
    return [(row["outcome"], row["inferred"]) for row in falcon(store, "memory", "list")]
