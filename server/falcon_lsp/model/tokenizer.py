"""The tokenizer as engines and trainer see it: no special tokens by accident."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer


class CodeTokenizer:
    """A ``tokenizer.json`` with safe encoding and a view of each token's bytes.

    `encode` never yields a special token, whatever the text holds: sentinels are added by id only.
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
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return ids and, for each, the ``(start, end)`` of its characters in ``text``."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return list(encoding.ids), list(encoding.offsets)

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
