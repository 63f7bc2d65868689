"""The loop from prompt to answer, over any causal model that can feed tokens and forget them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from falcon_lsp.core.cancellation import CancellationToken, DeadlineExceeded
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import fim
from falcon_lsp.model.decoding import (
    Answer,
    Logits,
    Pieces,
    choose,
    logprobs,
    split_for_healing,
)
from falcon_lsp.model.drafts import NO_SOURCES, Drafter, Sources
from falcon_lsp.model.engine import EngineError, Generation, GenerationParams
from falcon_lsp.model.sequences import CachedSequence, CausalModel, KeptSequences
from falcon_lsp.model.tokenizer import CodeTokenizer

CHUNK = 96
"""Most tokens of a prompt that are read between two looks at the cancellation token.

On two cores 96 take 45 ms, 8 % more for each than with 256 at a time (with 64: 25 %).
"""

SPARE_CHUNK = 64
"""The same for a prompt that is read ahead: so long may a request have to wait for it."""


@dataclass(slots=True)
class _Run:
    """One generation while it goes on; ``read`` is when the prompt had been read."""

    answer: Answer
    params: GenerationParams
    rng: np.random.Generator
    sampled: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    passes: int = 0
    drafted: int = 0
    accepted: int = 0
    read: float | None = None

    @property
    def room(self) -> int:
        """How many more tokens may be sampled."""
        return self.params.max_tokens - len(self.sampled)


class Generator:
    """Answers prompts, reusing the caches for what a prompt has in common with earlier ones.

    What is sampled is fed to the network together with a draft of what may follow. The network
    then says what follows each of these tokens, and as long as that is what was drafted it has
    said several tokens in one pass. What it says is sampled from the same distributions in the
    same order as without a draft.
    """

    def __init__(self, model: CausalModel, tokenizer: CodeTokenizer, fmt: fim.FimFormat) -> None:
        self._model, self._tokenizer, self._fmt = model, tokenizer, fmt
        self._pieces = Pieces(tokenizer.pieces)
        self._stops = {tokenizer.vocabulary.get(stop) for stop in fmt.stop}
        self._ends = [
            token
            for token in range(len(tokenizer.pieces))
            if (self._piece(token) or b"\n").startswith((b"\n", b"\r"))
        ]
        self._sequences = KeptSequences(model)

    def reset(self) -> None:
        """Forget all caches, for example because the weights have changed."""
        self._sequences.reset()

    def read_again(self, model: CausalModel) -> KeptSequences:
        """Read with another network what was read last; may run beside requests."""
        sequences = KeptSequences(model)
        ids = self._sequences.latest
        sequence = sequences.resume(ids)
        while unread := ids[len(sequence) :]:
            sequence.feed(unread[:SPARE_CHUNK])
        return sequences

    def replace(self, model: CausalModel, sequences: KeptSequences) -> None:
        """Go on with another network, which has read ``sequences``."""
        self._model, self._sequences = model, sequences

    def generate(
        self,
        prompt: Prompt,
        params: GenerationParams,
        token: CancellationToken,
        sources: Sources = NO_SOURCES,
    ) -> Generation:
        """Answer ``prompt``; the contract is that of `Engine.generate`.

        A mark that ends the answer is the last of ``token_ids``, since it was sampled too.
        """
        started = time.perf_counter()
        ids, dropped = self._encode(prompt)
        self._require_room(len(ids) + params.max_tokens)
        sequence = self._sequences.resume(ids)
        cached = len(sequence)
        answer = Answer(prompt.prefix, dropped, params.single_line)
        run = _Run(answer, params, np.random.default_rng(params.seed))
        drafter = Drafter(self._tokenizer.encode, sources, single_line=params.single_line)
        try:
            self._prefill(sequence, ids, token)
            finish = self._decode(sequence, ids, run, drafter, token)
        except DeadlineExceeded:
            finish = "deadline"
        ended = time.perf_counter()
        read = run.read or ended
        return Generation(
            text=answer.text,
            token_ids=tuple(run.sampled),
            logprobs=tuple(run.logprobs),
            finish=finish,
            healed_chars=len(dropped),
            prompt_tokens=len(ids),
            cached_tokens=cached,
            prefill_ms=(read - started) * 1e3,
            decode_ms=(ended - read) * 1e3,
            passes=run.passes,
            drafted=run.drafted,
            accepted=run.accepted,
        )

    def prefill(self, prompt: Prompt, token: CancellationToken) -> None:
        """Read ``prompt`` but for its last token; the contract is that of `Engine.prefill`."""
        ids, _ = self._encode(prompt)
        self._require_room(len(ids))
        if self._sequences.hold(ids):  # to go back to this would forget what was said since
            return
        sequence = self._sequences.resume(ids)
        while unread := ids[len(sequence) : -1]:
            token.check()
            sequence.feed(unread[:SPARE_CHUNK])

    def score(self, prompt: Prompt, text: str, token: CancellationToken) -> tuple[float, ...]:
        """Judge ``text`` as the answer to ``prompt``; the contract is that of `Engine.score`."""
        ids, dropped = self._encode(prompt)
        spelled, offsets = self._tokenizer.encode_with_offsets(dropped + text)
        self._require_room(len(ids) + len(spelled))
        sequence = self._sequences.resume(ids)
        self._prefill(sequence, ids, token)
        token.check()
        rows = logprobs(sequence.feed([*ids[len(sequence) :], *spelled], len(spelled) + 1))
        new = [at for at, (_, end) in enumerate(offsets) if end > len(dropped)]
        ending = float(np.logaddexp.reduce(rows[-1, self._ends]))
        return (*(float(rows[at, spelled[at]]) for at in new), ending)

    def _encode(self, prompt: Prompt) -> tuple[list[int], str]:
        """Return the prompt's ids, and the characters before the cursor that they leave out."""
        kept, dropped = prompt.prefix, ""
        if self._fmt.continues_prefix:
            kept, dropped = split_for_healing(self._tokenizer, self._pieces, prompt.prefix)
        return fim.encode(self._tokenizer, self._fmt, replace(prompt, prefix=kept)), dropped

    def _require_room(self, tokens: int) -> None:
        if tokens > self._model.context_length:
            raise EngineError(
                f"Prompt and answer take {tokens} tokens and the model reads "
                f"{self._model.context_length}: lower falcon.context.prefixTokens."
            )

    def _prefill(
        self, sequence: CachedSequence, ids: Sequence[int], token: CancellationToken
    ) -> None:
        """Feed ``ids`` until at most `CHUNK` of them are left."""
        while len(ids) - len(sequence) > CHUNK:
            token.check()
            sequence.feed(ids[len(sequence) :][:CHUNK])

    def _decode(
        self,
        sequence: CachedSequence,
        ids: Sequence[int],
        run: _Run,
        drafter: Drafter,
        token: CancellationToken,
    ) -> str:
        """Sample until the answer ends; return why it did. One pass also reads the prompt's end."""
        while True:
            token.check()
            owed = run.answer.owed.decode("utf-8", "ignore")
            draft = drafter.draft(run.answer.in_place, owed, run.room - 1)
            pending = [*ids, *run.sampled][len(sequence) :]
            rows = sequence.feed([*pending, *draft], len(draft) + 1)
            run.read = run.read or time.perf_counter()
            if finish := self._take(rows, draft, run):
                return finish
            sequence.cut(len(ids) + len(run.sampled) - 1)

    def _take(self, rows: Logits, draft: Sequence[int], run: _Run) -> str:
        """Sample from each of ``rows`` until it is not what was drafted; return why all ended."""
        run.passes += 1
        run.drafted += len(draft)
        for logits, drafted in zip(rows, [*draft, None], strict=True):
            allowed = self._pieces.spelling(run.answer.owed) if run.answer.owed else ()
            chosen, logprob = choose(logits, run.params.temperature, run.rng, allowed)
            run.sampled.append(chosen)
            run.logprobs.append(logprob)
            run.accepted += chosen == drafted
            piece = self._piece(chosen)
            if piece is None:
                return "stop"
            if run.answer.add(piece):
                return "line"
            if run.params.stop is not None and run.params.stop(run.answer.text):
                return "block"
            if not run.room:
                return "length"
            if chosen != drafted:
                break
        return ""

    def _piece(self, token_id: int) -> bytes | None:
        """Return a token's bytes; None for marks and stop tokens: the model has ended."""
        pieces = self._tokenizer.pieces
        known = token_id < len(pieces) and token_id not in self._stops
        return pieces[token_id] if known else None
