"""Show the whole loop on real input: type into real files, accept, reject, recall, train once.

Starts the server as an editor would and speaks nothing but the Language Server Protocol to it. The
files belong to installed packages that no falcon-lsp adapter was trained on.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from falcon_lsp.lsp.client import LspClient

PACKAGES = ("networkx", "attr", "jinja2", "rich", "sympy")
"""Imports of projects that stand in never-train.txt."""

GHOST, PLAIN = "\033[2m", "\033[0m"
LOOKING_SECONDS = 0.8
"""How long a file is looked at before the first key."""
THINKING_SECONDS = 0.5
TYPED = 3
"""Characters typed at each place before the suggestion is asked for."""


@dataclass(frozen=True)
class Spot:
    """A place in a line where a developer might be typing; ``truth`` is the rest of the line."""

    file: Path
    line: int
    column: int
    typed: str
    truth: str


def main() -> int:
    """Run the demo; exit code 1 when a part of the loop did not work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spots", type=int, default=20, help="places to type at")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--engine", default="auto", choices=("auto", "fake"))
    parser.add_argument("--keep", type=Path, help="keep the store in this folder")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="falcon-demo-") as scratch:
        store = arguments.keep or Path(scratch) / "store"
        workspace = Path(scratch).resolve() / "workspace"
        failed = asyncio.run(demonstrate(arguments, store, workspace))
        failed |= show_learning(store)
    print(f"\nThe demo took {time.monotonic() - started:.0f} s.")
    return int(failed)


async def demonstrate(arguments: argparse.Namespace, store: Path, workspace: Path) -> bool:
    """Type at real places through the server; return whether anything failed."""
    heading("Start the server as an editor would (stdio, Language Server Protocol)")
    spots = copied(choose_spots(arguments.spots, random.Random(arguments.seed)), workspace)
    client = LspClient()
    settings = {"engine": arguments.engine, "learning": {"enable": False}}
    command = [sys.executable, "-m", "falcon_lsp", "serve", "--stdio"]
    await client.start(command, env={"FALCON_DATA_DIR": str(store)})
    begun = time.perf_counter()
    await client.initialize(workspace, options=settings)
    print(f"initialize answered in {(time.perf_counter() - begun) * 1000:.0f} ms")
    await until_ready(client)
    heading(f"Type at {len(spots)} places of files the model has never seen")
    shown = exact = 0
    latencies: list[float] = []
    for number, spot in enumerate(spots):
        text, milliseconds = await visit(client, spot, number)
        latencies.append(milliseconds)
        shown += bool(text)
        exact += text.strip() == spot.truth.strip() != ""
    status = await client.request("falcon/status", {})
    await client.shutdown()
    latencies.sort()
    print(
        f"\n{shown} of {len(spots)} places got a suggestion, {exact} exactly what stood there; "
        f"median {latencies[len(latencies) // 2]:.0f} ms. Model {status['model']}."
    )
    return shown == 0


async def visit(client: LspClient, spot: Spot, number: int) -> tuple[str, float]:
    """Open the file with the rest of a line gone, type a little, ask, and react."""
    lines = spot.file.read_text(encoding="utf-8").split("\n")
    head = lines[spot.line][: spot.column]
    lines[spot.line] = head
    uri, column = spot.file.as_uri(), spot.column
    client.open(uri, "python", "\n".join(lines))
    cursor = {"line": spot.line, "character": column}
    client.notify("falcon/cursor", {"uri": uri, "position": cursor})
    await asyncio.sleep(LOOKING_SECONDS)
    for character in spot.typed:
        client.change(uri, (spot.line, column), (spot.line, column), character)
        column += 1
    begun = time.perf_counter()
    items = await client.inline_completion(uri, (spot.line, column))
    milliseconds = (time.perf_counter() - begun) * 1000
    suggestion = str(items[0]["insertText"]) if items else ""
    accepted = bool(suggestion) and spot.truth.startswith(suggestion.split("\n")[0])
    print(f"{number + 1:3}  {spot.file.parent.name}/{spot.file.name}  {milliseconds:.0f} ms")
    print(f"     {head.lstrip()}{spot.typed}{GHOST}{suggestion or '(nothing)'}{PLAIN}")
    if suggestion and not accepted:
        print(f"     stood there: {spot.truth}")
    await react(client, uri, (spot.line, column), suggestion if accepted else "", spot.truth)
    client.close(uri)
    return suggestion, milliseconds


async def react(
    client: LspClient, uri: str, at: tuple[int, int], accepted: str, truth: str
) -> None:
    """Take the suggestion, or type what stood there: plain edits, nothing else."""
    if accepted:
        client.change(uri, at, at, accepted)
        return
    await asyncio.sleep(THINKING_SECONDS)
    for index, character in enumerate(truth):
        place = (at[0], at[1] + index)
        client.change(uri, place, place, character)


def choose_spots(count: int, rng: random.Random) -> list[Spot]:
    """Draw cursors inside lines of code of the evaluation packages."""
    files: list[Path] = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec and spec.submodule_search_locations:
            found = sorted(Path(spec.submodule_search_locations[0]).rglob("*.py"))
            code = [f for f in found if 3_000 < f.stat().st_size < 60_000 and "_data" not in str(f)]
            files += rng.sample(code, 4)
    spots: list[Spot] = []
    while len(spots) < count:
        file = rng.choice(files)
        source = file.read_text(encoding="utf-8")
        lines = source.split("\n")
        number = rng.randrange(20, len(lines))
        line = lines[number].rstrip()
        code = line.strip()
        if len(code) < 16 or code.startswith(("#", '"', "'")):
            continue
        column = len(line) - len(code) + rng.randrange(2, len(code) - 9)
        typed, truth = line[column : column + TYPED], line[column + TYPED :]
        spots.append(Spot(file, number, column, typed, truth))
    return spots


def copied(spots: list[Spot], workspace: Path) -> list[Spot]:
    """Copy the files into a workspace of their own: where they lie, git ignores them."""
    above = Path(os.path.commonpath([spot.file for spot in spots]))
    moved = [replace(spot, file=workspace / spot.file.relative_to(above)) for spot in spots]
    for spot, copy in zip(spots, moved, strict=True):
        copy.file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(spot.file, copy.file)
    return moved


async def until_ready(client: LspClient) -> None:
    """Wait for the model, showing what it is doing; exits with its message when it cannot load."""
    begun = time.monotonic()
    while True:
        status = await client.request("falcon/status", {})
        if status["state"] == "trouble":
            raise SystemExit(f"the model is not there: {status['message']}")
        if status["state"] != "loading":
            print(f"model ready after {time.monotonic() - begun:.1f} s: {status['model']}")
            return
        await asyncio.sleep(0.2)


def show_learning(store: Path) -> bool:
    """Print what was recorded, recall from it, train once and show the gate's verdict."""
    heading("What was recorded, from plain edits alone (falcon-lsp memory list)")
    subprocess.run(falcon(store, "memory", "list", "--limit", "12"), check=True)
    heading("What long-term memory recalls at a place like the first (falcon-lsp memory recall)")
    subprocess.run(falcon(store, "memory", "recall", "def __init__(self, graph"), check=True)
    heading("One training update and the gate's verdict (falcon-lsp --train-from-logs)")
    done = subprocess.run(falcon(store, "--train-from-logs"), check=False)
    listed = subprocess.run(
        falcon(store, "adapters", "list", "--json"), check=True, capture_output=True, text=True
    )
    for row in json.loads(listed.stdout):
        print(f"{row['id']}: {row['status']} ({'; '.join(row['reasons']) or 'passed'})")
    return done.returncode != 0


def falcon(store: Path, *arguments: str) -> list[str]:
    """Return the command line of falcon-lsp on this store."""
    return [sys.executable, "-m", "falcon_lsp", *arguments, "--data-dir", str(store)]


def heading(text: str) -> None:
    """Print a heading at once, so that progress can be followed."""
    print(f"\n\033[1m{text}\033[0m", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
