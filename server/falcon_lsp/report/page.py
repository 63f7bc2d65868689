"""The report as HTML: a fragment for the editor's own frame, or a whole page that needs nothing.

Neither holds a script. The page forbids everything but its own style; in the editor, buttons carry
``data-action`` and the extension decides what that means.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from falcon_lsp import __version__
from falcon_lsp.report import pieces, sections, words
from falcon_lsp.report.gather import Report
from falcon_lsp.report.markup import Markup, join, tag

TITLE = "What falcon-lsp has learned"


def style() -> str:
    """Return the style sheet, which takes the editor's colours where there are any."""
    return resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")


def fragment(report: Report, *, actions: bool) -> Markup:
    """Return the report's content; ``actions`` adds the buttons that somebody must listen to."""
    parts = (
        sections.over_time(report),
        sections.rewards(report),
        sections.adapters(report, actions=actions),
        sections.memory(report, actions=actions),
        sections.rejected(report, actions=actions),
        sections.storage(report, actions=actions),
    )
    made = tag("p", f"falcon-lsp {__version__}, {words.moment(report.made)}", class_="note")
    head = tag("header", tag("h1", TITLE), made, sections.summary(report), pieces.contents())
    return join(head, *parts)


def unavailable(reason: str) -> Markup:
    """Return what stands in the report's place when there is none."""
    return join(tag("h1", TITLE), tag("p", reason))


def page(report: Report) -> str:
    """Return a whole page that works from a file, without a network and without a script."""
    css = style()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", TITLE),
        tag("style", Markup(css)),
    )
    body = tag("body", tag("main", fragment(report, actions=False)), class_="page")
    return join(Markup("<!doctype html>\n"), tag("html", head, body, lang="en")) + "\n"
