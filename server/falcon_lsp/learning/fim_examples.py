"""Turn source files into fill-in-the-middle examples that look like a developer's cursor.

Holes are drawn as an editor meets them: mostly the rest of a line from inside a word, sometimes a
block, sometimes nothing but left-to-right text. Deterministic for a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from falcon_lsp.core.types import Prompt, Snippet
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the corpus; ``path`` as the model sees it, relative to its project."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class HoleMix:
    """Shares of each kind of hole, and how much surrounds it (characters)."""

    rest_of_line: float = 0.60
    block: float = 0.25
    snippet: float = 0.25
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


def draw_hole(rng: random.Random, text: str, mix: HoleMix) -> tuple[int, int]:
    """Return ``(start, end)`` of a hole in ``text``; an empty hole at the end means plain text."""
    kind = rng.random()
    if kind > mix.rest_of_line + mix.block:
        return len(text), len(text)
    start = _cursor(rng, text)
    line_end = _line_end(text, start)
    if kind <= mix.rest_of_line:
        return start, line_end
    end = line_end
    for _ in range(rng.randint(1, mix.block_lines)):
        if end >= len(text):
            break
        end = _line_end(text, end + 1)
    return start, end


def make_example(
    rng: random.Random,
    tokenizer: CodeTokenizer,
    fmt: fim.FimFormat,
    file: SourceFile,
    neighbours: Sequence[SourceFile],
    mix: HoleMix,
) -> FimExample:
    """Draw one hole of ``file`` and encode it in the prompt format that the server uses."""
    start, end = draw_hole(rng, file.text, mix)
    snippets: tuple[Snippet, ...] = ()
    if neighbours and rng.random() < mix.snippet:
        snippets = (_draw_snippet(rng, neighbours, mix.snippet_chars),)
    prefix_start = max(0, start - rng.randint(mix.prefix_chars // 4, mix.prefix_chars))
    if start == end == len(file.text):
        prefix_start = rng.randrange(max(1, len(file.text) - mix.prefix_chars))
        prefix_start = _line_start(file.text, prefix_start)
        start = end = min(len(file.text), prefix_start + mix.prefix_chars + mix.suffix_chars)
        suffix = ""
    else:
        prefix_start = _line_start(file.text, prefix_start)
        suffix = file.text[end : end + rng.randint(0, mix.suffix_chars)]
    prompt = Prompt(file.path, file.text[prefix_start:start], suffix, snippets)
    return encode_example(tokenizer, fmt, prompt, file.text[start:end])


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


def examples(
    tokenizer: CodeTokenizer,
    fmt: fim.FimFormat,
    files: Sequence[SourceFile],
    mix: HoleMix,
    seed: int,
) -> Iterator[FimExample]:
    """Yield examples for ever: each epoch visits every file once, in an order of its own."""
    rng = random.Random(seed)
    by_folder: dict[str, list[SourceFile]] = {}
    for file in files:
        by_folder.setdefault(file.path.rpartition("/")[0], []).append(file)
    order = list(files)
    while True:
        rng.shuffle(order)
        for file in order:
            folder = by_folder[file.path.rpartition("/")[0]]
            neighbours = [other for other in folder[:8] if other is not file]
            yield make_example(rng, tokenizer, fmt, file, neighbours, mix)


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


def _draw_snippet(rng: random.Random, neighbours: Sequence[SourceFile], chars: int) -> Snippet:
    other = rng.choice(neighbours)
    start = _line_start(other.text, rng.randrange(max(1, len(other.text) - chars)))
    return Snippet(other.path, other.text[start : start + chars])


def _line_start(text: str, offset: int) -> int:
    return text.rfind("\n", 0, offset) + 1


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end
