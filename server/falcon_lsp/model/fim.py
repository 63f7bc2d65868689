"""Fill-in-the-middle prompt formats: one table row per model family.

A format is a sequence of sentinel tokens and slots. User text is always encoded with special tokens
disabled (`CodeTokenizer.encode`), so a file that contains a sentinel's spelling cannot forge the
structure of the prompt.

Sources: Bavarian et al. 2022 (arXiv 2207.14255, PSM and SPM), and each family's model card.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from falcon_lsp.core.types import Prompt
from falcon_lsp.model.tokenizer import CodeTokenizer


class Slot(enum.Enum):
    """Where user text goes in a format."""

    PREFIX = "prefix"
    SUFFIX = "suffix"


@dataclass(frozen=True, slots=True)
class FimFormat:
    """How one family of models wants to be asked.

    ``template`` mixes sentinel spellings (``str``) and slots. ``stop`` tokens end the middle.
    ``file`` precedes the path of the current file, ``snippet`` the path of any other; families that
    know neither get both as comments.
    """

    name: str
    template: tuple[str | Slot, ...]
    stop: tuple[str, ...]
    file: str = ""
    snippet: str = ""
    bos: str = ""

    @property
    def sentinels(self) -> tuple[str, ...]:
        """Every special token that the vocabulary must hold for this format."""
        marks = [part for part in self.template if isinstance(part, str)]
        return tuple(mark for mark in (*marks, self.file, self.snippet, self.bos) if mark)

    @property
    def continues_prefix(self) -> bool:
        """Whether the middle follows the prefix with no sentinel between.

        Such an order keeps the key-value cache of suffix and prefix valid from one keystroke to the
        next, and lets the middle be tokenised together with the prefix (token healing).
        """
        return self.template[-1] is Slot.PREFIX


FALCON = FimFormat(
    name="falcon",
    template=("<issue_start>", Slot.SUFFIX, "<issue_comment>", Slot.PREFIX),
    stop=("<issue_closed>", "<|endoftext|>", "<|im_end|>"),
    file="<filename>",
    snippet="<file_sep>",
)
"""Our own format for SmolLM2, on special tokens that its vocabulary has and never used."""

FORMATS: tuple[FimFormat, ...] = (
    FimFormat(
        name="qwen2.5-coder",
        template=("<|fim_prefix|>", Slot.PREFIX, "<|fim_suffix|>", Slot.SUFFIX, "<|fim_middle|>"),
        stop=("<|endoftext|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>", "<|im_end|>"),
        file="<|file_sep|>",
        snippet="<|file_sep|>",
    ),
    FimFormat(
        name="codegemma",
        template=("<|fim_prefix|>", Slot.PREFIX, "<|fim_suffix|>", Slot.SUFFIX, "<|fim_middle|>"),
        stop=("<|file_separator|>", "<eos>", "<end_of_turn>"),
        file="<|file_separator|>",
        snippet="<|file_separator|>",
        bos="<bos>",
    ),
    FimFormat(
        name="starcoder2",
        template=("<fim_prefix>", Slot.PREFIX, "<fim_suffix>", Slot.SUFFIX, "<fim_middle>"),
        stop=("<|endoftext|>", "<file_sep>"),
        file="<file_sep>",
        snippet="<file_sep>",
    ),
    FimFormat(
        name="granite",
        template=("<fim_prefix>", Slot.PREFIX, "<fim_suffix>", Slot.SUFFIX, "<fim_middle>"),
        stop=("<|endoftext|>",),
    ),
    FimFormat(
        name="deepseek-coder",
        template=("<｜fim▁begin｜>", Slot.PREFIX, "<｜fim▁hole｜>", Slot.SUFFIX, "<｜fim▁end｜>"),
        stop=("<｜end▁of▁sentence｜>",),
        bos="<｜begin▁of▁sentence｜>",
    ),
    FimFormat(
        name="codestral",
        template=("[SUFFIX]", Slot.SUFFIX, "[PREFIX]", Slot.PREFIX),
        stop=("</s>",),
        bos="<s>",
    ),
    FimFormat(
        name="codellama",
        template=("▁<PRE>", Slot.PREFIX, "▁<SUF>", Slot.SUFFIX, "▁<MID>"),
        stop=("▁<EOT>", "</s>"),
        bos="<s>",
    ),
    FALCON,
)
"""Known families, most specific first: `detect` takes the first whose sentinels all exist."""


def detect(vocabulary: Collection[str]) -> FimFormat | None:
    """Return the format whose sentinels and a stop token are all in ``vocabulary``, or None."""
    for candidate in FORMATS:
        has_stop = any(stop in vocabulary for stop in candidate.stop)
        if has_stop and all(mark in vocabulary for mark in candidate.sentinels):
            return candidate
    return None


def encode(tokenizer: CodeTokenizer, fmt: FimFormat, prompt: Prompt) -> list[int]:
    """Return the token ids of the whole prompt; what the model says next is the middle."""
    ids = [tokenizer.special(fmt.bos)] if fmt.bos else []
    for snippet in prompt.snippets:
        ids += _file_header(tokenizer, fmt.snippet, snippet.path)
        ids += tokenizer.encode(snippet.text.rstrip("\n") + "\n")
    header = _file_header(tokenizer, fmt.file, prompt.path)
    if fmt.file:
        ids += header
    for part in fmt.template:
        if part is Slot.SUFFIX:
            ids += tokenizer.encode(prompt.suffix)
        elif part is Slot.PREFIX:
            ids += [] if fmt.file else header
            ids += tokenizer.encode(prompt.prefix)
        else:
            ids.append(tokenizer.special(part))
    return ids


def _file_header(tokenizer: CodeTokenizer, mark: str, path: str) -> list[int]:
    if mark:
        return [tokenizer.special(mark), *tokenizer.encode(path + "\n")]
    return tokenizer.encode(f"# {path}\n")
