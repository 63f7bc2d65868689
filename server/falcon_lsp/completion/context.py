"""What the model sees besides the text around the cursor, within a budget of tokens.

Tokens are estimated from characters: the budget has to hold roughly, on every keystroke, without a
tokenizer; the engine cuts exactly.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from falcon_lsp.completion import brackets
from falcon_lsp.completion.modules import MOST_FILES
from falcon_lsp.completion.prompt import CHARACTERS_PER_TOKEN, prefix_window, suffix_window
from falcon_lsp.completion.signatures import signatures
from falcon_lsp.completion.sources import OpenDocument
from falcon_lsp.completion.syntax import KEPT_DEFINITIONS, without_line
from falcon_lsp.config import ContextOptions
from falcon_lsp.core.types import CompletionRequest, Snippet

_PIECE_LINES: Final = 12
_MAX_PIECES: Final = 150
_MAX_DOCUMENTS: Final = 5
_MOST_DEFINING: Final = KEPT_DEFINITIONS - MOST_FILES - 8
"""Open files whose definitions are looked at: more than are remembered would be parsed each time.

Room is left for imported files and for the document itself, which is another one after each edit.
"""

_WORD: Final = re.compile(r"[^\W\d]\w{2,}")


def estimate_tokens(text: str) -> int:
    """Return about how many tokens ``text`` takes."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


class Surroundings(NamedTuple):
    """What is around a request: the latest edits and the files used last come first."""

    edits: Sequence[Snippet] = ()
    recalled: Sequence[Snippet] = ()
    documents: Sequence[OpenDocument] = ()
    imported: Sequence[OpenDocument] = ()


class Block(NamedTuple):
    """A kind of snippets: how they are found, most relevant first, and their budget.

    ``share`` is the part of ``snippet_tokens`` that the kind may take.
    """

    name: str
    share: float
    find: Callable[[CompletionRequest, ContextOptions, Surroundings], Sequence[Snippet]]


def gather(
    request: CompletionRequest,
    options: ContextOptions,
    around: Surroundings,
    blocks: Sequence[Block] | None = None,
) -> tuple[Snippet, ...]:
    """Return the snippets for a prompt, least relevant first, at most ``snippet_tokens`` in all.

    The blocks are asked in their order, each within its own budget. What the prefix window or
    another snippet shows already is left out.
    """
    total = left = options.snippet_tokens
    seen = _lines(prefix_window(request, options)) | _lines(_cursor_line(request))
    chosen: list[Snippet] = []
    for block in BLOCKS if blocks is None else blocks:
        budget = min(left, int(total * block.share))
        for snippet in block.find(request, options, around):
            fitting = _fit(snippet, budget)
            if fitting is not None and _is_new(fitting.text, seen):
                chosen.append(fitting)
                seen |= _lines(fitting.text)
                budget -= cost(fitting)
                left -= cost(fitting)
    return tuple(reversed(chosen))


def cost(snippet: Snippet) -> int:
    """Return the estimated tokens of a snippet with its path and the marks around it."""
    return estimate_tokens(snippet.path) + estimate_tokens(snippet.text) + 2


def related(request: CompletionRequest, documents: Sequence[OpenDocument]) -> list[Snippet]:
    """Return from each of ``documents`` the lines that share most names with the cursor's.

    ``documents`` are other files than the request's, latest used first. Most similar first; a
    name counts for less the more pieces it appears in.
    """
    near = request.prefix.rsplit("\n", 20)[-20:]
    wanted = set[str]().union(*(_names(line, request.language) for line in near))
    pieces = [
        piece for document in documents[:_MAX_DOCUMENTS] for piece in _pieces(document, wanted)
    ]
    frequency = Counter(name for _, names in pieces for name in names)
    scored = [(sum(1 / frequency[name] for name in names), piece) for piece, names in pieces]
    scored.sort(key=lambda pair: pair[0], reverse=True)
    best: dict[str, Snippet] = {}
    for score, piece in scored:
        if score > 0:
            best.setdefault(piece.path, piece)
    return list(best.values())


def _named(
    request: CompletionRequest, options: ContextOptions, around: Surroundings
) -> Sequence[Snippet]:
    """Return the heads of what is named near the cursor and defined out of sight."""
    text = without_line(request.text, request.offset)
    here = OpenDocument(request.path, request.language, text, 0.0)
    visible = _lines(prefix_window(request, options)) | _lines(suffix_window(request, options))
    documents = (*around.documents[:_MOST_DEFINING], *around.imported, here)
    return signatures(request, documents, visible)


BLOCKS: Final = (
    Block("edits", 0.34, lambda _, _options, around: around.edits),
    Block("recalled", 0.34, lambda _, _options, around: around.recalled),
    Block("definitions", 0.34, _named),
    Block("related", 0.34, lambda request, _, around: related(request, around.documents)),
)
"""What pays (docs/context.md), most first: the first stands nearest to the file itself."""


def _pieces(document: OpenDocument, wanted: set[str]) -> Iterator[tuple[Snippet, set[str]]]:
    """Yield overlapping pieces of a document, each from its first line with a wanted name on."""
    lines = document.text.split("\n")[: _PIECE_LINES * _MAX_PIECES // 2]
    names = [wanted & _names(line, document.language) for line in lines]
    for start in range(0, len(lines), _PIECE_LINES // 2):
        rows = range(start, min(start + _PIECE_LINES, len(lines)))
        first = next((row for row in rows if names[row]), None)
        if first is not None:
            text = "\n".join(lines[first : rows.stop]).strip("\n")
            yield Snippet(document.path, text), set().union(*names[first : rows.stop])


def _names(line: str, language: str) -> set[str]:
    """Return the names in a line of code; what a comment says is prose."""
    is_comment = line.lstrip().startswith(brackets.comment_mark(language))
    return set() if is_comment else set(_WORD.findall(line))


def _fit(snippet: Snippet, budget: int) -> Snippet | None:
    """Cut a snippet to its first whole lines that ``budget`` tokens hold; None if none does."""
    room = int((budget - 3 - estimate_tokens(snippet.path)) * CHARACTERS_PER_TOKEN)
    text = snippet.text.replace("\r\n", "\n").strip("\n")
    if len(text) > room:
        text = text[: max(0, text.rfind("\n", 0, max(0, room)))]
    return Snippet(snippet.path, text) if text.strip() else None


def _cursor_line(request: CompletionRequest) -> str:
    return request.prefix.rsplit("\n", 1)[-1] + request.suffix.split("\n", 1)[0]


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.split("\n") if line.strip()}


def _is_new(text: str, seen: set[str]) -> bool:
    lines = _lines(text)
    return len(lines & seen) < 0.6 * len(lines)
