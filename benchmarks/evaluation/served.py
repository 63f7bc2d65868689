"""The product's own engine for processors behind the interface of `BatchedModel`: what users get.

One prompt at a time, in eight bits, so that a row shows what serving costs in quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evaluation.batched import COMMENTED, Progress, Question
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import fim
from falcon_lsp.model.engine import Generation, GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.fim import FALCON, FimFormat
from falcon_lsp.model.onnx_engine import OnnxEngine
from falcon_lsp.model.tokenizer import CodeTokenizer

CHUNK = 256
"""Tokens scored in one pass: their logits take 50 MB."""


class ServedModel:
    """A base with an adapter, in eight bits on ONNX Runtime."""

    device = "cpu, eight bits"

    def __init__(self, base: Path, adapter: Path | None) -> None:
        self._fmt = FALCON if adapter else COMMENTED
        cache = Store.default().cache / "benchmarks" / "quantised"
        self._engine = OnnxEngine(ModelFiles(base, "base", self._fmt, base.name), cache)
        if adapter is not None:
            self._engine.load_adapter(adapter, "adapter")
        self.tokenizer = CodeTokenizer.from_folder(base)

    def generate(self, questions: Sequence[Question], progress: Progress) -> list[Generation]:
        """Answer every question, greedily; only single lines in the row's own format."""
        answers = []
        for question in questions:
            if question.fmt is not self._fmt or question.stops or not question.single_line:
                raise ValueError("The product's engine fills in single lines: ask for those tasks.")
            params = GenerationParams(question.max_tokens)
            answers.append(self._engine.generate(question.prompt, params, CancellationToken()))
            if len(answers) % 20 == 0:
                progress(len(answers), len(questions))
        return answers

    def score(self, prompt: Prompt, fmt: FimFormat | None, text: str) -> tuple[float, ...]:
        """Judge ``text`` as the answer, as `Engine.score` does."""
        if fmt is not self._fmt:
            raise ValueError("The product's engine knows one format.")
        return self._engine.score(prompt, text, CancellationToken())

    def log_likelihood(self, ids: Sequence[int], scored: int) -> float:
        """Return the summed natural log-probability of the last ``scored`` tokens of ``ids``."""
        sequence = self._engine._model.fork()  # noqa: SLF001 - the network alone
        unscored = len(ids) - scored
        pieces = [ids[start : start + CHUNK] for start in range(unscored, len(ids), CHUNK)]
        pieces[-1] = pieces[-1][:-1]  # what follows the last token is not asked
        logits = [
            sequence.feed(ids[:unscored])[None],
            *map(sequence.feed_each, filter(None, pieces)),
        ]
        rows = np.concatenate(logits).astype(np.float64)
        chosen = np.take_along_axis(rows, np.asarray(ids[unscored:])[:, None], -1)[:, 0]
        top = rows.max(-1, keepdims=True)
        return float((chosen - top[:, 0] - np.log(np.exp(rows - top).sum(-1))).sum())

    def byte_count(self, ids: Sequence[int]) -> int:
        """Return how many bytes of UTF-8 the tokens ``ids`` stand for."""
        return sum(len(self.tokenizer.pieces[token] or b"") for token in ids)

    def encode(self, prompt: Prompt, fmt: FimFormat | None) -> list[int]:
        """Return the token ids of a prompt; without a format, of its prefix alone."""
        if fmt is None:
            return self.tokenizer.encode(prompt.prefix)
        return fim.encode(self.tokenizer, fmt, prompt)
