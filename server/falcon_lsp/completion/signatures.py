"""The heads of functions and classes that the code near the cursor names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from falcon_lsp.completion.sources import OpenDocument
from falcon_lsp.completion.syntax import Definition, definitions
from falcon_lsp.core.types import CompletionRequest, Snippet

NEAR_LINES: Final = 12
"""Lines above the cursor whose names are looked up."""

MOST_DEFINITIONS: Final = 2
"""A name that is defined in more places says too little."""

_WORD: Final = re.compile(r"[^\W\d]\w{2,}")


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
    for name in near_names(request):
        found = known.get(name, ())
        for path, definition in found if len(found) <= MOST_DEFINITIONS else ():
            if definition.line not in visible:
                shown.setdefault(path, []).extend(_lines(definition, known, request.language))
    return [Snippet(path, "\n".join(dict.fromkeys(lines))) for path, lines in shown.items()]


def near_names(request: CompletionRequest) -> Sequence[str]:
    """Return the names in the last `NEAR_LINES` lines before the cursor, the nearest first."""
    lines = "\n".join(request.prefix.rsplit("\n", NEAR_LINES)[-NEAR_LINES:])
    names = _WORD.findall(lines)
    return list(dict.fromkeys(reversed(names)))


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
