"""What ``falcon-lsp adapters ACTION`` does: see versions and verdicts, choose what is served."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from falcon_lsp.commands import UserError, read_store
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.model.adapters import GLOBAL, AdapterRefused, AdapterRegistry, scope_of
from falcon_lsp.output import adapter_line, key_values, show


def list_versions(arguments: argparse.Namespace) -> int:
    """List every adapter version with the gate's verdict."""
    registry = _registry(arguments)
    served = {registry.current(scope=scope) for scope in {GLOBAL, *registry.served()}}
    rows = [{**asdict(m), "current": m.id in served} for m in registry.list()]
    show(arguments, rows, lambda found: [adapter_line(row) for row in found])
    return 0


def show_version(arguments: argparse.Namespace) -> int:
    """Show one version's manifest."""
    try:
        manifest = _registry(arguments).show(arguments.id)
    except (AdapterRefused, KeyError) as error:
        raise UserError(f"there is no adapter {arguments.id}") from error
    show(arguments, asdict(manifest), lambda body: [json.dumps(body, indent=2)])
    return 0


def list_verdicts(arguments: argparse.Namespace) -> int:
    """List what was decided of every version, also of those that are gone, with all numbers."""
    rows = VerdictLog(_registry(arguments).folder).rows()
    show(arguments, rows, lambda found: [line for row in found for line in _verdict_lines(row)])
    return 0


def roll_back(arguments: argparse.Namespace) -> int:
    """Choose an earlier adapter; a running server follows at its next idle moment."""
    registry = _registry(arguments)
    scope = _scope(arguments.workspace) if arguments.workspace else GLOBAL
    try:
        before = registry.current(scope=scope)
        chosen = registry.rollback(arguments.id, scope)
    except AdapterRefused as error:
        raise UserError(str(error)) from error
    VerdictLog(registry.folder).add_rollback(before, chosen, scope)
    show(arguments, {"current": chosen}, key_values)
    return 0


def _scope(workspace: str) -> str:
    """Return the scope of a folder, given as a path or as a URI."""
    return scope_of(workspace if "://" in workspace else Path(workspace).resolve().as_uri())


def _verdict_lines(row: dict[str, Any]) -> list[str]:
    when = dt.datetime.fromtimestamp(row["time"]).astimezone()
    where = row["scope"] or "everybody"
    numbers = [
        f"{name} {value:+.4f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in row.items()
        if name not in {"time", "what", "adapter", "scope", "reasons", "promoted"}
    ]
    head = f"{when:%Y-%m-%d %H:%M}  {row['adapter']}  {row['what']}  for {where}"
    reasons = [f"    - {reason}" for reason in row.get("reasons", ())]
    return [head, f"    {', '.join(numbers)}", *reasons]


def _registry(arguments: argparse.Namespace) -> AdapterRegistry:
    return AdapterRegistry(read_store(arguments).adapters)
