"""The heads of functions and classes that the code near the cursor names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from falcon_lsp.completion.sources import OpenDocument
from falcon_lsp.completion.syntax import Definition, definitions
from falcon_lsp.core.text import import_lines
from falcon_lsp.core.types import CompletionRequest, Snippet

NEAR_LINES: Final = 6
"""Lines above the cursor whose names are looked up."""

MOST_DEFINITIONS: Final = 2
"""A name that is defined in more places says too little."""

_USE: Final = re.compile(r"(\.\s*)?\b([^\W\d]\w{2,})\b(\s*\()?")


class Use(NamedTuple):
    """A name as it is used: behind a dot, or before an opening bracket."""

    name: str
    dotted: bool
    called: bool

    def may_mean(self, definition: Definition) -> bool:
        """Whether the use fits the kind of what is defined; a plain word may be any variable."""
        if definition.is_class:
            return True
        return self.dotted if definition.owner else self.called


def signatures(
    request: CompletionRequest, documents: Iterable[OpenDocument], visible: set[str]
) -> list[Snippet]:
    """Return, file by file, the heads of what the lines above the cursor name, nearest first.

    ``visible`` holds the stripped lines that the prompt shows anyway.
    """
    known: dict[str, list[tuple[str, Definition]]] = {}
    for document in documents:
        for definition in definitions(document.language, document.text):
            known.setdefault(definition.name, []).append((document.path, definition))
    shown: dict[str, list[str]] = {}
    for use in near_uses(request):
        found = [row for row in known.get(use.name, ()) if use.may_mean(row[1])]
        for path, definition in found if len(found) <= MOST_DEFINITIONS else ():
            if definition.line not in visible:
                shown.setdefault(path, []).extend(_lines(definition, known, request.language))
    return [Snippet(path, "\n".join(dict.fromkeys(lines))) for path, lines in shown.items()]


def near_uses(request: CompletionRequest) -> list[Use]:
    """Return what the last `NEAR_LINES` lines before the cursor use, the nearest first.

    Imports name things without saying anything about how they are used.
    """
    lines = request.prefix.rsplit("\n", NEAR_LINES)[-NEAR_LINES:]
    found = _USE.findall("\n".join(line for line in lines if not import_lines(line)))
    uses = (Use(name, bool(dot), bool(bracket)) for dot, name, bracket in reversed(found))
    return list(dict.fromkeys(uses))


def _lines(
    definition: Definition, known: dict[str, list[tuple[str, Definition]]], language: str
) -> list[str]:
    """Return a definition as code: a class with how it is made, a method inside its class."""
    lines = [definition.owner] if definition.owner else []
    lines += _rows(definition, "    " if definition.owner else "", language)
    if definition.is_class:
        for _, method in known.get("__init__", ()):
            if method.owner == definition.head:
                lines += _rows(method, "    ", language)
    return lines


def _rows(definition: Definition, indent: str, language: str) -> list[str]:
    if definition.summary:
        return [indent + definition.head, f"{indent}    {definition.summary}"]
    rest = "" if definition.is_class else " ..." if language == "python" else " {}"
    return [indent + definition.head + rest]
