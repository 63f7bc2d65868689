"""One whole run: who is asked what, in which order, and what is measured beside it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.loader import find_model
from keystrokes import decode, machine, probes, shadow
from keystrokes.editor import Editor, Served
from keystrokes.llama_cpp import KINDS, LlamaCpp
from keystrokes.peer import Peer, PeerServer, Questions
from keystrokes.recording import Part
from keystrokes.replay import Moment, Sample, System, replay

SHIPPED = Path(__file__).parents[2] / "server" / "falcon_lsp" / "data" / "adapters" / "fim"
SETTLE = 0.5
"""Seconds between two systems' turns, so that the afterwork of one does not slow the other."""


@dataclass(frozen=True)
class Bench:
    """What a run needs: the parts to type, where, and the engine to ask."""

    parts: Sequence[Part]
    store: Store
    workspace: Path
    data: Path
    engine: str
    threads: int = field(default_factory=lambda: psutil.cpu_count(logical=False) or 1)
    tells_cursor: bool = True

    @cached_property
    def files(self) -> ModelFiles:
        """The weights that our engine and the peer compute with."""
        return find_model(Config(), self.store)

    def write_workspace(self) -> None:
        """Put the files on disk as they are when they are opened."""
        for part in self.parts:
            file = self.workspace / part.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(part.opened, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Session:
    """What the typing showed: samples and the most memory (megabytes), by system."""

    model: str
    samples: dict[str, list[Sample]]
    peak: dict[str, float]
    probes: dict[str, Any]


async def collect(bench: Bench) -> Questions:
    """Return what our engine is asked at each keystroke, from a run without an engine."""
    found = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log, data = Path(folder) / "questions.jsonl", Path(folder) / "data"
        editor = await Editor.launch(bench.workspace, data, "auto", shadow.command(log))
        await editor.until_ready()
        asked, served = shadow.Questions(log, bench.files), Served(editor, bench.workspace)
        for part in bench.parts:
            served.open(part)
            document = part.opened
            for number, step in enumerate(part.steps):
                if step.is_move:
                    continue
                before, document = document, step.apply(document, part.original)
                await served.ask(Moment(part, number, step, before, document)).answer()
                if question := asked.latest(document[: step.cursor]):
                    found[part.path, number] = question
            served.close(part)
        await editor.shutdown()
    return found


async def start_peers(
    stack: contextlib.AsyncExitStack, bench: Bench, llama: LlamaCpp, questions: Questions
) -> list[Peer]:
    """Start llama.cpp's server once for each kind of weights; ``stack`` ends them."""
    peers = []
    for kind in KINDS:
        weights = await asyncio.to_thread(llama.weights, bench.files, kind)
        server = PeerServer(llama.server, weights, bench.threads)
        await stack.enter_async_context(server)
        peers.append(Peer(f"llama.cpp {kind}", server, questions))
    return peers


async def type_session(bench: Bench, peers: Sequence[Peer], *, with_probes: bool) -> Session:
    """Type the session to our server and to ``peers``, in alternating order."""
    editor = await Editor.launch(bench.workspace, bench.data, bench.engine)
    status = await editor.until_ready()
    served = Served(editor, bench.workspace, tells_cursor=bench.tells_cursor)
    systems: list[System] = [served, *peers]
    samples: dict[str, list[Sample]] = {system.name: [] for system in systems}
    pids = {Served.name: editor.process.pid} | {peer.name: peer.server.pid for peer in peers}
    watch = machine.Watch(pids)
    with watch.watching():
        for number, part in enumerate(bench.parts):
            turn = number % len(systems)
            for system in systems[turn:] + systems[:turn]:
                samples[system.name] += await replay(system, part, number)
                await asyncio.sleep(SETTLE)
    probed = await _probe(bench, editor) if with_probes else {}
    await editor.shutdown()
    return Session(status["model"], samples, watch.peak, probed)


async def _probe(bench: Bench, editor: Editor) -> dict[str, Any]:
    part = max(bench.parts, key=lambda part: len(part.original))
    found = {"stop": await probes.stop(editor, bench.workspace, part)}
    if bench.engine != "fake":
        store = Store(bench.data, bench.store.cache)
        found["swap"] = await probes.swap(
            editor, bench.workspace, part, store, bench.files, SHIPPED
        )
    return found


async def decoding(
    bench: Bench, llama: LlamaCpp | None, peers: Sequence[Peer], bandwidth: float
) -> dict[str, Any]:
    """Return tokens a second of our engine and of the peers, and the share of the limit."""
    rows = {Served.name: await asyncio.to_thread(decode.ours)}
    for peer, kind in zip(peers, KINDS, strict=False):
        if llama is not None:
            rows[peer.name] = await decode.theirs(peer.server, llama.weights(bench.files, kind))
    return {name: decode.with_limit(row, bandwidth) for name, row in rows.items()}
