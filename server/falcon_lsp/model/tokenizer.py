"""The tokenizer as engines and trainer see it: no special tokens by accident."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

_MARK = re.compile(r"<[|\uff5c].*[|\uff5c]>", re.DOTALL)
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


class CodeTokenizer:
    """A ``tokenizer.json`` with safe encoding and a view of each token's bytes.

    `encode` never yields a mark, whatever the text holds: sentinels are added by id only. Marks are
    the special tokens, and added tokens spelled ``<|...|>``, which some families (Qwen2.5-Coder)
    forgot to declare special.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_special_tokens = True
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
        spellings = re.compile("|".join(map(re.escape, self.marks.values())))
        cuts = [match.start() + 1 for match in spellings.finditer(text)]
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            part = self._tokenizer.encode(text[start:end], add_special_tokens=False)
            ids += part.ids
            offsets += [(start + first, start + last) for first, last in part.offsets]
        return ids, offsets

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, special tokens left out; broken UTF-8 becomes U+FFFD."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

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
        spell = _sentencepiece_bytes if "<0x0A>" in self.vocabulary else _byte_level_bytes
        added = self._tokenizer.get_added_tokens_decoder()
        pieces: list[bytes | None] = [None] * (1 + max(self.vocabulary.values(), default=-1))
        for spelling, token_id in self.vocabulary.items():
            if token_id not in self.marks:
                pieces[token_id] = spelling.encode() if token_id in added else spell(spelling)
        return tuple(pieces)


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
