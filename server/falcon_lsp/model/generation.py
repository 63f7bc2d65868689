"""The loop from prompt to answer, over any causal model that can feed tokens and forget them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from falcon_lsp.core.cancellation import CancellationToken, DeadlineExceeded
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import fim
from falcon_lsp.model.decoding import Answer, Logits, Pieces, choose, split_for_healing
from falcon_lsp.model.engine import EngineError, Generation, GenerationParams
from falcon_lsp.model.sequences import CachedSequence, CausalModel, KeptSequences
from falcon_lsp.model.tokenizer import CodeTokenizer

CHUNK = 256
"""Tokens prefilled between two looks at the cancellation token."""


class Generator:
    """Answers prompts, reusing the caches for what a prompt has in common with earlier ones."""

    def __init__(self, model: CausalModel, tokenizer: CodeTokenizer, fmt: fim.FimFormat) -> None:
        self._model, self._tokenizer, self._fmt = model, tokenizer, fmt
        self._pieces = Pieces(tokenizer.pieces)
        self._stops = {tokenizer.vocabulary.get(stop) for stop in fmt.stop}
        self._sequences = KeptSequences(model)

    def reset(self) -> None:
        """Forget all caches, for example because the weights have changed."""
        self._sequences.reset()

    def replace(self, model: CausalModel) -> None:
        """Go on with another network and nothing cached."""
        self._model = model
        self._sequences = KeptSequences(model)

    def generate(
        self, prompt: Prompt, params: GenerationParams, token: CancellationToken
    ) -> Generation:
        """Answer ``prompt``; the contract is that of `Engine.generate`.

        A mark that ends the answer is the last of ``token_ids``, since it was sampled too.
        """
        started = time.perf_counter()
        ids, dropped = self._encode(prompt, params.max_tokens)
        sequence = self._sequences.resume(ids)
        cached = len(sequence)
        answer = Answer(prompt.prefix, dropped, params.single_line)
        sampled: list[int] = []
        logprobs: list[float] = []
        prefilled = started
        try:
            logits = self._prefill(sequence, ids, token)
            prefilled = time.perf_counter()
            finish = self._decode(sequence, logits, params, token, answer, sampled, logprobs)
        except DeadlineExceeded:
            finish = "deadline"
        ended = time.perf_counter()
        prefilled = ended if prefilled == started else prefilled
        return Generation(
            text=answer.text,
            token_ids=tuple(sampled),
            logprobs=tuple(logprobs),
            finish=finish,
            healed_chars=len(dropped),
            prompt_tokens=len(ids),
            cached_tokens=cached,
            prefill_ms=(prefilled - started) * 1e3,
            decode_ms=(ended - prefilled) * 1e3,
        )

    def _encode(self, prompt: Prompt, max_tokens: int) -> tuple[list[int], str]:
        kept, dropped = prompt.prefix, ""
        if self._fmt.continues_prefix:
            kept, dropped = split_for_healing(self._tokenizer, self._pieces, prompt.prefix)
        ids = fim.encode(self._tokenizer, self._fmt, replace(prompt, prefix=kept))
        if len(ids) + max_tokens > self._model.context_length:
            raise EngineError(
                f"The prompt takes {len(ids)} tokens and the model reads "
                f"{self._model.context_length}: lower falcon.context.prefixTokens."
            )
        return ids, dropped

    def _prefill(
        self, sequence: CachedSequence, ids: Sequence[int], token: CancellationToken
    ) -> Logits:
        while True:
            token.check()
            logits = sequence.feed(ids[len(sequence) :][:CHUNK])
            if len(sequence) == len(ids):
                return logits

    def _decode(
        self,
        sequence: CachedSequence,
        logits: Logits,
        params: GenerationParams,
        token: CancellationToken,
        answer: Answer,
        sampled: list[int],
        logprobs: list[float],
    ) -> str:
        """Sample into ``sampled`` and ``logprobs`` until the answer ends; return why it did."""
        rng = np.random.default_rng(params.seed)
        while True:
            token.check()
            allowed = self._pieces.spelling(answer.owed) if answer.owed else ()
            chosen, logprob = choose(logits, params.temperature, rng, allowed)
            sampled.append(chosen)
            logprobs.append(logprob)
            piece = self._piece(chosen)
            if piece is None:
                return "stop"
            if answer.add(piece):
                return "line"
            if len(sampled) >= params.max_tokens:
                return "length"
            logits = sequence.feed([chosen])

    def _piece(self, token_id: int) -> bytes | None:
        """Return a token's bytes; None for marks and stop tokens: the model has ended."""
        pieces = self._tokenizer.pieces
        known = token_id < len(pieces) and token_id not in self._stops
        return pieces[token_id] if known else None
