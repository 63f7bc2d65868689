"""Fresh samples of the policy as it is now: K answers to each prompt, many prompts at a time.

A prompt is read once; its K samples share the key-value cache of that reading. Every sampled token
keeps its log-probability under the whole, untempered distribution, which is what a loss computes
for the same token. A sample depends on its seed, its prompt's name and its number, not on what else
is in the batch (up to rounding).
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt
from falcon_lsp.learning.dataset import Scored
from falcon_lsp.model import fim
from falcon_lsp.model.decoding import Answer, Pieces, split_for_healing
from falcon_lsp.model.fim import FimFormat
from falcon_lsp.model.tokenizer import CodeTokenizer

BATCH_TOKENS, BATCH_ROWS = 8_192, 64
"""Padded prompt tokens that are read together, and samples that grow together."""

ACCELERATED = 8
"""So many times as much fits a graphics processor, and is needed to keep it busy."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt and the name by which its samples are seeded."""

    name: str
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. Temperature 0 is greedy: all samples are then the same, so ask for one.

    With ``greedy_first`` the first of the ``samples`` is the greedy answer.
    """

    samples: int
    max_tokens: int = 48
    temperature: float = 1.0
    greedy_first: bool = False
    single_line: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled answer.

    ``credit`` is 1.0 for tokens that were free, 0.0 for those that healing restricted: they were
    drawn from another distribution. ``finish`` is ``line``, ``stop`` or ``length``. ``text`` is
    what is inserted; ``healed_chars`` characters before it are spelled by the first tokens.
    """

    name: str
    text: str
    sequence: Scored
    logprobs: tuple[float, ...]
    credit: tuple[float, ...]
    finish: str
    healed_chars: int


@dataclass(slots=True)
class _Row:
    """One sample while it grows."""

    asked: Asked
    context: tuple[int, ...]
    healed: str
    answer: Answer
    temperature: float
    rng: random.Random
    most: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    credit: list[float] = field(default_factory=list)
    finish: str = ""

    def add(self, token: int, logprob: float, piece: bytes | None) -> None:
        """Take the next token; ``piece`` is None for one that ends the answer."""
        self.credit.append(0.0 if self.answer.owed else 1.0)
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if piece is None:
            self.finish = "stop"
        elif self.answer.add(piece):
            self.finish = "line"
        elif len(self.tokens) >= self.most:
            self.finish = "length"

    def rollout(self) -> Rollout:
        """Return the finished sample."""
        return Rollout(
            self.asked.name,
            self.answer.text,
            Scored(self.context, tuple(self.tokens)),
            tuple(self.logprobs),
            tuple(self.credit),
            self.finish,
            len(self.healed),
        )


class Sampler:
    """Samples from ``model``, a causal language model as transformers or PEFT make them.

    Computes in bf16 (autocast), as training does, or with ``narrow`` off in the weights' own type.
    """

    def __init__(
        self, model: Any, tokenizer: CodeTokenizer, fmt: FimFormat, *, narrow: bool = True
    ) -> None:
        self._model, self._tokenizer, self._format = model, tokenizer, fmt
        self._narrow = narrow
        self._pieces = Pieces(tokenizer.pieces)
        self._stops = {tokenizer.vocabulary.get(stop) for stop in fmt.stop}

    def sample(
        self, asked: Sequence[Asked], sampling: Sampling, token: CancellationToken
    ) -> list[list[Rollout]]:
        """Return ``sampling.samples`` answers to each prompt, in the order of ``asked``.

        Raises `Cancelled` between two tokens.
        """
        rows = [
            [self._open(one, sampling, number) for number in range(sampling.samples)]
            for one in asked
        ]
        with _cached_attention(self._model):
            for batch in _batches(rows, 1 if self._model.device.type == "cpu" else ACCELERATED):
                self._decode(batch, token)
        return [[row.rollout() for row in group] for group in rows]

    def context_of(self, prompt: Prompt) -> tuple[tuple[int, ...], str]:
        """Return the ids that are sampled after, and the characters to be spelled again first."""
        kept, healed = prompt.prefix, ""
        if self._format.continues_prefix:
            kept, healed = split_for_healing(self._tokenizer, self._pieces, prompt.prefix)
        ids = fim.encode(self._tokenizer, self._format, replace(prompt, prefix=kept))
        return tuple(ids), healed

    def _open(self, asked: Asked, sampling: Sampling, number: int) -> _Row:
        context, healed = self.context_of(asked.prompt)
        greedy = sampling.greedy_first and number == 0
        return _Row(
            asked,
            context,
            healed,
            Answer(asked.prompt.prefix, healed, sampling.single_line),
            0.0 if greedy else sampling.temperature,
            random.Random(f"{sampling.seed}:{asked.name}:{number}"),
            sampling.max_tokens,
        )

    @torch.inference_mode()
    def _decode(self, groups: list[list[_Row]], token: CancellationToken) -> None:
        """Fill all rows of ``groups``; rows of one group share their context."""
        device = self._model.device
        samples = len(groups[0])
        ids, mask = _pad([group[0].context for group in groups], device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache()
        logits = self._forward(ids, mask, positions, cache).repeat_interleave(samples, 0)
        cache.batch_repeat_interleave(samples)
        mask = mask.repeat_interleave(samples, 0)
        positions = positions[:, -1:].repeat_interleave(samples, 0)
        rows = [row for group in groups for row in group]
        while True:
            token.check()
            chosen = self._take(rows, logits)
            staying = [at for at, row in enumerate(rows) if not row.finish]
            if not staying:
                return
            if len(staying) < len(rows):
                kept = torch.tensor(staying, device=device)
                cache.batch_select_indices(kept)
                mask, positions = mask[kept], positions[kept]
                rows, chosen = [rows[at] for at in staying], [chosen[at] for at in staying]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=-1)
            positions = positions + 1
            said = torch.tensor(chosen, device=device)[:, None]
            logits = self._forward(said, mask, positions, cache)

    def _forward(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
        """Return the logits of the next token, ``(B, V)``, on the CPU."""
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self._narrow):
            output = self._model(
                input_ids=ids, attention_mask=mask, position_ids=positions,
                past_key_values=cache, use_cache=True, logits_to_keep=1,
            )  # fmt: skip
        logits: Tensor = output.logits[:, -1].float().cpu()
        return logits

    def _take(self, rows: Sequence[_Row], logits: Tensor) -> list[int]:
        """Give each row its next token from ``logits (B, V)``; return those."""
        logprobs = torch.log_softmax(logits, -1)
        chosen = [self._choose(row, found) for row, found in zip(rows, logprobs, strict=True)]
        for row, choice, found in zip(rows, chosen, logprobs, strict=True):
            row.add(choice, float(found[choice]), self._piece(choice))
        return chosen

    def _choose(self, row: _Row, logprobs: Tensor) -> int:
        """Draw from ``logprobs (V,)`` by one uniform number: the inverse of the distribution."""
        if row.answer.owed:
            allowed = torch.tensor(self._pieces.spelling(row.answer.owed))
            return int(allowed[_draw(logprobs[allowed], row)])
        return _draw(logprobs, row)

    def _piece(self, token: int) -> bytes | None:
        """Return a token's bytes; None for marks and stop tokens: the model has ended."""
        pieces = self._tokenizer.pieces
        return pieces[token] if token < len(pieces) and token not in self._stops else None


@contextlib.contextmanager
def _cached_attention(model: Any) -> Iterator[None]:
    """Attend as decoding with a cache needs it; training may attend in a way of its own."""
    config = model.config
    usual = config._attn_implementation  # noqa: SLF001 - its setter would look at every module
    config._attn_implementation = "sdpa"  # noqa: SLF001
    try:
        yield
    finally:
        config._attn_implementation = usual  # noqa: SLF001


def _draw(logprobs: Tensor, row: _Row) -> int:
    if row.temperature == 0.0:
        return int(logprobs.argmax())
    chances = torch.softmax(logprobs.double() / row.temperature, -1).cumsum(-1)
    point = row.rng.random() * float(chances[-1])
    return min(int(torch.searchsorted(chances, point, right=True)), len(chances) - 1)


def _batches(groups: Sequence[list[_Row]], room: int) -> Iterator[list[list[_Row]]]:
    """Yield runs of groups of like length, the longest first, within ``room`` times the budgets."""
    left = sorted(groups, key=lambda group: len(group[0].context))
    while left:
        longest, samples = len(left[-1][0].context), len(left[-1])
        count = max(1, min(room * BATCH_ROWS // samples, room * BATCH_TOKENS // longest))
        yield left[-count:]
        del left[-count:]


def _pad(rows: Sequence[Sequence[int]], device: Any) -> tuple[Tensor, Tensor]:
    """Return ids and attention mask ``(B, T)``, padded on the left."""
    width = max(map(len, rows))
    ids = [[0] * (width - len(row)) + list(row) for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
