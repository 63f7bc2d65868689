"""Fill-in-the-middle prompt formats: one table row per model family.

A format is a sequence of sentinel tokens and slots. User text is always encoded with special tokens
disabled (`CodeTokenizer.encode`), so a file that contains a sentinel's spelling cannot forge the
structure of the prompt.

Sources: Bavarian et al. 2022 (arXiv 2207.14255, PSM and SPM); Qwen2.5-Coder report (arXiv
2409.12186, figure 4); StarCoder2 report (arXiv 2402.19173, section 5.1); CodeGemma report (arXiv
2406.11409, figure 2); DeepSeek-Coder report (arXiv 2401.14196); Code Llama
(`infilling_prompt_tokens` of its reference code); Codestral (`encode_fim` of mistral-common).
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

from falcon_lsp.core.types import Prompt, Snippet
from falcon_lsp.model.tokenizer import CodeTokenizer


class Slot(enum.Enum):
    """What goes between the sentinels of a format."""

    PREFIX = "the text before the cursor"
    SUFFIX = "the text after the cursor"
    SNIPPETS = "every snippet, each by the format's snippet template"
    TEXT = "a snippet's text, ending in one newline"
    PATH = "the file's path and a newline"
    COMMENT = "the file's path as a comment line"
    PROJECT = "a line that names the repository"
    SPACE = "the space that SentencePiece puts before every text but a continued one"


Template = tuple[str | Slot, ...]
BREAK = ""
"""A sentinel without a token: the texts before and after it are encoded apart."""

PROJECT = "project\n"
"""Prompts do not carry the repository's name; the families that want one take any."""


@dataclass(frozen=True, slots=True)
class FimFormat:
    """How one family of models wants to be asked.

    Templates mix sentinel spellings (``str``) and slots; ``stop`` tokens end the middle. Families
    without a sentinel for files are told paths in comments, as part of the prefix: nothing that
    they were trained on stands before the sentinel that begins it.
    """

    name: str
    template: Template
    stop: tuple[str, ...]
    snippet: Template = (Slot.COMMENT, Slot.TEXT)

    @property
    def sentinels(self) -> tuple[str, ...]:
        """Every special token that the vocabulary must hold for this format."""
        parts = (*self.template, *self.snippet)
        return tuple(part for part in parts if isinstance(part, str) and part)

    @property
    def continues_prefix(self) -> bool:
        """Whether the middle follows the prefix with no sentinel between.

        Such an order keeps the key-value cache of suffix and prefix valid from one keystroke to the
        next, and lets the middle be tokenised together with the prefix (token healing).
        """
        return self.template[-1] is Slot.PREFIX


FALCON = FimFormat(
    name="falcon",
    template=(
        Slot.SNIPPETS, "<filename>", Slot.PATH,
        "<issue_start>", Slot.SUFFIX, "<issue_comment>", Slot.PREFIX,
    ),
    stop=("<issue_closed>", "<|endoftext|>", "<|im_end|>"),
    snippet=("<file_sep>", Slot.PATH, BREAK, Slot.TEXT),
)  # fmt: skip
"""Our own format for SmolLM2, on special tokens that its vocabulary has and never used."""

FORMATS: tuple[FimFormat, ...] = (
    FimFormat(
        name="qwen2.5-coder",
        template=(
            "<|repo_name|>", Slot.PROJECT, Slot.SNIPPETS, "<|file_sep|>", Slot.PATH,
            "<|fim_prefix|>", Slot.PREFIX, "<|fim_suffix|>", Slot.SUFFIX, "<|fim_middle|>",
        ),
        stop=("<|endoftext|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>", "<|im_end|>"),
        snippet=("<|file_sep|>", Slot.PATH, Slot.TEXT),
    ),
    FimFormat(
        name="codegemma",
        template=(
            "<bos>", Slot.SNIPPETS, Slot.PATH,
            "<|fim_prefix|>", Slot.PREFIX, "<|fim_suffix|>", Slot.SUFFIX, "<|fim_middle|>",
        ),
        stop=("<|file_separator|>", "<eos>", "<end_of_turn>"),
        snippet=(Slot.PATH, Slot.TEXT, "<|file_separator|>"),
    ),
    FimFormat(
        name="starcoder2",
        template=(
            Slot.SNIPPETS, "<file_sep>",
            "<fim_prefix>", Slot.PATH, Slot.PREFIX, "<fim_suffix>", Slot.SUFFIX, "<fim_middle>",
        ),
        stop=("<|endoftext|>", "<file_sep>"),
        snippet=("<file_sep>", Slot.PATH, Slot.TEXT),
    ),
    FimFormat(
        name="granite",
        template=(
            "<fim_prefix>", Slot.SNIPPETS, Slot.COMMENT, Slot.PREFIX,
            "<fim_suffix>", Slot.SUFFIX, "<fim_middle>",
        ),
        stop=("<|endoftext|>",),
    ),
    FimFormat(
        name="deepseek-coder",
        template=(
            "<｜begin▁of▁sentence｜>",
            "<｜fim▁begin｜>", Slot.SNIPPETS, Slot.COMMENT, Slot.PREFIX,
            "<｜fim▁hole｜>", Slot.SUFFIX, "<｜fim▁end｜>",
        ),
        stop=("<｜end▁of▁sentence｜>",),
    ),
    FimFormat(
        name="codestral",
        template=(
            "<s>", "[SUFFIX]", Slot.SUFFIX,
            "[PREFIX]", Slot.SPACE, Slot.SNIPPETS, Slot.COMMENT, Slot.PREFIX,
        ),
        stop=("</s>",),
    ),
    FimFormat(
        name="codellama",
        template=(
            "<s>", "▁<PRE>", Slot.SPACE, Slot.SNIPPETS, Slot.COMMENT, Slot.PREFIX,
            "▁<SUF>", Slot.SUFFIX, "▁<MID>",
        ),
        stop=("▁<EOT>", "</s>"),
    ),
    FALCON,
)  # fmt: skip
"""Known families, most specific first: `detect` takes the first whose sentinels all exist."""


def detect(vocabulary: Collection[str]) -> FimFormat | None:
    """Return the format whose sentinels and a stop token are all in ``vocabulary``, or None."""
    for candidate in FORMATS:
        has_stop = any(stop in vocabulary for stop in candidate.stop)
        if has_stop and all(mark in vocabulary for mark in candidate.sentinels):
            return candidate
    return None


def encode(tokenizer: CodeTokenizer, fmt: FimFormat, prompt: Prompt) -> list[int]:
    """Return the token ids of the whole prompt; what the model says next is the middle.

    Text between two sentinels is encoded in one piece, as it was when the model was trained.
    """
    ids: list[int] = []
    for is_text, run in groupby(_parts(fmt, prompt), key=lambda part: part[0]):
        contents = [content for _, content in run]
        if is_text:
            ids += tokenizer.encode("".join(contents))
        else:
            ids += [tokenizer.special(mark) for mark in contents if mark]
    return ids


def _parts(fmt: FimFormat, prompt: Prompt) -> Iterator[tuple[bool, str]]:
    """Yield the prompt's texts and sentinels in order: whether it is text, and its content."""
    texts = _labels(prompt.path) | {Slot.PREFIX: prompt.prefix, Slot.SUFFIX: prompt.suffix}
    for part in fmt.template:
        if part is Slot.SNIPPETS:
            for snippet in prompt.snippets:
                yield from _snippet_parts(fmt.snippet, snippet)
        else:
            yield (True, texts[part]) if isinstance(part, Slot) else (False, part)


def _snippet_parts(template: Template, snippet: Snippet) -> Iterator[tuple[bool, str]]:
    texts = _labels(snippet.path) | {Slot.TEXT: snippet.text.rstrip("\n") + "\n"}
    for part in template:
        yield (True, texts[part]) if isinstance(part, Slot) else (False, part)


def _labels(path: str) -> dict[Slot, str]:
    return {
        Slot.PATH: f"{path}\n",
        Slot.COMMENT: f"# {path}\n",
        Slot.PROJECT: PROJECT,
        Slot.SPACE: " ",
    }
