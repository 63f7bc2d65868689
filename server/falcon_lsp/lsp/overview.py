"""What the editor shows of the learning: the report as HTML, and all that is recorded."""

from __future__ import annotations

from typing import Any

from falcon_lsp.lsp.application import Application
from falcon_lsp.memory.event_log import to_line
from falcon_lsp.memory.events import Event
from falcon_lsp.report import page
from falcon_lsp.report.gather import gather

EXPORTED = 500
"""Events that one answer of `export` carries."""


def render(app: Application, search: str, *, whole: bool) -> dict[str, str]:
    """Return the report as content for the editor's frame with its ``style``, or as a whole page.

    Blocks while the ledger is read. A ledger that cannot be read is told in one sentence.
    """
    memory = app.memory
    made = memory and memory.read(
        lambda ledger: gather(
            app.store,
            ledger,
            search=search,
            scope=app.served.wanted,
            rejections=memory.rejections(),
        ),
        None,
    )
    if not made:
        return {"html": page.unavailable("The memory is not open yet."), "style": page.style()}
    if whole:
        return {"html": page.page(made), "style": ""}
    return {"html": page.fragment(made, actions=True), "style": page.style()}


def export(app: Application, after: int) -> dict[str, Any]:
    """Return the next recorded events, one JSON text each, and after what to ask for more.

    ``next`` is None when these were the last.
    """
    found: list[tuple[int, Event]] = []
    if app.memory is not None:
        found = app.memory.read(lambda ledger: ledger.events(after, EXPORTED), found)
    lines = [to_line(event) for _, event in found]
    return {"lines": lines, "next": found[-1][0] if found else None}
