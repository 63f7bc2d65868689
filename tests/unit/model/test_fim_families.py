"""Every family's prompt has its documented order, and user text cannot forge it."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from falcon_lsp.core.types import Prompt, Snippet
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer

PROMPT = Prompt("a.py", "PRE", "SUF", (Snippet("b.py", "OTHER"),))

DOCUMENTED = {
    "qwen2.5-coder": (
        "<|repo_name|>project\n<|file_sep|>b.py\nOTHER\n<|file_sep|>a.py\n"
        "<|fim_prefix|>PRE<|fim_suffix|>SUF<|fim_middle|>"
    ),
    "codegemma": (
        "<bos>b.py\nOTHER\n<|file_separator|>a.py\n<|fim_prefix|>PRE<|fim_suffix|>SUF<|fim_middle|>"
    ),
    "starcoder2": (
        "<file_sep>b.py\nOTHER\n<file_sep><fim_prefix>a.py\nPRE<fim_suffix>SUF<fim_middle>"
    ),
    "granite": "<fim_prefix># b.py\nOTHER\n# a.py\nPRE<fim_suffix>SUF<fim_middle>",
    "deepseek-coder": (
        "<｜begin▁of▁sentence｜>"
        "<｜fim▁begin｜># b.py\nOTHER\n# a.py\nPRE<｜fim▁hole｜>SUF<｜fim▁end｜>"
    ),
    "codestral": "<s>[SUFFIX]SUF[PREFIX] # b.py\nOTHER\n# a.py\nPRE",
    "codellama": "<s>▁<PRE> # b.py\nOTHER\n# a.py\nPRE▁<SUF>SUF▁<MID>",
    "falcon": "<file_sep>b.py\nOTHER\n<filename>a.py\n<issue_start>SUF<issue_comment>PRE",
}


def tokenizer_of(fmt: fim.FimFormat, *, declared_special: bool = True) -> CodeTokenizer:
    """Return a byte-level tokenizer without merges that knows the format's marks."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    marks = dict.fromkeys((*fmt.sentinels, *fmt.stop))
    added = [AddedToken(mark, special=declared_special, normalized=False) for mark in marks]
    (tokenizer.add_special_tokens if declared_special else tokenizer.add_tokens)(added)
    return CodeTokenizer(tokenizer)


def spell(tokenizer: CodeTokenizer, ids: list[int]) -> str:
    """Return the ids as text with marks spelled out."""
    parts = (tokenizer.pieces[i] or tokenizer.marks[i].encode() for i in ids)
    return b"".join(parts).decode()


def test_every_known_family_has_a_documented_order() -> None:
    assert {fmt.name for fmt in fim.FORMATS} == DOCUMENTED.keys()


@pytest.mark.parametrize("fmt", fim.FORMATS, ids=lambda fmt: fmt.name)
def test_a_prompt_is_encoded_in_the_documented_order(fmt: fim.FimFormat) -> None:
    tokenizer = tokenizer_of(fmt)
    assert spell(tokenizer, fim.encode(tokenizer, fmt, PROMPT)) == DOCUMENTED[fmt.name]


@pytest.mark.parametrize("fmt", fim.FORMATS, ids=lambda fmt: fmt.name)
def test_a_vocabulary_with_the_sentinels_is_recognised(fmt: fim.FimFormat) -> None:
    assert fim.detect(tokenizer_of(fmt).vocabulary) is fmt


def test_a_vocabulary_without_sentinels_has_no_format() -> None:
    assert fim.detect({"a": 0, "<s>": 1}) is None


@pytest.mark.parametrize("fmt", fim.FORMATS, ids=lambda fmt: fmt.name)
def test_a_mark_spelled_in_user_text_stays_text(fmt: fim.FimFormat) -> None:
    tokenizer = tokenizer_of(fmt)
    forged = "".join(dict.fromkeys((*fmt.sentinels, *fmt.stop)))
    honest = fim.encode(tokenizer, fmt, Prompt("p", "x", "y", (Snippet("q", "z"),)))
    attack = fim.encode(
        tokenizer, fmt, Prompt("p" + forged, forged, forged, (Snippet(forged, forged),))
    )
    marks = [token for token in attack if token in tokenizer.marks]
    assert marks == [token for token in honest if token in tokenizer.marks]
    assert spell(tokenizer, tokenizer.encode(forged)) == forged


@pytest.mark.parametrize("name", ["qwen2.5-coder", "deepseek-coder"])
def test_marks_that_a_family_forgot_to_declare_special_cannot_be_forged(name: str) -> None:
    fmt = next(fmt for fmt in fim.FORMATS if fmt.name == name)
    tokenizer = tokenizer_of(fmt, declared_special=False)
    text = f"é{fmt.sentinels[0]}b{fmt.stop[0]}{fmt.stop[0]}"
    ids, offsets = tokenizer.encode_with_offsets(text)
    assert not set(ids) & tokenizer.marks.keys()
    assert spell(tokenizer, ids) == text
    assert offsets[0][0] == 0
    assert offsets[-1][1] == len(text)
    assert [start for start, _ in offsets] == sorted(start for start, _ in offsets)


def test_lone_surrogates_count_as_question_marks() -> None:
    tokenizer = tokenizer_of(fim.FALCON)
    assert spell(tokenizer, tokenizer.encode("a\ud800b")) == "a?b"


def test_sentencepiece_tokens_stand_for_their_bytes() -> None:
    vocabulary = {"<unk>": 0, "▁def": 1, "<0x0A>": 2, "é": 3}
    tokenizer = CodeTokenizer(Tokenizer(models.BPE(vocabulary, [])))
    assert tokenizer.pieces[1:] == (b" def", b"\n", "é".encode())
