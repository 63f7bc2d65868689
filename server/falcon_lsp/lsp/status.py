"""One answer to "how are things": the body of ``falcon/status`` and of its notification."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict
from typing import Any

from falcon_lsp.completion.policy import threshold
from falcon_lsp.lsp.application import Application
from falcon_lsp.lsp.session import Session


async def report(app: Application, session: Session, counters: Counter[str]) -> dict[str, Any]:
    """Return state, model, latency, the last reasons for silence, memory and training.

    What stands in the ledger is read beside the event loop: the disk may be slow.
    """
    memory, training, week = await asyncio.to_thread(_stored, app)
    engine = app.host.engine
    workspace = session.folders[0] if session.folders else ""
    return {
        "state": app.state(),
        "message": "; ".join([*app.troubles(), *session.problems]) or app.host.message,
        "model": engine.model_id if engine else app.config.model,
        "adapter": engine.adapter_id if engine else "",
        "p50Ms": session.latency.percentile(50),
        "p95Ms": session.latency.percentile(95),
        "requests": dict(session.latency.counts),
        "generation": dict(session.completion.counts),
        "snoozedUntil": app.snoozed_until if app.snoozed else None,
        "quiet": quiet_policy(app),
        "acceptance": app.short_term.acceptance(workspace),
        "week": week,
        "reasons": [asdict(reason) for reason in session.latency.reasons()],
        "silences": dict(session.latency.silences),
        "languages": list(app.config.languages),
        "memory": memory,
        "training": training,
        "errors": dict(counters),
    }


def quiet_policy(app: Application) -> dict[str, Any]:
    """Return how readily suggestions are shown, and how much that was learned from."""
    options = app.config.completion
    learned = app.experience.status() if app.experience and app.config.learning.instant else {}
    return {
        "aggressiveness": options.aggressiveness, "threshold": threshold(options), **learned,
    }  # fmt: skip


def _stored(app: Application) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return what the ledger says of memory, training and the last seven days."""
    memory, supervisor = app.memory, app.supervisor
    training = supervisor.status() if supervisor else {}
    return (memory.status(), training, app.week.figures(memory)) if memory else ({}, training, {})
