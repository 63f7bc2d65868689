"""What the commands print: JSON for programs, aligned lines for people, a bar while it takes."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from falcon_lsp.memory.episodes import Episode


def episode_row(episode: Episode) -> dict[str, Any]:
    """Return an episode as ``memory list --json`` prints it."""
    return {
        "completion_id": episode.completion_id,
        "time": episode.time,
        "workspace": episode.workspace,
        "path": episode.path,
        "language": episode.language,
        "text": episode.suggestion.text,
        "source": episode.suggestion.source,
        "adapter": episode.suggestion.adapter_id,
        "outcome": episode.outcome.value if episode.outcome else None,
        "inferred": episode.inferred,
        "chars_kept": episode.chars_kept,
        "diagnostics_added": len(episode.diagnostics_added),
        "diagnostics_removed": len(episode.diagnostics_removed),
        "settled_text": episode.settled_text,
    }


@contextmanager
def progress_bar(title: str, *, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar on stderr; ``quiet`` shows none."""
    if quiet:
        yield lambda _message, _share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda message, share: bar.update(task, description=message, completed=share)


def show(arguments: argparse.Namespace, body: Any, lines: Callable[[Any], list[str]]) -> None:
    """Print ``body`` as JSON when ``--json`` asks for it, else as ``lines`` puts it."""
    if arguments.json:
        print(json.dumps(body, default=str))
    else:
        print("\n".join(lines(body)) or "nothing yet")


def key_values(body: dict[str, Any]) -> list[str]:
    """Return one aligned line per entry."""
    width = max(map(len, body))
    return [f"{key.replace('_', ' '):{width}}  {_words(value)}" for key, value in body.items()]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in value.items())
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)


def check_line(row: dict[str, Any]) -> str:
    """Return one finding of the doctor."""
    return f"{'ok ' if row['ok'] else 'BAD'}  {row['name']}: {row['detail']}"


def episode_line(row: dict[str, Any]) -> str:
    """Return a row of `episode_row`, for people."""
    text = row["text"].strip().splitlines() or [""]
    guess = " (inferred)" if row["inferred"] else ""
    outcome = f"{row['outcome'] or 'open'}{guess}"
    return f"{row['completion_id']}  {outcome:24} {row['path']}  {text[0][:60]!r}"


def recalled_line(row: dict[str, Any]) -> str:
    """Return one record of long-term memory with its similarity."""
    said = row["suggested"] if row["settled"] is None else row["settled"]
    return f"{row['score']:.3f}  {row['outcome']:8} {row['path']}  {said.strip()[:60]!r}"


def rejection_line(row: dict[str, Any]) -> str:
    """Return one rejected text with how long it is kept back."""
    until = dt.datetime.fromtimestamp(row["until"]).astimezone()
    kept = f"until {until:%Y-%m-%d}" if row["blocks"] else "offered"
    kept = "for good" if row["never"] else kept
    text = row["text"].strip().splitlines() or [""]
    return f"{row['id']}  {kept:16} {row['path']}  {text[0][:60]!r}"


def server_lines(row: dict[str, Any]) -> list[str]:
    """Return one running server: its requests, and why nothing came, the latest first."""
    head = {f"server {row['pid']}": row["state"], "requests": row["requests"]}
    if row.get("judge"):
        head["texts are sent to the judge at"] = row["judge"]
    return ["", *key_values(head), *map(_silence_line, reversed(row["reasons"]))]


def _silence_line(row: dict[str, Any]) -> str:
    when = dt.datetime.fromtimestamp(row["time"]).astimezone()
    detail = f" ({row['detail']})" if row["detail"] else ""
    times = f" ×{row['times']}" if row["times"] > 1 else ""
    file = f"{row['language']} {row['file']}".strip()
    return f"  {when:%H:%M:%S}  {file:20}  {row['reason']}{detail}{times}. {row['advice']}"


def adapter_line(row: dict[str, Any]) -> str:
    """Return one version; a star marks those that are served."""
    mark = "*" if row["current"] else " "
    reasons = "; ".join(row["reasons"])
    where = f"  for {row['scope']}" if row["scope"] else ""
    return f"{mark} {row['id']}  {row['status']}  from {row['parent']}{where}  {reasons}"
