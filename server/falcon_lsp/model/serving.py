"""What engines over local weights have in common, whatever computes."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt
from falcon_lsp.model.drafts import NO_SOURCES, Sources
from falcon_lsp.model.engine import Generation, GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.generation import Generator
from falcon_lsp.model.sequences import CausalModel
from falcon_lsp.model.tokenizer import CodeTokenizer

ModelT = TypeVar("ModelT", bound=CausalModel)


class ServedModel(Generic[ModelT]):
    """One model's generator and its names; weights change only between two generations."""

    def __init__(self, files: ModelFiles, model: ModelT) -> None:
        self._model = model
        self._generator = Generator(model, CodeTokenizer.from_folder(files.folder), files.fim)
        self._serving = threading.Lock()
        self.model_id = files.model_id
        self.base_sha256 = files.sha256
        self.adapter_id = "base"

    def generate(
        self,
        prompt: Prompt,
        params: GenerationParams,
        token: CancellationToken,
        sources: Sources = NO_SOURCES,
    ) -> Generation:
        """Fill in the middle of ``prompt``; see `falcon_lsp.model.engine.Engine`."""
        with self._serving:
            return self._generator.generate(prompt, params, token, sources)

    def prefill(self, prompt: Prompt, token: CancellationToken) -> None:
        """Read ``prompt`` ahead; see `Engine.prefill`."""
        with self._serving:
            self._generator.prefill(prompt, token)

    def score(self, prompt: Prompt, text: str, token: CancellationToken) -> tuple[float, ...]:
        """Return the log-probabilities of ``text`` as the answer; see `Engine.score`."""
        with self._serving:
            return self._generator.score(prompt, text, token)
