"""Measurements beside the session: start, adapter swap, what goes on after a withdrawal."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import new_id
from falcon_lsp.model.adapters import PROMOTED, AdapterManifest, AdapterRegistry
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.verification import CONFIG, WEIGHTS
from keystrokes.editor import Editor
from keystrokes.machine import Watch, processor_seconds
from keystrokes.recording import Part
from keystrokes.replay import place

STARTS = 3
START_LIMIT, SWAP_LIMIT = 120.0, 240.0
SWAP_INTERVAL, SWAP_BASELINE, SWAP_AFTER = 0.25, 12, 4
"""Seconds between two questions around a swap, how many come before it and after it."""
STOPS, STOP_AFTER, STILL, LOOK, STOP_LIMIT = 10, 0.08, 0.08, 0.02, 3.0
"""Questions withdrawn, seconds each is given, seconds without processor time that count as an end,
seconds between two looks, and when to give up."""
Place = tuple[int, int]


async def start(workspace: Path, part: Part, engine: str) -> dict[str, Any]:
    """Start the server `STARTS` times on empty stores, after once more that warms the cache."""
    initialized, first = [], []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as data:
        editor = await Editor.launch(workspace, Path(data), engine)
        await editor.until_ready()
        await editor.shutdown()
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as data:
            begun = time.perf_counter()
            editor = await Editor.launch(workspace, Path(data), engine)
            initialized.append((time.perf_counter() - begun) * 1e3)
            async with _opened(editor, workspace, part) as uri:
                await asyncio.wait_for(_first_text(editor, uri, part), START_LIMIT)
            first.append(time.perf_counter() - begun)
            await editor.shutdown()
    return {
        "starts": STARTS,
        "initialize_answered_ms": [round(ms) for ms in initialized],
        "first_completion_s": [round(seconds, 2) for seconds in first],
    }


async def swap(
    editor: Editor, workspace: Path, part: Part, store: Store, files: ModelFiles, adapter: Path
) -> dict[str, Any]:
    """Publish an adapter while questions go on; returns their waits and the memory.

    Nothing is typed meanwhile, since the server swaps when the keyboard rests.
    """
    async with _opened(editor, workspace, part) as uri:
        places = itertools.cycle(_places(part))
        before = [await _wait(editor, uri, next(places)) for _ in range(SWAP_BASELINE)]
        wanted = publish(store, files, adapter)
        watch = Watch({"server": editor.process.pid}, seconds=0.1)
        begun, took, during = time.perf_counter(), 0.0, list[float]()
        with watch.watching():
            while took < SWAP_LIMIT and await _adapter(editor) != wanted:
                during.append(await _wait(editor, uri, next(places)))
                took = time.perf_counter() - begun
            during += [await _wait(editor, uri, next(places)) for _ in range(SWAP_AFTER)]
        if await _adapter(editor) != wanted:
            return {"swapped": False, "seconds": round(took, 1)}
    return {
        "swapped": True,
        "seconds": round(took, 1),
        "questions": len(during),
        "longest_ms": round(max(during)),
        "median_ms": round(statistics.median(during)),
        "longest_before_ms": round(max(before)),
        "median_before_ms": round(statistics.median(before)),
        "peak_memory_mb": round(watch.peak["server"]),
    }


async def stop(editor: Editor, workspace: Path, part: Part) -> dict[str, Any]:
    """Withdraw questions at places not asked before; returns when the processor rests after it.

    The file is closed with it: in an open one the server goes on to read ahead.
    """
    rests: list[float] = []
    for where in _places(part)[:STOPS]:
        async with _opened(editor, workspace, part) as uri:
            asking = asyncio.ensure_future(editor.inline_completion(uri, where))
            await asyncio.sleep(STOP_AFTER)
            editor.notify("$/cancelRequest", {"id": editor.last_id})
        rests.append(await _rest(editor.process.pid))
        await asyncio.gather(asking, return_exceptions=True)
    rests.sort()
    return {"withdrawn": len(rests), "rests_after_ms": [round(seconds * 1e3) for seconds in rests]}


def publish(store: Store, files: ModelFiles, adapter: Path) -> str:
    """Make the matrices of ``adapter``, as a learned one has them, current; returns the new id."""
    registry = AdapterRegistry(store.adapters)
    folder = registry.new_temporary()
    config = json.loads((adapter / CONFIG).read_bytes())
    config.pop("trainable_token_indices", None)
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    pairs = {name: t for name, t in load_file(adapter / WEIGHTS).items() if ".lora_" in name}
    save_file(pairs, folder / WEIGHTS)
    manifest = AdapterManifest(new_id("adp"), files.sha256, status=PROMOTED)
    return registry.publish(folder, manifest).id


@asynccontextmanager
async def _opened(editor: Editor, workspace: Path, part: Part) -> AsyncIterator[str]:
    uri = (workspace / part.path).as_uri()
    editor.open(uri, "python", part.original)
    try:
        yield uri
    finally:
        editor.close(uri)


def _places(part: Part) -> Sequence[Place]:
    """Return the middles of lines of code, far from each other first."""
    return [place(part.original, at) for at in _offsets(part.original)]


def _offsets(text: str) -> Iterator[int]:
    lines = text.split("\n")
    starts = list(itertools.accumulate((len(line) + 1 for line in lines), initial=0))
    rows = [n for n, line in enumerate(lines) if len(line.strip()) > 16]
    for stride in range(7):
        for row in rows[stride::7]:
            indent = len(lines[row]) - len(lines[row].lstrip())
            yield starts[row] + (indent + len(lines[row])) // 2


async def _adapter(editor: Editor) -> str:
    return str((await editor.request("falcon/status", {}))["adapter"])


async def _first_text(editor: Editor, uri: str, part: Part) -> None:
    """Ask here and there until something is offered."""
    for where in itertools.cycle(_places(part)):
        if await editor.inline_completion(uri, where):
            return
        await asyncio.sleep(0.05)


async def _wait(editor: Editor, uri: str, where: Place) -> float:
    """Ask and return the milliseconds until the answer, whatever it is; then rest a little."""
    begun = time.perf_counter()
    await editor.inline_completion(uri, where)
    took = (time.perf_counter() - begun) * 1e3
    await asyncio.sleep(SWAP_INTERVAL)
    return took


async def _rest(pid: int) -> float:
    """Return the seconds until the processes stop computing, at most `STOP_LIMIT`."""
    begun = moved = time.perf_counter()
    spent = processor_seconds(pid)
    while (now := time.perf_counter()) - moved < STILL and now - begun < STOP_LIMIT:
        await asyncio.sleep(LOOK)
        if (latest := processor_seconds(pid)) > spent:
            spent, moved = latest, time.perf_counter()
    return moved - begun
