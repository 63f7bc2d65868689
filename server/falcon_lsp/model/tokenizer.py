"""The tokenizer as engines and trainer see it: no special tokens by accident."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers, pre_tokenizers

_MARK = re.compile(r"<[|\uff5c].*[|\uff5c]>|\u2581<[A-Z]{3}>", re.DOTALL)
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


class CodeTokenizer:
    """A ``tokenizer.json`` with safe encoding and a view of each token's bytes.

    `encode` never yields a mark, whatever the text holds: sentinels are added by id only. Marks are
    the special tokens, and added tokens spelled ``<|...|>`` or ``\u2581<PRE>``, which some families
    (Qwen2.5-Coder) forgot to declare special.

    Prompts are encoded slice by slice, so nothing is put before a text: the space with which
    SentencePiece begins every text would otherwise stand at every cut. Formats that want one have
    it in their template.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_special_tokens = True
        _add_no_space(tokenizer)
        self._tokenizer = tokenizer

    @classmethod
    def from_folder(cls, folder: Path) -> CodeTokenizer:
        """Load ``folder/tokenizer.json``; raises `FileNotFoundError` when it is not there."""
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise FileNotFoundError(file)
        return cls(Tokenizer.from_file(str(file)))

    def encode(self, text: str) -> list[int]:
        """Return the ids of ``text`` as ordinary text."""
        return self.encode_with_offsets(text)[0]

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return ids and, for each, the ``(start, end)`` of its characters in ``text``.

        Lone surrogates, which no tokenizer takes, count as question marks.
        """
        text = text.encode("utf-8", "replace").decode()
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        if self.marks.keys().isdisjoint(encoding.ids):
            return list(encoding.ids), list(encoding.offsets)
        return self._encode_broken(text)

    def _encode_broken(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Break every mark's spelling after its first character, so that none is recognised."""
        with_space = [mark.replace("\u2581", " ") for mark in self.marks.values()]
        spellings = re.compile("|".join(map(re.escape, [*self.marks.values(), *with_space])))
        cuts = [match.start() + 1 for match in spellings.finditer(text)]
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            part = self._tokenizer.encode(text[start:end], add_special_tokens=False)
            ids += part.ids
            offsets += [(start + first, start + last) for first, last in part.offsets]
        return ids, offsets

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, marks left out; broken UTF-8 becomes U+FFFD.

        The library's own decoders drop the first space of a SentencePiece text.
        """
        known = (self.pieces[token_id] for token_id in ids if token_id < len(self.pieces))
        return b"".join(piece for piece in known if piece).decode("utf-8", "replace")

    def special(self, spelling: str) -> int:
        """Return the id of a special token; raises `KeyError` when the vocabulary lacks it."""
        token_id = self._tokenizer.token_to_id(spelling)
        if token_id is None:
            raise KeyError(spelling)
        return int(token_id)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Every token's spelling and id, special tokens included."""
        return dict(self._tokenizer.get_vocab(with_added_tokens=True))

    @cached_property
    def marks(self) -> dict[int, str]:
        """The tokens that give a prompt its structure and stand for no text: id and spelling."""
        added = self._tokenizer.get_added_tokens_decoder()
        return {
            token_id: token.content
            for token_id, token in added.items()
            if token.special or _MARK.fullmatch(token.content)
        }

    @cached_property
    def pieces(self) -> tuple[bytes | None, ...]:
        """The bytes that each id stands for; None for marks and for ids that nothing uses.

        Knows byte-level BPE (one character per byte) and SentencePiece (a space is U+2581, other
        bytes are spelled ``<0x0A>``).
        """
        sentencepiece = "<0x0A>" in self.vocabulary
        added = self._tokenizer.get_added_tokens_decoder()
        pieces: list[bytes | None] = [None] * (1 + max(self.vocabulary.values(), default=-1))
        for spelling, token_id in self.vocabulary.items():
            if token_id in self.marks:
                continue
            if sentencepiece:  # added tokens too: Gemma's runs of spaces are such
                pieces[token_id] = _sentencepiece_bytes(spelling)
            else:
                plain = token_id in added
                pieces[token_id] = spelling.encode() if plain else _byte_level_bytes(spelling)
        return tuple(pieces)


def _add_no_space(tokenizer: Tokenizer) -> None:
    """Take out of ``tokenizer`` whatever puts a space before a text."""
    steps = list(_steps(tokenizer.normalizer, normalizers.Sequence))
    kept = [step for step in steps if not isinstance(step, normalizers.Prepend)]
    if kept != steps:
        tokenizer.normalizer = normalizers.Sequence(kept)
    for step in _steps(tokenizer.pre_tokenizer, pre_tokenizers.Sequence):
        if isinstance(step, pre_tokenizers.Metaspace):
            step.prepend_scheme = "never"
        elif isinstance(step, pre_tokenizers.ByteLevel):
            step.add_prefix_space = False


def _steps(component: Any, sequence: type[Any]) -> Iterator[Any]:
    """Yield the parts of a tokenizer's component, which may be missing or a sequence."""
    if isinstance(component, sequence):
        for step in component:
            yield from _steps(step, sequence)
    elif component is not None:
        yield component


def _sentencepiece_bytes(spelling: str) -> bytes:
    if match := _BYTE_PIECE.fullmatch(spelling):
        return bytes.fromhex(match[1])
    return spelling.replace("\u2581", " ").encode()


def _byte_level_bytes(spelling: str) -> bytes:
    return bytes(_BYTES[character] for character in spelling)


def _byte_characters() -> dict[str, int]:
    """GPT-2's table: printable Latin-1 stands for itself, the other bytes follow from U+0100."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {chr(byte): byte for byte in plain}
    return table | {chr(256 + rank): byte for rank, byte in enumerate(others)}


_BYTES = _byte_characters()
