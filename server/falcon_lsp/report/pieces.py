"""What the sections are built of: tables, charts with legends, buttons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from falcon_lsp.report.markup import Content, Markup, tag

TITLES = {
    "time": "Over time",
    "rewards": "Rewards",
    "adapters": "Adapters",
    "memory": "What is remembered",
    "rejected": "Declined",
    "storage": "Storage",
}
"""The sections, in order."""

MOST_CHARACTERS = 160
"""Characters of a suggestion that a table shows."""


def contents() -> Markup:
    """Return the way to each section."""
    links = (tag("li", tag("a", title, href=f"#{name}")) for name, title in TITLES.items())
    return tag("nav", tag("ul", *links), aria_label="Sections")


def section(name: str, *content: Content) -> Markup:
    """Return one of the sections of `TITLES` with its heading."""
    heading = tag("h2", TITLES[name], id=name)
    return tag("section", heading, *content, aria_labelledby=name)


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[Content]]) -> Markup:
    """Return a table that scrolls by itself where it is long or wide, reachable by keyboard."""
    head = tag("tr", *(tag("th", name, scope="col") for name in header))
    body = [tag("tr", *map(_cell, row)) for row in rows]
    inner = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _cell(content: Content) -> Markup:
    is_number = not isinstance(content, Markup) and str(content)[:1] in "0123456789+−–"
    return tag("td", content, class_="number" if is_number else None)


def figure(chart: Markup, legend: Markup | None = None) -> Markup:
    """Return a chart with what its colours mean."""
    return tag("figure", chart, legend and tag("figcaption", legend))


def legend(*entries: tuple[str, str]) -> Markup:
    """Return a list of classes of `style.css` and what they stand for."""
    items = (
        tag("li", tag("span", class_=f"swatch {kind}", aria_hidden="true"), " ", text)
        for kind, text in dict.fromkeys(entries)
    )
    return tag("ul", *items, class_="legend")


def behind(table: Markup, what: str = "The numbers") -> Markup:
    """Return a table that is opened on demand, such as the numbers behind a chart."""
    return tag("details", tag("summary", what), table)


def nothing(text: str) -> Markup:
    """Return what stands where there is nothing to show yet."""
    return tag("p", text, class_="nothing")


def button(text: str, action: str, key: str, label: str | None = None, **data: Content) -> Markup:
    """Return a button; what it does goes to the editor as ``data-action`` and ``data-*``."""
    given = {f"data_{name.rstrip('_')}": value for name, value in data.items()}
    return tag(
        "button",
        text,
        type="button",
        id=f"{action}:{key}",
        aria_label=label,
        data_action=action,
        **given,
    )


def search_form(search: str) -> Markup:
    """Return the field that asks the editor for the report of other suggestions."""
    field = tag("input", type="search", id="search", name="search", value=search, maxlength=200)
    button = tag("button", "Search", type="submit", id="search:submit")
    label = tag("label", "Search what is remembered ", for_="search")
    return tag("form", label, field, " ", button, data_action="search", role="search")


def place(workspace: str, path: str) -> Markup:
    """Return a file by its path, with its folder for the mouse."""
    folder = PurePosixPath(unquote(urlsplit(workspace).path)).name if workspace else ""
    return tag("bdi", path, title=f"{folder}/{path}" if folder else path)


def code(text: str) -> Markup:
    """Return the beginning of a suggestion as code."""
    shown = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
    return tag("pre", tag("code", shown.strip("\r\n")))
