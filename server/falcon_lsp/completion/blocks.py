"""When an answer of several lines has filled its block, told while it is still being said."""

from __future__ import annotations

from falcon_lsp.completion import brackets
from falcon_lsp.core.text import line_before
from falcon_lsp.core.types import CompletionRequest


def block_ended(request: CompletionRequest, said: str) -> bool:
    """Whether ``said`` has left the block that it began in; cheap enough for every token.

    A block ends at the first line indented less than its own first line, unless that line still
    belongs to a string or a bracket that ``said`` opened. Outside of Python the line that closes
    the block belongs to it, so that line has to be whole.
    """
    lines = said.split("\n")
    block = _indentation(request, lines)
    for number, line in enumerate(lines[1:], 1):
        if not line.strip() or indent(line) >= block:
            continue
        if not brackets.open_marks("\n".join(lines[:number]), request.language):
            return request.language == "python" or number < len(lines) - 1
    return False


def indent(line: str) -> int:
    """Return how many characters of white space ``line`` begins with."""
    return len(line) - len(line.lstrip())


def _indentation(request: CompletionRequest, lines: list[str]) -> int:
    """Return the indentation of the block's first line, which may have begun before the cursor."""
    begun = line_before(request.text, request.offset)
    if not begun.strip() and (begun + lines[0]).strip():
        return indent(begun + lines[0])
    return next((indent(line) for line in lines[1:] if line.strip()), 0)
