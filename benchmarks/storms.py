"""What else waits while more is asked than any engine can answer, and how soon withdrawals are.

Two storms at the real server over stdio, the model loaded. A thousand requests, each withdrawn
right after it was sent: from the withdrawal to the answer. And a hundred requests at once, each in
a file of its own: how long a change with a question behind it takes meanwhile, and ``shutdown``.
The files are the server's own sources. Prints JSON; milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import falcon_lsp
from falcon_lsp.lsp.client import ResponseError
from keystrokes.editor import Editor
from keystrokes.replay import place

REQUESTS, CHANGES, WITHDRAWN, AT_ONCE = 100, 20, 1000, 50
SHORTEST = 20
"""Lines of a file that is worth asking about."""


def main() -> None:
    """Raise both storms and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="auto", choices=("auto", "onnx", "torch", "fake"))
    engine = parser.parse_args().engine
    texts = [path.read_text("utf-8") for path in Path(falcon_lsp.__file__).parent.rglob("*.py")]
    texts = [text for text in texts if text.count("\n") > SHORTEST][:REQUESTS]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = asyncio.run(measure(Path(folder).resolve(), engine, texts))
    print(json.dumps({"engine": engine, "files": len(texts), **found}, indent=1))


async def measure(root: Path, engine: str, texts: list[str]) -> dict[str, Any]:
    """Start a server, open the files, and raise one storm after the other."""
    editor = await Editor.launch(root, root / "data", engine)
    await editor.until_ready()
    uris = [(root / f"file_{number}.py").as_uri() for number in range(len(texts))]
    for uri, text in zip(uris, texts, strict=True):
        editor.open(uri, "python", text)
    return {
        "withdrawn": await withdraw(editor, uris, texts),
        "at once": await crowd(editor, uris, texts),
    }


async def withdraw(editor: Editor, uris: list[str], texts: list[str]) -> dict[str, Any]:
    """Ask `WITHDRAWN` times, some at a time, and withdraw each at once."""
    waits, became = list[float](), Counter[str]()
    for start in range(0, WITHDRAWN, AT_ONCE):
        asked, begun = [], []
        for number in range(start, start + AT_ONCE):
            file = number % len(uris)
            where = place(texts[file], len(texts[file]) * (1 + number % 7) // 8)
            asked.append(asyncio.create_task(settled(editor, uris[file], where, became)))
            await asyncio.sleep(0)  # sends it
            editor.notify("$/cancelRequest", {"id": editor.last_id})
            begun.append(time.perf_counter())
        ends = await asyncio.gather(*asked)
        waits += [(end - start) * 1e3 for start, end in zip(begun, ends, strict=True)]
    return {"requests": WITHDRAWN, "became": dict(became), **spread(waits)}


async def crowd(editor: Editor, uris: list[str], texts: list[str]) -> dict[str, Any]:
    """Ask in every file at once; then time changes, and the end."""
    became, waits = Counter[str](), list[float]()
    asked = [
        asyncio.create_task(settled(editor, uri, place(text, len(text) // 2), became))
        for uri, text in zip(uris, texts, strict=True)
    ]
    await asyncio.sleep(0)
    for number in range(CHANGES):
        begun = time.perf_counter()
        editor.change(uris[number], (0, 0), (0, 0), "#")
        await unknown(editor)
        waits.append((time.perf_counter() - begun) * 1e3)
    open_still = sum(not task.done() for task in asked)
    begun = time.perf_counter()
    await editor.request("shutdown")
    ended = (time.perf_counter() - begun) * 1e3
    await asyncio.gather(*asked)
    editor.notify("exit")
    await editor.process.wait()
    return {
        "requests": len(asked),
        "open at shutdown": open_still,
        "became": dict(became),
        "didChange": spread(waits),
        "shutdown": round(ended, 1),
    }


async def settled(editor: Editor, uri: str, where: tuple[int, int], became: Counter[str]) -> float:
    """Ask, count what became of it, and return when."""
    try:
        became["text" if await editor.inline_completion(uri, where) else "nothing"] += 1
    except ResponseError:
        became["cancelled"] += 1
    return time.perf_counter()


async def unknown(editor: Editor) -> None:
    """Ask what needs no work: the answer says that all before it has been read."""
    with contextlib.suppress(ResponseError):
        await editor.request("no/such/method", {})


def spread(milliseconds: list[float]) -> dict[str, float]:
    """Return the middle and the end of a distribution."""
    cuts = statistics.quantiles(milliseconds, n=20, method="inclusive")
    return {
        "p50": round(cuts[9], 1),
        "p95": round(cuts[18], 1),
        "most": round(max(milliseconds), 1),
    }


if __name__ == "__main__":
    main()
