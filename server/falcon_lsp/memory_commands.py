"""What ``falcon-lsp memory ACTION`` does: see, forget, export and import what was recorded."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any

from falcon_lsp.commands import UserError, open_ledger, open_writing, read_config, read_store
from falcon_lsp.memory.rejections import rejection_row
from falcon_lsp.output import (
    episode_line,
    episode_row,
    key_values,
    recalled_line,
    rejection_line,
    show,
)

RECALL_DEADLINE_MS = 60_000
"""Someone who asks by hand may wait for the index to be opened."""

UNLEARN_SECONDS = 10.0
"""How long to wait for a trainer to end."""

UNFINISHED = "a trainer or an engine is still at work; what it holds goes when it ends"
"""Said when not all that was learned could be dropped yet."""


def list_episodes(arguments: argparse.Namespace) -> int:
    """List episodes, oldest first."""
    with open_ledger(arguments) as ledger:
        episodes = ledger.episodes(workspace=arguments.workspace, limit=arguments.limit)
    rows = [episode_row(episode) for episode in episodes]
    show(arguments, rows, lambda found: [episode_line(row) for row in found])
    return 0


def show_episode(arguments: argparse.Namespace) -> int:
    """Show one episode with everything that is recorded of it."""
    with open_ledger(arguments) as ledger:
        episode = ledger.episode(arguments.id)
    if episode is None:
        raise UserError(f"there is no episode {arguments.id}; see `falcon-lsp memory list`")
    print(json.dumps(asdict(episode), indent=2, default=str))
    return 0


def forget_episodes(arguments: argparse.Namespace) -> int:
    """Erase episodes for good: ledger, index, and what was trained from them."""
    from falcon_lsp.learning.forgetting import unlearn

    with _memory(arguments) as memory:
        gone = memory.forget(
            completion_ids=[arguments.id] if arguments.id else None,
            event_id=arguments.event,
            path=arguments.path,
            workspace=arguments.workspace,
            day=_day(arguments.day) if arguments.day else None,
        )
    with open_ledger(arguments) as ledger:
        dropped, done = unlearn(read_store(arguments), ledger, UNLEARN_SECONDS)
    body = {"forgotten": len(gone), "adapters_dropped": list(dropped), "finished": done}
    show(arguments, body, key_values)
    if not done:
        print(UNFINISHED, file=sys.stderr)
    return 0


def export_events(arguments: argparse.Namespace) -> int:
    """Write every event as one JSON line."""
    with open_ledger(arguments) as ledger, open_writing(arguments.path) as file:
        count = ledger.export_jsonl(file)
    show(arguments, {"exported": count, "file": str(arguments.path)}, key_values)
    return 0


def import_events(arguments: argparse.Namespace) -> int:
    """Read exported events; broken lines are named, the rest is used."""
    if not arguments.path.is_file():
        raise UserError(f"there is no file {arguments.path}")
    with open_ledger(arguments) as ledger:
        report = ledger.import_jsonl(arguments.path)
    for line, reason in report.skipped:
        print(f"{arguments.path}:{line}: {reason}", file=sys.stderr)
    body = {"imported": report.used, "skipped": len(report.skipped)}
    show(arguments, body, key_values)
    return 0


def recall_text(arguments: argparse.Namespace) -> int:
    """Show what long-term memory says about a text, successes and failures alike."""
    with _index(arguments) as memory:
        workspace = arguments.workspace
        if workspace is None:
            latest = memory.recent_episodes(limit=1)
            workspace = latest[0].workspace if latest else ""
        found = memory.recall_records(
            arguments.text, workspace, arguments.language, arguments.limit, RECALL_DEADLINE_MS
        )
    rows = [{"score": round(each.score, 3), **asdict(each.record)} for each in found]
    show(arguments, rows, lambda rows: [recalled_line(row) for row in rows])
    return 0


def list_rejected(arguments: argparse.Namespace) -> int:
    """List what was rejected and is not offered again, or let one of it be offered again."""
    with _memory(arguments) as memory:
        if arguments.undo:
            if not (count := memory.forgive(arguments.undo)):
                raise UserError(
                    f"nothing rejected is called {arguments.undo}; see `falcon-lsp memory rejected`"
                )
            show(arguments, {"undone": count}, key_values)
            return 0
        if arguments.never:
            if not memory.refuse(arguments.never):
                raise UserError(
                    f"no suggestion is called {arguments.never}; see `falcon-lsp memory list`"
                )
            show(arguments, {"refused": 1}, key_values)
            return 0
        rows = [rejection_row(each) for each in memory.rejections(arguments.workspace)]
    show(arguments, rows, lambda found: [rejection_line(row) for row in found])
    return 0


def rebuild_index(arguments: argparse.Namespace) -> int:
    """Build the index anew from the ledger."""
    with _index(arguments) as memory:
        if owner := memory.status()["recall"]["through"]:
            raise UserError(f"{owner}: close it, or let it rebuild by deleting the index's folder")
        count = memory.rebuild()
    show(arguments, {"indexed": count}, key_values)
    return 0


@contextmanager
def _memory(arguments: argparse.Namespace) -> Iterator[Any]:
    from falcon_lsp.memory.service import MemoryService

    config = read_config(arguments)
    service = MemoryService(read_store(arguments), config.memory, server=config.memory_server)
    with closing(service) as memory:
        if not memory.open():
            raise UserError(memory.status()["trouble"])
        yield memory


@contextmanager
def _index(arguments: argparse.Namespace) -> Iterator[Any]:
    """Yield the memory once its index is up to date; `UserError` when recall is off."""
    with _memory(arguments) as memory:
        memory.wait_indexed()
        recall = memory.status()["recall"]
        if not recall["available"]:
            raise UserError(recall["reason"])
        yield memory


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{text}: write a day as YYYY-MM-DD") from error
