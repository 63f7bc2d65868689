"""The engine for processors: eight-bit weights on ONNX Runtime, for networks of the Llama kind.

See docs/adr/0001-cpu-backend.md for why, and for the figures.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import psutil
from numpy.typing import NDArray

from falcon_lsp.model import llama_graph
from falcon_lsp.model.decoding import Logits
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.llama_shape import LlamaShape
from falcon_lsp.model.loader import ModelFiles
from falcon_lsp.model.quantised import QuantisedCache
from falcon_lsp.model.serving import ServedModel

logger = logging.getLogger(__name__)

CAPACITY_STEP = 512
"""Tokens by which a cache grows."""
MOST_THREADS = 8
"""With more, small models spend their time on handing out work."""


def best_threads() -> int:
    """Return the number of cores, up to what pays."""
    return min(psutil.cpu_count(logical=False) or 1, MOST_THREADS)


class Network:
    """Loaded weights: what `OnnxModel`s compute with. ``arrays`` may be mapped files.

    Threads that wait do not spin: it gains little on an idle machine, and takes twice the time
    where others compute too.
    """

    def __init__(self, shape: LlamaShape, arrays: dict[str, NDArray[Any]], threads: int) -> None:
        self.shape = shape
        self._embedding = arrays["embedding"]
        constants = {name: a for name, a in arrays.items() if name != "embedding"}
        constants |= llama_graph.rotations(shape)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_external_initializers(
            list(constants), [ort.OrtValue.ortvalue_from_numpy(a) for a in constants.values()]
        )
        self._constants = constants
        graph = llama_graph.build(shape, constants)
        try:
            self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's exceptions have no common base
            raise EngineError(
                f"ONNX Runtime cannot run this model ({type(error).__name__}): set falcon.engine "
                "to torch."
            ) from error

    def embed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return ``(1, n, hidden)``: stored as bf16, which is the upper half of fp32."""
        words = self._embedding[np.asarray(ids)].view(np.uint16).astype(np.uint32)
        embedded: NDArray[np.float32] = (words << 16).view(np.float32)[None]
        return embedded


class OnnxModel:
    """One sequence of tokens and its keys and values, over weights shared with others.

    The runtime writes new keys and values in place, so that forgetting is setting a number.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._names = llama_graph.cache_names(network.shape)
        self._buffers: dict[str, NDArray[np.float32]] = {}
        self._binding = network.session.io_binding()
        self._length = 0

    @property
    def context_length(self) -> int:
        """Most tokens that the model was made to read."""
        return self._network.shape.context_length

    def fork(self) -> OnnxModel:
        """Return an empty sequence over the same weights."""
        return OnnxModel(self._network)

    def feed(self, ids: Sequence[int]) -> Logits:
        """Append ``ids`` to the cache; return the logits ``(V,)`` of what follows, in fp32."""
        logits: Logits = self._run(ids, [len(ids) - 1])[0]
        return logits

    def feed_each(self, ids: Sequence[int], last: int = 0) -> Logits:
        """Append ``ids``; return the logits ``(n, V)`` after each, or after the ``last`` only."""
        return self._run(ids, range(len(ids))[-last:])

    def truncate(self, length: int) -> None:
        """Forget all but the first ``length`` tokens; an empty cache gives its memory back."""
        self._length = min(length, self._length)
        if not self._length:
            self._buffers = {}
            self._binding.clear_binding_inputs()
            self._binding.clear_binding_outputs()

    def _run(self, ids: Sequence[int], rows: Sequence[int]) -> Logits:
        total = self._length + len(ids)
        self._reserve(total)
        bind = self._binding.bind_cpu_input
        bind("hidden", self._network.embed(ids))
        bind("last", np.array([total - 1], np.int32))
        bind("total", np.array([total], np.int32))
        bind("rows", np.asarray(rows, np.int64))
        self._binding.bind_output("logits", "cpu")
        self._network.session.run_with_iobinding(self._binding)
        self._length = total
        logits: Logits = self._binding.get_outputs()[-1].numpy()[0]
        return logits

    def _reserve(self, tokens: int) -> None:
        """Make room for ``tokens``, keeping what is there."""
        shape = self._network.shape
        capacity = next(iter(self._buffers.values())).shape[2] if self._buffers else 0
        if tokens <= capacity:
            return
        capacity = -(-tokens // CAPACITY_STEP) * CAPACITY_STEP
        for name in self._names:
            grown = np.zeros((1, shape.kv_heads, capacity, shape.head_size), np.float32)
            if self._length:
                grown[:, :, : self._length] = self._buffers[name][:, :, : self._length]
            value = ort.OrtValue.ortvalue_from_numpy(grown)
            self._binding.bind_ortvalue_input(name, value)
            self._binding.bind_ortvalue_output(f"{name}.out", value)
            self._buffers[name] = grown


class OnnxEngine(ServedModel[OnnxModel]):
    """Serves one model. `load_adapter` may be called from another thread than `generate`.

    Raises `UnsupportedArchitecture` for networks of other kinds. ``cache`` is the folder of
    quantised weights.
    """

    def __init__(self, files: ModelFiles, cache: Path, *, threads: int = 0) -> None:
        started = time.perf_counter()
        self._shape = LlamaShape.read(files.folder)
        self._threads = threads or best_threads()
        self._weights = QuantisedCache(cache, files, self._shape)
        super().__init__(files, OnnxModel(self._network(None)))
        seconds = time.perf_counter() - started
        logger.info("loaded %s with eight bits in %.1f s", files.model_id, seconds)

    def load_adapter(self, adapter: Path | None, adapter_id: str) -> None:
        """Serve the base with the adapter in a verified folder merged into it (None: the base).

        Merging (fp32), quantising and loading happen beside running requests. When anything is
        wrong, `EngineError` is raised and the weights stay as they were.
        """
        model = OnnxModel(self._network(adapter))
        with self._serving:
            self._model = model
            self._generator.replace(model)
            self.adapter_id = adapter_id

    def _network(self, adapter: Path | None) -> Network:
        return Network(self._shape, self._weights.open(adapter), self._threads)
