"""A developer types in real files; how long each answer takes, measured at the editor's end.

Starts the server over stdio and edits files of installed packages that no adapter was trained on:
characters as they stood there, pauses, deletions, jumps to other lines. Some keystrokes wait for
their answer (their times are not cut short by the next key), the others withdraw the question when
the next key comes, as editors do. Writes ``benchmarks/results/latency.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.metadata
import json
import math
import os
import platform
import random
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

from falcon_lsp.lsp.client import LspClient, ResponseError

PACKAGES = ("jinja2", "networkx", "attr")
RESULT = Path(__file__).parent / "results" / "latency.json"
PATIENT, PAUSE, DELETE, JUMP = 0.5, 0.08, 0.08, 0.08
"""Chances that a keystroke waits for its answer, comes after a pause, deletes, or jumps away."""
SEED = 3
KEY_SECONDS, PAUSE_SECONDS = 0.15, 0.8
FAST_MS = 200.0
KINDS = {
    "cold": "first request in a file",
    "warm": "keystroke that waits for its answer, model asked",
    "typed_through": "keystroke that the suggestion before foresaw: same completion id, no model",
    "cancelled": "from the withdrawal to the answer that confirms it",
}


class Editor(LspClient):
    """A client that knows the id of its last request, to withdraw it and see the answer."""

    last_id = 0

    def _send(self, message: dict[str, Any]) -> None:
        if "method" in message and "id" in message:
            self.last_id = message["id"]
        super()._send(message)


class Typist:
    """One file in the editor: ``rest`` is what stood after the cursor and is typed again."""

    def __init__(self, editor: Editor, file: Path, rng: random.Random) -> None:
        self.editor, self.uri, self.rng = editor, file.as_uri(), rng
        self.lines = file.read_text(encoding="utf-8").split("\n")
        self.line = self.column = 0
        self.rest = ""
        editor.open(self.uri, "python", "\n".join(self.lines))

    def step(self) -> None:
        """Make one edit: a jump, a deletion, or mostly the next character."""
        chance = self.rng.random()
        if not self.rest or chance < JUMP:
            self.jump()
        elif chance < JUMP + DELETE and self.column:
            character = self.lines[self.line][self.column - 1]
            self.replace(self.column - 1, self.column, "")
            self.rest = character + self.rest
        else:
            self.replace(self.column, self.column, self.rest[0])
            self.rest = self.rest[1:]

    def jump(self) -> None:
        """Go into a line of code and take away what follows."""
        self.line = self.rng.choice([n for n, t in enumerate(self.lines) if len(t.strip()) > 16])
        text = self.lines[self.line].rstrip("\r")
        indent = len(text) - len(text.lstrip())
        column = self.rng.randrange(indent + 2, len(text) - 8)
        self.rest = text[column:]
        self.replace(column, len(text), "")

    def replace(self, start: int, end: int, text: str) -> None:
        """Edit the line and tell the server."""
        old = self.lines[self.line]
        self.lines[self.line] = old[:start] + text + old[end:]
        self.editor.change(self.uri, (self.line, start), (self.line, end), text)
        self.column = start + len(text)


async def session(editor: Editor, files: list[Path], keys: int, rng: random.Random) -> Samples:
    """Type ``keys`` keystrokes in each file; return all measurements."""
    samples = Samples(psutil.Process(editor.process.pid))
    for file in files:
        typist, seen = Typist(editor, file, rng), ""
        for number in range(keys):
            await asyncio.sleep(PAUSE_SECONDS if rng.random() < PAUSE else 0)
            typist.step()
            patience = None if number == 0 or rng.random() < PATIENT else KEY_SECONDS
            begun = time.perf_counter()
            items = await ask(editor, typist, patience, samples)
            took = (time.perf_counter() - begun) * 1000
            found = items[0]["command"]["arguments"][0] if items else ""
            kind = "cold" if number == 0 else "typed_through" if found == seen != "" else "warm"
            samples.add(kind, took, bool(items), patience is None or kind == "typed_through")
            seen = found
            if patience and (left := patience - took / 1000) > 0:
                await asyncio.sleep(left)
        editor.close(typist.uri)
    return samples


async def ask(
    editor: Editor, typist: Typist, patience: float | None, samples: Samples
) -> list[dict[str, Any]]:
    """Ask for ghost text; withdraw the question after ``patience`` seconds."""
    asking = asyncio.create_task(editor.inline_completion(typist.uri, (typist.line, typist.column)))
    done, _ = await asyncio.wait({asking}, timeout=patience)
    if done:
        return asking.result()
    begun = time.perf_counter()
    editor.notify("$/cancelRequest", {"id": editor.last_id})
    try:
        return await asking
    except ResponseError:
        return []
    finally:
        samples.times["cancelled"].append((time.perf_counter() - begun) * 1000)


class Samples:
    """Times in milliseconds by kind, what came with text, and the server's memory."""

    def __init__(self, server: psutil.Process) -> None:
        self.server = server
        self.times: dict[str, list[float]] = defaultdict(list)
        self.keystrokes = self.answered = self.fast = self.peak = 0

    def add(self, kind: str, milliseconds: float, with_text: bool, timed: bool) -> None:
        """Note one keystroke; only those that waited count as times."""
        self.keystrokes += 1
        self.answered += with_text
        self.fast += with_text and milliseconds <= FAST_MS
        self.peak = max(self.peak, self.server.memory_info().rss)
        if timed:
            self.times[kind].append(milliseconds)

    def as_dict(self) -> dict[str, Any]:
        """Return counts, percentiles (nearest rank) and shares of all keystrokes."""
        return {
            "keystrokes": self.keystrokes,
            "share_answered_with_text": round(self.answered / self.keystrokes, 3),
            "share_with_text_within_200_ms": round(self.fast / self.keystrokes, 3),
            "peak_rss_mb": round(self.peak / 1e6),
            "milliseconds": {kind: percentiles(self.times[kind]) for kind in KINDS},
        }


def percentiles(times: list[float]) -> dict[str, float | int | None]:
    """Return count, median and 95th percentile."""
    ordered = sorted(times)
    if not times:
        return {"n": 0, "p50": None, "p95": None}
    p50, p95 = (round(ordered[math.ceil(p * len(ordered)) - 1], 1) for p in (0.5, 0.95))
    return {"n": len(times), "p50": p50, "p95": p95}


async def measure(arguments: argparse.Namespace, store: str) -> dict[str, Any]:
    """Start a server on an empty store, type, and return the whole result."""
    rng, editor = random.Random(SEED), Editor()
    files = [file for package in PACKAGES for file in chosen(package, arguments.files, rng)]
    begun = time.perf_counter()
    await editor.start(
        [sys.executable, "-m", "falcon_lsp", "serve", "--stdio"], {"FALCON_DATA_DIR": store}
    )
    options = {"engine": arguments.engine, "learning": {"enable": False}}
    await editor.initialize(Path(os.path.commonpath(files)), options=options)
    initialized = time.perf_counter() - begun
    status = await until_ready(editor)
    ready = time.perf_counter() - begun
    samples = await session(editor, files, arguments.keys, rng)
    await editor.shutdown()
    return {
        "model": status["model"],
        "milliseconds_from_start_to_initialize_answered": round(initialized * 1000),
        "seconds_from_start_to_model_ready": round(ready, 2),
        "files": [f"{file.parent.name}/{file.name}" for file in files],
        **samples.as_dict(),
    }


async def until_ready(editor: Editor) -> dict[str, Any]:
    """Wait for the model; returns the status."""
    while True:
        status: dict[str, Any] = await editor.request("falcon/status", {})
        if status["state"] != "loading":
            return status
        await asyncio.sleep(0.05)


def chosen(package: str, count: int, rng: random.Random) -> list[Path]:
    """Draw files of an installed package, neither tiny nor huge."""
    (folder,) = importlib.import_module(package).__path__
    files = [f for f in sorted(Path(folder).rglob("*.py")) if 4e3 < f.stat().st_size < 6e4]
    return rng.sample(files, count)


def main() -> None:
    """Measure, write the result file, print a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="auto", choices=("auto", "fake"))
    parser.add_argument("--files", type=int, default=2, help="files of each package")
    parser.add_argument("--keys", type=int, default=30, help="keystrokes in each file")
    parser.add_argument("--note", default="", help="what else the machine was doing")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_args()
    machine = {
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "load_average_before": round(psutil.getloadavg()[0], 1),
        "note": arguments.note,
    }
    with tempfile.TemporaryDirectory() as store:
        result = asyncio.run(measure(arguments, store))
    command = f"python benchmarks/latency.py --engine {arguments.engine}"
    command += f" --files {arguments.files} --keys {arguments.keys}"
    body = {"command": command, "machine": machine, "kinds": KINDS, **result}
    arguments.out.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(body) if arguments.json else json.dumps(body["milliseconds"], indent=1))


if __name__ == "__main__":
    main()
