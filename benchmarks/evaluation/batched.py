"""The product's greedy decoding, many prompts at a time, and the likelihood of given text.

Prompt format, token healing, merged weights and the rules by which an answer ends are those of
`falcon_lsp.model`; only the loop differs: rows of like length are padded on the left and leave the
batch when they are done. In bf16 the order of additions depends on the batch, so that now and then
two nearly equal tokens change places: ``infill.py --agreement`` counts how often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache

from falcon_lsp.core.types import Prompt
from falcon_lsp.model import fim, merge
from falcon_lsp.model.decoding import Answer, Pieces, split_for_healing
from falcon_lsp.model.engine import Generation
from falcon_lsp.model.fim import FimFormat, Slot
from falcon_lsp.model.tokenizer import CodeTokenizer
from falcon_lsp.model.torch_engine import best_device, best_dtype

COMMENTED = FimFormat(
    name="commented",
    template=(Slot.SNIPPETS, Slot.COMMENT, Slot.PREFIX),
    stop=("<|endoftext|>", "<|im_end|>"),
)
"""Left to right, the path in a comment above: for a base that knows no infilling."""

BATCH_TOKENS, BATCH_ROWS = 12_288, 32

Progress = Callable[[int, int], None]
"""Called with how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. Without ``fmt`` the prompt is the prefix alone.

    The answer ends with its line where ``single_line``, and before the first of ``stops``.
    """

    prompt: Prompt
    fmt: FimFormat | None
    max_tokens: int = 48
    single_line: bool = True
    stops: tuple[str, ...] = ()


@dataclass(slots=True)
class _Row:
    """One question while it is being answered."""

    place: int
    question: Question
    ids: list[int]
    answer: Answer
    healed: str
    sampled: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: str = ""

    @property
    def generation(self) -> Generation:
        cut = min(self._stops(), default=len(self.answer.text))
        return Generation(
            self.answer.text[:cut], tuple(self.sampled), tuple(self.logprobs), self.finish,
            healed_chars=len(self.healed), prompt_tokens=len(self.ids),
        )  # fmt: skip

    def add(self, token: int, logprob: float, piece: bytes | None) -> None:
        """Take the next token; ``piece`` is None for one that ends the answer."""
        self.sampled.append(token)
        self.logprobs.append(logprob)
        if piece is None:
            self.finish = "stop"
        elif self.answer.add(piece):
            self.finish = "line"
        elif any(True for _ in self._stops()):
            self.finish = "stop"
        elif len(self.sampled) >= self.question.max_tokens:
            self.finish = "length"

    def _stops(self) -> Iterator[int]:
        found = (self.answer.text.find(stop) for stop in self.question.stops)
        return (at for at in found if at >= 0)


class BatchedModel:
    """A base with an adapter merged in, on one device."""

    def __init__(self, base: Path, adapter: Path | None, device: str = "auto") -> None:
        self.device = best_device() if device == "auto" else device
        self.dtype = best_dtype(self.device)
        self.tokenizer = CodeTokenizer.from_folder(base)
        self._pieces = Pieces(self.tokenizer.pieces)
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype=self.dtype, use_safetensors=True, local_files_only=True
        )
        if adapter is not None:
            _merge(model, base, adapter, self.dtype)
        self._model = model.to(self.device).eval()

    def generate(self, questions: Sequence[Question], progress: Progress) -> list[Generation]:
        """Answer every question, greedily; the result is in the order of ``questions``."""
        rows = [self._open(place, question) for place, question in enumerate(questions)]
        done = 0
        for batch in _batches(sorted(rows, key=lambda row: len(row.ids))):
            self._decode(batch)
            done += len(batch)
            progress(done, len(rows))
        return [row.generation for row in rows]

    def score(self, prompt: Prompt, fmt: FimFormat | None, text: str) -> tuple[float, ...]:
        """Judge ``text`` as the answer, as `Engine.score` does."""
        row = self._open(0, Question(prompt, fmt, single_line=True))
        spelled, offsets = self.tokenizer.encode_with_offsets(row.healed + text)
        batch = torch.tensor([row.ids + spelled], device=self.device)
        with torch.inference_mode():
            logits = self._model(input_ids=batch, logits_to_keep=len(spelled) + 1).logits[0]
            chances = logits.float().log_softmax(-1)
        new = [at for at, (_, end) in enumerate(offsets) if end > len(row.healed)]
        ends = [
            token
            for token in range(len(self.tokenizer.pieces))
            if (self._piece(token, fmt) or b"\n").startswith((b"\n", b"\r"))
        ]
        ending = float(chances[-1, ends].logsumexp(-1))
        return (*(float(chances[at, spelled[at]]) for at in new), ending)

    def log_likelihood(self, ids: Sequence[int], scored: int) -> float:
        """Return the summed natural log-probability of the last ``scored`` tokens of ``ids``."""
        batch = torch.tensor([ids], device=self.device)
        with torch.inference_mode():
            logits = self._model(input_ids=batch, logits_to_keep=scored + 1).logits[0, :-1]
            chances = logits.float().log_softmax(-1)
        return float(chances.gather(-1, batch[0, -scored:, None]).sum())

    def byte_count(self, ids: Sequence[int]) -> int:
        """Return how many bytes of UTF-8 the tokens ``ids`` stand for."""
        return sum(len(self.tokenizer.pieces[token] or b"") for token in ids)

    def encode(self, prompt: Prompt, fmt: FimFormat | None) -> list[int]:
        """Return the token ids of a prompt; without a format, of its prefix alone."""
        if fmt is None:
            return self.tokenizer.encode(prompt.prefix)
        return fim.encode(self.tokenizer, fmt, prompt)

    def _open(self, place: int, question: Question) -> _Row:
        prompt, fmt = question.prompt, question.fmt
        kept, healed = prompt.prefix, ""
        if fmt is None or fmt.continues_prefix:
            kept, healed = split_for_healing(self.tokenizer, self._pieces, prompt.prefix)
        ids = self.encode(replace(prompt, prefix=kept), fmt)
        answer = Answer(prompt.prefix, healed, question.single_line)
        return _Row(place, question, ids, answer, healed)

    @torch.inference_mode()
    def _decode(self, rows: list[_Row]) -> None:
        ids, mask = _pad([row.ids for row in rows], self.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache = DynamicCache()
        while True:
            output = self._model(
                input_ids=ids, attention_mask=mask, position_ids=positions,
                past_key_values=cache, use_cache=True, logits_to_keep=1,
            )  # fmt: skip
            chosen = self._take(rows, output.logits[:, -1].float())
            staying = [at for at, row in enumerate(rows) if not row.finish]
            if not staying:
                return
            if len(staying) < len(rows):
                kept = torch.tensor(staying, device=self.device)
                cache.batch_select_indices(kept)
                mask, positions, chosen = mask[kept], positions[kept], chosen[kept]
                rows = [rows[at] for at in staying]
            ids = chosen[:, None]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=-1)
            positions = positions[:, -1:] + 1

    def _take(self, rows: Sequence[_Row], logits: Tensor) -> Tensor:
        """Give each row its likeliest next token from ``logits (B, V)``; return those ``(B,)``."""
        chosen = logits.argmax(-1)
        for at, row in enumerate(rows):
            if row.answer.owed:
                allowed = self._pieces.spelling(row.answer.owed)
                chosen[at] = allowed[int(logits[at, allowed].argmax())]
        gained = logits.gather(-1, chosen[:, None])[:, 0] - logits.logsumexp(-1)
        for row, token, logprob in zip(rows, chosen.tolist(), gained.tolist(), strict=True):
            row.add(token, logprob, self._piece(token, row.question.fmt))
        return chosen

    def _piece(self, token: int, fmt: FimFormat | None) -> bytes | None:
        """Return a token's bytes; None for marks and stop tokens: the model has ended."""
        pieces = self.tokenizer.pieces
        stops = (fmt or COMMENTED).stop
        known = token < len(pieces) and token not in map(self.tokenizer.vocabulary.get, stops)
        return pieces[token] if known else None


def _merge(model: torch.nn.Module, base: Path, adapter: Path, dtype: torch.dtype) -> None:
    """Put the adapter into the weights as `TorchEngine` does, bit for bit."""
    lora, weights = merge.read_lora(adapter), merge.BaseWeights(base)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name in lora.names:
            merged = lora.merged(name, weights.read(name).float())
            is_short = dtype is torch.bfloat16
            parameters[name].copy_(merge.rounded(merged, name) if is_short else merged)


def _batches(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Yield runs of ``rows``, longest batch first, that fit the budget of padded tokens."""
    left = list(rows)
    while left:
        count = max(1, min(BATCH_ROWS, BATCH_TOKENS // len(left[-1].ids)))
        yield left[-count:]
        del left[-count:]


def _pad(rows: Sequence[Sequence[int]], device: str) -> tuple[Tensor, Tensor]:
    """Return ids and attention mask ``(B, T)``, padded on the left."""
    width = max(map(len, rows))
    ids = [[0] * (width - len(row)) + list(row) for row in rows]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
