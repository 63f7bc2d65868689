"""What happens between logits and text, the same for every engine: healing, sampling, stopping."""

from __future__ import annotations

import bisect
import codecs
import sys
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from falcon_lsp.model.tokenizer import CodeTokenizer

HEALED_TOKENS = 8
"""How many tokens before the cursor may be opened again."""

Logits = NDArray[np.float32]


class Pieces:
    """The vocabulary as sorted bytes, so that "which tokens start with this" is a bisection."""

    def __init__(self, pieces: Sequence[bytes | None]) -> None:
        self._sorted = sorted((piece, token) for token, piece in enumerate(pieces) if piece)
        self._known = {piece for piece, _ in self._sorted}
        self._longest = max(map(len, self._known), default=0)

    def starting_with(self, text: bytes) -> list[int]:
        """Return the tokens whose bytes start with ``text`` (equal ones included)."""
        return self._between(text, text + b"\xff" * self._longest)

    def spelling(self, text: bytes) -> list[int]:
        """Return the tokens that may come next when ``text`` has to be spelled first."""
        inside = (self._between(text[:end], text[:end]) for end in range(1, len(text)))
        return [*self.starting_with(text), *chain.from_iterable(inside)]

    def bridges(self, text: bytes) -> bool:
        """Whether ``text`` can be spelled, and a token exists that starts with it and goes on."""
        spellable = all(bytes([byte]) in self._known for byte in text)
        return spellable and len(self.starting_with(text)) > len(self._between(text, text))

    def _between(self, first: bytes, last: bytes) -> list[int]:
        """Return the tokens whose bytes sort from ``first`` to ``last``.

        The same bytes may be several tokens: SentencePiece knows ``a`` and ``<0x61>``.
        """
        low = bisect.bisect_left(self._sorted, (first, -1))
        high = bisect.bisect_right(self._sorted, (last, sys.maxsize))
        return [token for _, token in self._sorted[low:high]]


def split_for_healing(tokenizer: CodeTokenizer, pieces: Pieces, prefix: str) -> tuple[str, str]:
    """Split ``prefix`` where the model can take up again without an artificial token boundary.

    The second part, at most `HEALED_TOKENS` tokens long and often empty, is to be spelled again by
    the first sampled tokens. It starts at the earliest token from which a single token could
    bridge the cursor: ``ret`` goes back all the way although it is two tokens, since ``return`` is
    one.
    """
    starts = [start for start, _ in tokenizer.encode_with_offsets(prefix)[1][-HEALED_TOKENS:]]
    for start in starts:
        if pieces.bridges(prefix[start:].encode("utf-8", "replace")):
            return prefix[:start], prefix[start:]
    return prefix, ""


class Answer:
    """The text of one generation as it grows, and what it still owes to healing.

    ``owed`` bytes are spelled before the answer begins. With ``single_line`` the answer ends at a
    newline, except at those that it starts with after a prefix that ends a line: the cursor stands
    on a fresh line, and leaving it empty is no answer.
    """

    def __init__(self, prefix: str, dropped: str, single_line: bool) -> None:
        self._prefix = prefix
        self._dropped = dropped.encode("utf-8", "replace")
        self._bytes = b""
        self._single_line = single_line
        self._on_fresh_line = not prefix or prefix.endswith(("\n", "\r"))

    @property
    def owed(self) -> bytes:
        """What has to be spelled before anything new may be said."""
        return self._dropped[len(self._bytes) :]

    def add(self, piece: bytes) -> bool:
        """Append a token's bytes; return whether the line has ended."""
        self._bytes += piece
        return self._single_line and self._line_end() >= 0

    @property
    def in_place(self) -> str:
        """The text before the cursor and the answer so far."""
        return self._prefix + self.text

    @property
    def text(self) -> str:
        """The answer so far, without an unfinished character; invalid bytes become U+FFFD."""
        said = self._bytes[len(self._dropped) :]
        if self._single_line and (end := self._line_end()) >= 0:
            said = said[:end].removesuffix(b"\r")
        return codecs.getincrementaldecoder("utf-8")("replace").decode(said)

    def _line_end(self) -> int:
        said = self._bytes[len(self._dropped) :]
        skipped = len(said) - len(said.lstrip(b"\r\n")) if self._on_fresh_line else 0
        return said.find(b"\n", skipped)


def choose(
    logits: Logits, temperature: float, rng: np.random.Generator, allowed: Sequence[int] = ()
) -> tuple[int, float]:
    """Sample a token from ``logits`` ``(V,)``; 0 is greedy. ``allowed`` restricts the choice.

    Returns its id and its log-probability (natural) under the whole, untempered, unrestricted
    distribution: what a trainer computes for the same token.
    """
    candidates = np.asarray(allowed) if len(allowed) else np.arange(len(logits))
    scores = logits[candidates]
    if temperature > 0:
        scores = scores / temperature + rng.gumbel(size=len(scores))
    token = int(candidates[np.argmax(scores)])
    return token, float(logprobs(logits)[token])


def logprobs(logits: Logits) -> NDArray[np.float64]:
    """Return the natural log-probabilities, of the same shape ``(..., V)``."""
    shifted = (logits - logits.max(-1, keepdims=True)).astype(np.float64)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found
