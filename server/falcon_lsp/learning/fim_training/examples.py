"""Turn source files into fill-in-the-middle examples that look like a developer's cursor.

Holes are drawn as an editor meets them: mostly the rest of a line from inside a word, sometimes a
block, sometimes nothing but left-to-right text. What stands before them is what the server shows:
the file's imports where they are out of sight, and a related piece of another file.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from falcon_lsp.core.text import import_lines
from falcon_lsp.core.types import Prompt, Snippet
from falcon_lsp.learning.corpus.shards import SourceFile
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer


@dataclass(frozen=True, slots=True)
class HoleMix:
    """Shares of each kind of hole, and how much surrounds it (characters).

    What is neither rest of line nor block is plain left-to-right text. ``whole_line`` is the share
    of holes that begin at column 0, indentation and all.
    """

    rest_of_line: float = 0.60
    block: float = 0.25
    whole_line: float = 0.15
    imports: float = 0.5
    related: float = 0.4
    prefix_chars: int = 1400
    suffix_chars: int = 500
    snippet_chars: int = 500
    block_lines: int = 6


@dataclass(frozen=True, slots=True)
class FimExample:
    """Token ids ``(T,)`` and the loss weight of predicting each of them, ``(T,)``."""

    ids: list[int]
    weights: list[float]


CONTEXT_WEIGHT = 0.3
MIDDLE_WEIGHT = 1.0

PIECE_LINES = 12
PIECES = 8
"""A related snippet is the best of so many pieces of so many lines of files in the same folder."""

_WORD = re.compile(r"[^\W\d]\w{2,}")


class ExampleStream:
    """Examples for ever, each epoch over every file once, in an order of its own.

    Example ``i`` depends on the seed and on ``i`` alone, so that a run goes on where it stopped
    without drawing again what was seen.
    """

    def __init__(
        self,
        tokenizer: CodeTokenizer,
        fmt: fim.FimFormat,
        files: Sequence[SourceFile],
        mix: HoleMix,
        seed: int,
    ) -> None:
        self._tokenizer, self._format, self._mix, self._seed = tokenizer, fmt, mix, seed
        self._files = files
        self._folders: dict[str, list[SourceFile]] = {}
        for file in files:
            self._folders.setdefault(_folder(file), []).append(file)
        self._epoch, self._order = -1, list(files)

    def example(self, index: int) -> FimExample:
        """Return example ``index``: one hole, encoded in the prompt format that the server uses."""
        rng = random.Random(f"{self._seed}:{index}")
        file = self._file(index)
        neighbours = [other for other in self._folders[_folder(file)] if other is not file]
        prompt, middle = draw_prompt(rng, file, neighbours, self._mix)
        return encode_example(self._tokenizer, self._format, prompt, middle)

    def _file(self, index: int) -> SourceFile:
        epoch, place = divmod(index, len(self._files))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, list(self._files)
            random.Random(f"{self._seed}:epoch:{epoch}").shuffle(self._order)
        return self._order[place]


def draw_prompt(
    rng: random.Random, file: SourceFile, neighbours: Sequence[SourceFile], mix: HoleMix
) -> tuple[Prompt, str]:
    """Draw one hole of ``file``; return the prompt around it and the text that was there."""
    text = file.text
    start, end = draw_hole(rng, text, mix)
    window = rng.randint(mix.prefix_chars // 4, mix.prefix_chars)
    if start == end:
        first = _line_start(text, rng.randrange(max(1, len(text) - mix.prefix_chars)))
        start = end = min(len(text), first + mix.prefix_chars + mix.suffix_chars)
        suffix = ""
    else:
        first = _line_start(text, max(0, start - window))
        suffix = text[end : end + rng.randint(0, mix.suffix_chars)]
    prefix = text[first:start]
    snippets = []
    if neighbours and rng.random() < mix.related:
        snippets.append(_related(rng, prefix, neighbours, mix.snippet_chars))
    imports = "\n".join(import_lines(text[:first]))[: mix.snippet_chars]
    if imports and rng.random() < mix.imports:
        snippets.append(Snippet(file.path, imports))
    return Prompt(file.path, prefix, suffix, tuple(snippets)), text[start:end]


def draw_hole(rng: random.Random, text: str, mix: HoleMix) -> tuple[int, int]:
    """Return ``(start, end)`` of a hole in ``text``; an empty hole means plain text."""
    kind = rng.random()
    if kind > mix.rest_of_line + mix.block:
        return len(text), len(text)
    start = _cursor(rng, text)
    end = _line_end(text, start)
    if rng.random() < mix.whole_line:
        start = _line_start(text, start)
    if kind <= mix.rest_of_line:
        return start, end
    for _ in range(rng.randint(1, mix.block_lines)):
        if end >= len(text):
            break
        end = _line_end(text, end + 1)
    return start, end


def encode_example(
    tokenizer: CodeTokenizer, fmt: fim.FimFormat, prompt: Prompt, middle: str
) -> FimExample:
    """Encode ``prompt`` and its answer, the loss weighted towards the answer.

    Where the format lets the middle follow the prefix, both are tokenised together: the model then
    never sees the artificial token boundary at the cursor, which the engine heals at inference.
    """
    if not fmt.continues_prefix:
        head = fim.encode(tokenizer, fmt, prompt)
        tail = tokenizer.encode(middle)
        healed = len(tail)
    else:
        head = fim.encode(tokenizer, fmt, Prompt(prompt.path, "", prompt.suffix, prompt.snippets))
        tail, offsets = tokenizer.encode_with_offsets(prompt.prefix + middle)
        healed = sum(1 for _, stop in offsets if stop > len(prompt.prefix))
    weights = [CONTEXT_WEIGHT] * (len(head) + len(tail) - healed) + [MIDDLE_WEIGHT] * healed
    ids = head + tail
    if middle:
        ids.append(tokenizer.special(fmt.stop[0]))
        weights.append(MIDDLE_WEIGHT)
    return FimExample(ids, weights)


def _cursor(rng: random.Random, text: str) -> int:
    """Return a cursor inside a line that has something left to say."""
    for _ in range(20):
        at = rng.randrange(len(text))
        start = _line_start(text, at)
        line = text[start : _line_end(text, at)]
        if len(line.strip()) >= 3:
            indent = len(line) - len(line.lstrip())
            return start + rng.randint(indent, len(line.rstrip()) - 1)
    return rng.randrange(len(text))


def _related(
    rng: random.Random, prefix: str, neighbours: Sequence[SourceFile], chars: int
) -> Snippet:
    """Return the piece drawn from other files that shares most names with the lines above."""
    wanted = set(_WORD.findall("\n".join(prefix.rsplit("\n", 20)[-20:])))
    pieces = [_piece(rng, rng.choice(neighbours), chars) for _ in range(PIECES)]
    return max(pieces, key=lambda piece: len(wanted.intersection(_WORD.findall(piece.text))))


def _piece(rng: random.Random, file: SourceFile, chars: int) -> Snippet:
    start = _line_start(file.text, rng.randrange(max(1, len(file.text) - chars)))
    lines = file.text[start : start + chars].split("\n")
    return Snippet(file.path, "\n".join(lines[:PIECE_LINES]))


def _folder(file: SourceFile) -> str:
    return file.path.rpartition("/")[0]


def _line_start(text: str, offset: int) -> int:
    return text.rfind("\n", 0, offset) + 1


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end
