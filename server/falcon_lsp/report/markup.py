"""HTML that is escaped by construction: text becomes markup in one place only.

Whatever comes from a user's code, file names or settings is a plain `str` and is escaped where it
enters an element; only `Markup`, which `tag` alone makes, stays as it is.
"""

from __future__ import annotations

import html


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | int | float | None
"""What may stand in an element: markup as it is, anything else as escaped text, None nowhere."""

_VOID = frozenset({"input", "meta", "br", "hr"})


def tag(name: str, /, *content: Content, **attributes: Content | bool) -> Markup:
    """Return an element. ``class_`` and ``data_id`` stand for ``class`` and ``data-id``.

    An attribute that is None or False is left out, one that is True stands without a value.
    """
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{opening}>")
    return Markup(f"<{name}{opening}>{join(*content)}</{name}>")


def join(*content: Content) -> Markup:
    """Return pieces one after the other."""
    return Markup("".join(_escaped(piece) for piece in content if piece is not None))


def _attribute(key: str, value: Content | bool) -> str:
    if value is None or value is False:
        return ""
    name = key if key == "viewBox" else key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value), quote=True)}"'


def _escaped(piece: Content) -> str:
    return piece if isinstance(piece, Markup) else html.escape(str(piece), quote=True)
