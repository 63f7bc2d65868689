"""The prompt: windows of the document around the cursor that stand still while the user types.

The engine keeps its key-value cache for as long as a prompt only grows at its end. So the prefix
window does not slide: its start is anchored and moves in steps of a quarter of the window, and the
suffix window depends on nothing before the cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from falcon_lsp.config import ContextOptions
from falcon_lsp.core.types import CompletionRequest, Prompt, Snippet

CHARACTERS_PER_TOKEN: Final = 3.3
"""Mean over source code with the default model's vocabulary; the engine cuts exactly."""

STEPS: Final = 4
"""The prefix window moves by one of so many parts of its size."""


def build_prompt(
    request: CompletionRequest, snippets: Sequence[Snippet], options: ContextOptions
) -> Prompt:
    r"""Return the prompt of a request; line ends in it are always ``\n``."""
    prefix = prefix_window(request, options)
    suffix = suffix_window(request, options)
    return Prompt(
        request.path, prefix.replace("\r\n", "\n"), suffix.replace("\r\n", "\n"), tuple(snippets)
    )


def prefix_window(request: CompletionRequest, options: ContextOptions) -> str:
    """Return the text before the cursor that fits ``prefix_tokens``, from a line's start.

    Between three quarters of the budget and all of it, once the file is that long.
    """
    step = _step(options)
    start = (window_steps(request.offset, options) - STEPS) * step
    if start <= 0:
        return request.text[: request.offset]
    line_end = request.text.find("\n", start - 1, start - 1 + step)
    return request.text[line_end + 1 if line_end >= 0 else start : request.offset]


def suffix_window(request: CompletionRequest, options: ContextOptions) -> str:
    """Return the text after the cursor that fits ``suffix_tokens``, up to a line's end."""
    size = int(options.suffix_tokens * CHARACTERS_PER_TOKEN)
    suffix = request.text[request.offset : request.offset + size]
    if request.offset + size >= len(request.text):
        return suffix
    line_end = suffix.rfind("\n")
    return suffix[: line_end + 1] if line_end >= 0 else suffix


def window_steps(offset: int, options: ContextOptions) -> int:
    """Return in which step of a quarter window the cursor stands, counted from the file's start.

    While it stays the same, so does the start of the prefix window.
    """
    return -(-offset // _step(options))


def _step(options: ContextOptions) -> int:
    return int(options.prefix_tokens * CHARACTERS_PER_TOKEN) // STEPS
