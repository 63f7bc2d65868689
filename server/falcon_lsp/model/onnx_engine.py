"""The engine for processors: eight-bit weights on ONNX Runtime, for networks of the Llama kind.

See docs/adr/0001-cpu-backend.md for why, and for the figures.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import psutil
from numpy.typing import NDArray

from falcon_lsp.core.heap import give_back
from falcon_lsp.model import llama_graph
from falcon_lsp.model.decoding import Logits
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.llama_shape import LlamaShape
from falcon_lsp.model.onnx_proto import Graph
from falcon_lsp.model.quantised import QuantisedCache
from falcon_lsp.model.serving import ServedModel
from falcon_lsp.model.tensor_file import MappedTensors

logger = logging.getLogger(__name__)

CAPACITY_STEP = 512
"""Tokens by which a cache grows."""
MANY = 32
"""Tokens from which `llama_graph.reading` pays, though those asked about then take another pass."""
MOST_THREADS = 8
"""With more, small models spend their time on handing out work."""
_PROVIDER = "CPUExecutionProvider"
SETTINGS = {
    "session.intra_op.allow_spinning": "1",
    "session.intra_op.spin_duration_us": "20",
}
"""Threads that wait spin for about as long as an operator takes: sleeping between operators makes
decoding 1.6 times as slow on an idle machine, spinning on 1.8 times where others compute too."""
SWITCHES = {"ORT_GQA_DISABLE_FLASH_ATTENTION": "1"}
"""Attention in tiles is the slower one for some 1,000 tokens, and the runtime's default."""


def best_threads() -> int:
    """Return the number of cores, up to what pays."""
    return min(psutil.cpu_count(logical=False) or 1, MOST_THREADS)


class Network:
    """Loaded weights: what `OnnxModel`s compute with."""

    def __init__(self, shape: LlamaShape, weights: MappedTensors, threads: int) -> None:
        self.shape, self._weights, self._threads = shape, weights, threads
        self._arrays = {**weights.arrays, **llama_graph.rotations(shape)}
        os.environ.update(SWITCHES)
        self.answering = self._session(llama_graph.answering(shape, self._arrays))
        self.reading = (
            self._session(llama_graph.reading(shape, self._arrays)) if adds_up() else None
        )
        weights.release()  # the runtime has its own copy of what it multiplies with

    @property
    def bytes_per_token(self) -> int:
        """Bytes of weights that are read to decode one token."""
        names = llama_graph.answering(self.shape, self._arrays).names
        return sum(self._arrays[n].nbytes for n in names if n not in ("cosines", "sines"))

    def embed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Return ``(1, n, hidden)``: stored as bf16, which is the upper half of fp32."""
        words = self._arrays["embedding"][np.asarray(ids)].view(np.uint16).astype(np.uint32)
        embedded: NDArray[np.float32] = (words << 16).view(np.float32)[None]
        return embedded

    def _session(self, graph: Graph) -> ort.InferenceSession:
        options = _options(self._threads)
        values = [ort.OrtValue.ortvalue_from_numpy(self._arrays[name]) for name in graph.names]
        options.add_external_initializers(list(graph.names), values)
        return _loaded(graph, options)


@functools.cache
def adds_up() -> bool:
    """Whether the processor multiplies bytes exactly: some older ones cut off the largest sums.

    Those compute everything with `llama_graph.answering`, whose kernels know about it.
    """
    graph = Graph()
    graph.input("a", np.uint8, (1, 4))
    graph.constant("b", np.full((4, 1), 127, np.int8))
    graph.node("MatMulInteger", ["a", "b"], ["sum"])
    graph.output("sum", np.int32, (1, 1))
    (total,) = _loaded(graph, _options(1)).run(None, {"a": np.full((1, 4), 255, np.uint8)})
    return int(total[0, 0]) == 4 * 255 * 127


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    for name, value in SETTINGS.items():
        options.add_session_config_entry(name, value)
    return options


def _loaded(graph: Graph, options: ort.SessionOptions) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(graph.serialised(), options, providers=[_PROVIDER])
    except Exception as error:  # the runtime's exceptions have no common base
        raise EngineError(
            f"ONNX Runtime cannot run this model ({type(error).__name__}): set falcon.engine to "
            "torch."
        ) from error


class OnnxModel:
    """One sequence of tokens and its keys and values, over weights shared with others.

    The runtime writes new keys and values in place, so that forgetting is setting a number.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._names = llama_graph.cache_names(network.shape)
        self._buffers: dict[str, NDArray[np.float32]] = {}
        self._bindings = [s.io_binding() for s in (network.answering, network.reading) if s]
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
        logits: Logits = self.feed_each(ids, 1)[0]
        return logits

    def feed_each(self, ids: Sequence[int], last: int = 0) -> Logits:
        """Append ``ids``; return the logits ``(n, V)`` after each, or after the ``last`` only."""
        asked = len(range(len(ids))[-last:])
        unasked = len(ids) - asked
        if unasked >= MANY and self._network.reading:
            self._read(ids[:unasked])
            ids = ids[unasked:]
        return self._answer(ids, asked)

    def truncate(self, length: int) -> None:
        """Forget all but the first ``length`` tokens; an empty cache gives its memory back."""
        self._length = min(length, self._length)
        if not self._length:
            self._buffers = {}
            for binding in self._bindings:
                binding.clear_binding_inputs()
                binding.clear_binding_outputs()

    def _answer(self, ids: Sequence[int], asked: int) -> Logits:
        self._bind(0, ids, rows=np.arange(len(ids) - asked, len(ids)))
        binding = self._bindings[0]
        binding.bind_output("logits", "cpu")
        self._network.answering.run_with_iobinding(binding)
        self._length += len(ids)
        logits: Logits = binding.get_outputs()[-1].numpy()[0]
        return logits

    def _read(self, ids: Sequence[int]) -> None:
        """Append ``ids`` to the cache, without a word about what follows."""
        assert self._network.reading  # noqa: S101 - for the type checker: the caller has looked
        self._bind(1, ids, middles=np.full(len(ids), llama_graph.MIDDLE, np.uint8))
        self._network.reading.run_with_iobinding(self._bindings[1])
        self._length += len(ids)

    def _bind(self, which: int, ids: Sequence[int], **inputs: NDArray[Any]) -> None:
        total = self._length + len(ids)
        inputs["hidden"] = self._network.embed(ids)
        inputs["last"] = np.array([total - 1], np.int32)
        inputs["total"] = np.array([total], np.int32)
        self._reserve(total)
        for name, value in inputs.items():
            self._bindings[which].bind_cpu_input(name, value)

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
            for binding in self._bindings:
                binding.bind_ortvalue_input(name, value)
                binding.bind_ortvalue_output(f"{name}.out", value)
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
        self._weights = QuantisedCache(cache, files)
        super().__init__(files, OnnxModel(self._network(None)))
        give_back()
        seconds = time.perf_counter() - started
        logger.info("loaded %s with eight bits in %.1f s", files.model_id, seconds)

    def load_adapter(self, adapter: Path | None, adapter_id: str) -> None:
        """Serve the base with the adapter in a verified folder merged into it (None: the base).

        Merging (fp32), quantising, loading and reading what was read last happen beside running
        requests. When anything is wrong, `EngineError` is raised and the weights stay as they were.
        """
        model = OnnxModel(self._network(adapter))
        read = self._generator.read_again(model)
        with self._serving:
            self._model = model
            self._generator.replace(model, read)
            self.adapter_id = adapter_id
        give_back()

    def _network(self, adapter: Path | None) -> Network:
        return Network(self._shape, self._weights.open(adapter), self._threads)
