"""The engine that runs on PyTorch: every family that transformers knows, on CPU, CUDA or MPS."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.utils.logging import disable_progress_bar

from falcon_lsp.model import merge
from falcon_lsp.model.decoding import Logits
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.serving import ServedModel

logger = logging.getLogger(__name__)


def best_device() -> str:
    """Return the fastest device of this machine: ``cuda``, ``mps`` or ``cpu``."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_dtype(device: str) -> torch.dtype:
    """Return bfloat16, except on processors that would have to emulate it."""
    if device == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001 - torch has no public name for it
        return torch.float32
    return torch.bfloat16


class TorchModel:
    """A transformers model and its key-value cache, one sequence at a time."""

    def __init__(self, folder: Path, device: str, dtype: torch.dtype) -> None:
        disable_progress_bar()
        self._model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False,
            local_files_only=True,
        ).to(device).eval()  # fmt: skip
        self._parameters = dict(self._model.named_parameters())
        self._device = device
        self.truncate(0)

    @property
    def context_length(self) -> int:
        """Most tokens that the model was made to read."""
        return int(getattr(self._model.config, "max_position_embeddings", 0) or 2**31)

    def feed(self, ids: Sequence[int]) -> Logits:
        """Append ``ids`` to the cache; return the logits ``(V,)`` of what follows, in fp32."""
        logits: Logits = self._run(ids, 1)[-1]
        return logits

    def feed_each(self, ids: Sequence[int], last: int = 0) -> Logits:
        """Append ``ids``; return the logits ``(n, V)`` after each, or after the ``last`` only."""
        return self._run(ids, last or len(ids))

    def fork(self) -> TorchModel:
        """Return an empty sequence over the same weights."""
        other = copy.copy(self)
        other.truncate(0)
        return other

    def _run(self, ids: Sequence[int], rows: int) -> Logits:
        batch = torch.tensor([ids], device=self._device)
        with torch.inference_mode():
            output = self._model(
                input_ids=batch, past_key_values=self._cache, use_cache=True, logits_to_keep=rows
            )
        logits: Logits = output.logits[0].float().cpu().numpy().astype(np.float32, copy=False)
        return logits

    def truncate(self, length: int) -> None:
        """Forget all but the first ``length`` tokens.

        The cache is made without the model's configuration: a sliding window then hides old
        tokens instead of dropping them, so that any length can be gone back to.
        """
        if length == 0:
            self._cache = DynamicCache()
        elif (surplus := self._cache.get_seq_length() - length) > 0:
            self._cache.crop(-surplus)

    def replace(self, weights: Mapping[str, Tensor]) -> None:
        """Overwrite parameters in place; raises `EngineError` before the first when one is odd."""
        for name, value in weights.items():
            if name not in self._parameters or self._parameters[name].shape != value.shape:
                raise EngineError(f"The adapter does not fit the model ({name}): roll it back.")
        with torch.no_grad():
            for name, value in weights.items():
                self._parameters[name].copy_(value)


class TorchEngine(ServedModel[TorchModel]):
    """Serves one model. `load_adapter` may be called from another thread than `generate`."""

    def __init__(
        self,
        files: ModelFiles,
        *,
        threads: int = 0,
        device: str = "auto",
        dtype: torch.dtype | None = None,
    ) -> None:
        if threads:
            torch.set_num_threads(threads)
        device = best_device() if device == "auto" else device
        dtype = dtype or best_dtype(device)
        started = time.perf_counter()
        super().__init__(files, TorchModel(files.folder, device, dtype))
        self._base = merge.BaseWeights(files.folder)
        self._dtype = dtype
        self._merged: frozenset[str] = frozenset()
        seconds = time.perf_counter() - started
        logger.info("loaded %s on %s as %s in %.1f s", files.model_id, device, dtype, seconds)

    def load_adapter(self, adapter: Path | None, adapter_id: str) -> None:
        """Merge the adapter in a verified folder into the base's weights (None: the base again).

        The merge (fp32, from the base on disk) happens beside running requests; only the copy of
        finished weights waits for them. When anything is wrong, `EngineError` is raised and the
        weights stay as they were.
        """
        lora = merge.read_lora(adapter) if adapter else merge.Lora()
        names = self._merged | lora.names
        weights = {name: self._merge(lora, name) for name in sorted(names)}
        with self._serving:
            self._model.replace(weights)
            self._generator.reset()
            self._merged = lora.names
            self.adapter_id = adapter_id

    def _merge(self, lora: merge.Lora, name: str) -> Tensor:
        """Return one parameter of the base with ``lora`` in it, in the type that is served.

        What ``lora`` leaves alone is rounded as when the model was loaded, to the last bit.
        """
        weight = self._base.read(name)
        if name not in lora.names:
            return weight.to(self._dtype)
        merged = lora.merged(name, weight.float())
        return merge.rounded(merged, name) if self._dtype is torch.bfloat16 else merged
