"""What will be asked next, guessed where a guess is safe."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from falcon_lsp.completion.blocks import indent
from falcon_lsp.core.text import line_before
from falcon_lsp.core.types import CompletionRequest

_PYTHON_STEP: Final = "    "
_SCRIPT_STEP: Final = "  "
_LEAVING: Final = ("return", "pass", "break", "continue", "raise")
"""Statements after which the next line belongs to another block, nobody knows which."""


def next_line(request: CompletionRequest) -> CompletionRequest | None:
    """Return what will be asked once the developer has pressed Enter at the end of a line.

    Editors indent the new line as the one before, one step deeper where that opens a block. None
    inside a line, and where the line ends a block.
    """
    line = line_before(request.text, request.offset)
    rest = request.suffix.partition("\n")[0]
    if rest.strip() or not line.strip() or line.split()[0] in _LEAVING:
        return None
    margin = line[: indent(line)]
    if line.rstrip().endswith(":" if request.language == "python" else "{"):
        margin += _step(request, margin)
    added = ("\r\n" if "\r\n" in request.text else "\n") + margin
    text = request.prefix + added + request.suffix
    return replace(request, text=text, offset=request.offset + len(added))


def _step(request: CompletionRequest, margin: str) -> str:
    if margin.startswith("\t"):
        return "\t"
    return _PYTHON_STEP if request.language == "python" else _SCRIPT_STEP
