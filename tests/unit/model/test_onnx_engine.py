"""The engine on ONNX Runtime, with real but tiny networks, against PyTorch in full precision."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import Qwen2Config, Qwen2ForCausalLM

from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import errand, fim, onnx_engine, quantised
from falcon_lsp.model.decoding import Logits
from falcon_lsp.model.engine import EngineError, Generation, GenerationParams, Progress
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.llama_graph import BLOCK
from falcon_lsp.model.loader import load_engine
from falcon_lsp.model.onnx_engine import OnnxEngine, OnnxModel
from falcon_lsp.model.quantise import in_blocks, in_columns
from falcon_lsp.model.quantised import QuantisedCache
from falcon_lsp.model.tensor_file import MappedTensors
from falcon_lsp.model.torch_engine import TorchEngine, TorchModel
from tiny_model import build_tiny_model, build_tiny_tokenizer, spoil, train_nothing

PROMPT = Prompt("a.py", "import os\n\ndef add(a, b):\n    ret", "\n\nprint(add)\n")
SAMPLED = GenerationParams(max_tokens=12, single_line=False, temperature=1.0, seed=3)
IDS = np.random.default_rng(0).integers(20, 300, 200).tolist()


def build_tiny_qwen(folder: Path) -> Path:
    """Write a Qwen2: it has biases, an output layer of its own, and its own idea of rotation."""
    folder.mkdir(parents=True)
    size = build_tiny_tokenizer(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=size, hidden_size=96, intermediate_size=160, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=3, max_position_embeddings=2048,
        tie_word_embeddings=False, rope_theta=1_000_000.0,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[None]:
    """Quantise in this process, which has PyTorch already."""

    def run_here(name: str, progress: Progress = errand.silent, **arguments: str) -> None:
        errand.ERRANDS[name](arguments, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(errand, "run", run_here)
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    folder = build_tiny_model(tmp_path_factory.mktemp("tiny"))
    return ModelFiles(folder, "tiny", fim.FALCON, "0" * 64)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quantised")


@pytest.fixture(scope="module")
def adapter(files: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_nothing(files.folder, tmp_path_factory.mktemp("adapter"), layers=[1], seed=1)


@pytest.fixture(scope="module")
def served(files: ModelFiles, cache: Path) -> OnnxEngine:
    return OnnxEngine(files, cache, threads=1)


@pytest.fixture(params=["reading", "answering"], ids=["in passes of two kinds", "of one"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the prompt is read by the network made for it, or by the one that answers."""
    monkeypatch.setattr(onnx_engine, "MANY", 8 if request.param == "reading" else 10**6)
    return str(request.param)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_engine, "CAPACITY_STEP", 16)


def ask(engine: OnnxEngine, prompt: Prompt = PROMPT) -> Generation:
    return engine.generate(prompt, SAMPLED, CancellationToken())


def logprobs(logits: Logits) -> torch.Tensor:
    return torch.tensor(logits).log_softmax(-1)


def exact(folder: Path, ids: Sequence[int]) -> torch.Tensor:
    return logprobs(TorchModel(folder, "cpu", torch.float32).feed_each(ids))


def fresh(engine: OnnxEngine, ids: Sequence[int]) -> Logits:
    return engine._model.fork().feed_each(ids)


@pytest.mark.parametrize("build", [build_tiny_model, build_tiny_qwen])
def test_it_says_what_torch_says_but_for_the_rounding(
    build: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = build(tmp_path / "model")
    files = ModelFiles(folder, "tiny", fim.FALCON, "0" * 64)
    mine = logprobs(fresh(OnnxEngine(files, tmp_path / "cache"), IDS))
    expected = exact(folder, IDS)
    divergence = (expected.exp() * (expected - mine)).sum(-1)
    spread = (expected - expected.mean(-1, keepdim=True)).pow(2).mean()
    error = (expected - mine).pow(2).mean()
    assert divergence.mean() < 1e-3
    assert error < spread / 1000


def test_what_was_read_at_once_is_followed_by_what_torch_says(
    served: OnnxEngine, files: ModelFiles, kind: str
) -> None:
    model = served._model.fork()
    model.feed(IDS[:100])
    mine = logprobs(model.feed_each(IDS[100:]))
    expected = exact(files.folder, IDS)[100:]
    assert (expected.exp() * (expected - mine)).sum(-1).mean() < 1e-3


def test_one_pass_over_several_tokens_is_as_good_as_one_by_one(
    served: OnnxEngine, kind: str
) -> None:
    model = served._model.fork()
    model.feed(IDS[:100])
    together = model.feed_each(IDS[100:108])
    model.truncate(100)
    single = np.stack([model.feed([token]) for token in IDS[100:108]])
    np.testing.assert_allclose(together, single, atol=1e-4)


def test_only_what_was_asked_about_is_answered(served: OnnxEngine, kind: str) -> None:
    whole = fresh(served, IDS[:60])
    for last in (1, 5, 60):
        model = served._model.fork()
        np.testing.assert_allclose(model.feed_each(IDS[:60], last), whole[-last:], atol=0.02)


def test_a_processor_that_cuts_off_sums_reads_as_it_answers(
    files: ModelFiles, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert onnx_engine.adds_up() in (True, False)
    monkeypatch.setattr(onnx_engine, "adds_up", lambda: False)
    monkeypatch.setattr(onnx_engine, "MANY", 8)
    engine = OnnxEngine(files, cache)
    model = engine._model.fork()
    assert engine._model._network.reading is None
    np.testing.assert_allclose(model.feed_each(IDS, 5), fresh(engine, IDS)[-5:], atol=1e-5)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.integers(1, 40)),
        st.tuples(st.just("feed_each"), st.integers(1, 9)),
        st.tuples(st.just("truncate"), st.integers(0, 60)),
    ),
    min_size=2, max_size=8,
)  # fmt: skip


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps, st.randoms(use_true_random=False))
def test_whatever_was_fed_and_forgotten_leaves_no_trace(
    served: OnnxEngine,
    small_steps: None,
    kind: str,
    steps: list[tuple[str, int]],
    random: object,
) -> None:
    model, held = served._model.fork(), []
    rounding = 0.06 if kind == "reading" else 0.02
    for step, count in steps:
        if step == "truncate":
            model.truncate(count)
            del held[count:]
            continue
        fed = [random.randint(20, 300) for _ in range(count)]  # type: ignore[attr-defined]
        held += fed
        logits = getattr(model, step)(fed)
        whole = fresh(served, held)
        expected = whole[-1] if step == "feed" else whole[-count:]
        np.testing.assert_allclose(logits, expected, atol=rounding)


def test_a_reused_cache_gives_the_answer_of_a_fresh_one(
    files: ModelFiles, cache: Path, served: OnnxEngine, kind: str
) -> None:
    served._generator.reset()
    ask(served)
    for typed in ("u", "urn a", "", " x\n    y = 2\n" * 30):
        prompt = replace(PROMPT, prefix=PROMPT.prefix + typed)
        reused, new = ask(served, prompt), ask(OnnxEngine(files, cache, threads=1), prompt)
        assert reused.cached_tokens > 20
        assert new.cached_tokens == 0
        assert reused.token_ids == new.token_ids
        assert reused.logprobs == pytest.approx(new.logprobs, abs=0.02)


def test_an_adapter_changes_what_is_said_and_the_base_comes_back_whole(
    files: ModelFiles, cache: Path, adapter: Path
) -> None:
    engine = OnnxEngine(files, cache)
    base, answer = fresh(engine, IDS), ask(engine)
    engine.load_adapter(adapter, "adp-1")
    adapted, first = fresh(engine, IDS), ask(engine)
    engine._generator.reset()
    assert first.cached_tokens == first.prompt_tokens - 1  # the new weights have read it already
    assert first.logprobs == pytest.approx(ask(engine).logprobs, abs=0.02)
    assert engine.adapter_id == "adp-1"
    peer = TorchEngine(files, device="cpu", dtype=torch.float32)
    peer.load_adapter(adapter, "adp-1")
    merged = logprobs(peer._model.feed_each(IDS))
    change = (merged - logprobs(base)).pow(2).mean()
    assert (merged - logprobs(adapted)).pow(2).mean() < change / 100
    engine.load_adapter(None, "base")
    assert np.array_equal(fresh(engine, IDS), base)
    assert ask(engine).token_ids == answer.token_ids


@pytest.mark.parametrize("fault", ["missing", "shape", "name", "nan"])
def test_a_bad_adapter_is_refused_and_the_old_one_goes_on_serving(
    files: ModelFiles, cache: Path, adapter: Path, tmp_path: Path, fault: str
) -> None:
    engine = OnnxEngine(files, cache)
    engine.load_adapter(adapter, "adp-1")
    before = fresh(engine, IDS)
    spoil(adapter, tmp_path, fault)
    with pytest.raises(EngineError):
        engine.load_adapter(tmp_path, "adp-bad")
    assert engine.adapter_id == "adp-1"
    assert np.array_equal(fresh(engine, IDS), before)


WITHOUT_TORCH = """
import logging, sys
from pathlib import Path
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import fim
from falcon_lsp.model.engine import GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.onnx_engine import OnnxEngine
logging.basicConfig(level="INFO", stream=sys.stderr)
folder, cache, adapter = map(Path, sys.argv[1:])
engine = OnnxEngine(ModelFiles(folder, "tiny", fim.FALCON, "0" * 64), cache)
engine.load_adapter(adapter, "adp-1")
engine.generate(Prompt("a.py", "x = ", ""), GenerationParams(max_tokens=3), CancellationToken())
print(engine._model.fork().feed([20, 30]).argmax(), {"torch", "transformers"} & set(sys.modules))
"""


def test_processes_that_need_the_same_weights_have_them_made_once_and_need_no_torch(
    files: ModelFiles, adapter: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, (files.folder, tmp_path, adapter))]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
            for _ in range(2)
        ]
        said = [process.communicate(timeout=250) for process in processes]
    engine = OnnxEngine(files, tmp_path)
    engine.load_adapter(adapter, "adp-1")
    expected = f"{engine._model.fork().feed([20, 30]).argmax()} set()"
    assert [out.strip() for out, _ in said] == [expected] * 2
    assert sum(log.count("quantised into") for _, log in said) == 2  # the base and the adapter


def test_damaged_weights_are_made_again(files: ModelFiles, tmp_path: Path) -> None:
    before = fresh(OnnxEngine(files, tmp_path), IDS)
    (file,) = tmp_path.glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert np.array_equal(fresh(OnnxEngine(files, tmp_path), IDS), before)
    assert file.read_bytes() != bytes(content)


def test_weights_that_cannot_be_noted_as_used_can_be_used(
    files: ModelFiles, cache: Path, served: OnnxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "touch", refuse)
    before = {f.name for f in cache.iterdir()}
    assert np.array_equal(fresh(OnnxEngine(files, cache), IDS), fresh(served, IDS))
    assert {f.name for f in cache.iterdir()} == before


def test_where_weights_cannot_be_kept_the_user_learns_what_to_do(
    files: ModelFiles, served: OnnxEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match=r"falcon\.cacheDir"):
        OnnxEngine(files, tmp_path / "file")
    monkeypatch.setattr(errand, "run", raising(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(EngineError, match="No space left on device"):
        OnnxEngine(files, tmp_path / "full")
    assert [f.name for f in (tmp_path / "full").iterdir()] == [".lock"]


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("content", [b"", b"x" * 7, b"\xff" * 100, bytes(64), b"foreign" * 99])
def test_a_file_that_is_none_of_ours_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(content)
    with pytest.raises(EngineError, match=r"weights\.safetensors"):
        MappedTensors(file)


def test_what_was_left_unfinished_is_cleared_away_once_nobody_works_on_it(
    files: ModelFiles, cache: Path, served: OnnxEngine
) -> None:
    old, new = cache / ".tmp-old", cache / ".tmp-new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (1, 1))
    OnnxEngine(files, cache)
    assert (old.exists(), new.exists()) == (False, True)
    new.rmdir()


def test_requests_are_answered_while_weights_are_made_and_the_old_ones_are_let_go(
    files: ModelFiles, cache: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = OnnxEngine(files, cache)
    base, old = ask(engine), weakref.ref(engine._model._network)
    at_work, answered = threading.Event(), threading.Event()
    genuine = QuantisedCache.open

    def slow(self: QuantisedCache, adapter: Path | None) -> MappedTensors:
        at_work.set()
        assert answered.wait(60)
        return genuine(self, adapter)

    monkeypatch.setattr(QuantisedCache, "open", slow)
    with ThreadPoolExecutor(1) as executor:
        swap = executor.submit(engine.load_adapter, adapter, "adp-1")
        assert at_work.wait(60)
        meanwhile = [ask(engine) for _ in range(3)]
        answered.set()
        swap.result()
    assert [m.token_ids for m in meanwhile] == [base.token_ids] * 3
    assert engine.adapter_id == "adp-1"
    gc.collect()
    assert old() is None


def test_only_the_weights_used_last_stay_on_disk(files: ModelFiles, tmp_path: Path) -> None:
    engine = OnnxEngine(files, tmp_path / "cache")
    names = [{f.name for f in (tmp_path / "cache").glob("*.safetensors")}]
    for seed in range(quantised.KEPT):
        adapter = train_nothing(files.folder, tmp_path / str(seed), layers=[0], seed=seed)
        engine.load_adapter(adapter, f"adp-{seed}")
        names.append({f.name for f in (tmp_path / "cache").glob("*.safetensors")})
    assert [len(n) for n in names] == [1, 2, 3, 3]
    assert not names[0] & names[-1]


def test_auto_takes_torch_where_the_network_is_of_another_kind(tmp_path: Path) -> None:
    scaled = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0}
    plain = build_tiny_model(tmp_path / "plain")
    other = build_tiny_model(tmp_path / "other", rope_parameters=scaled)
    store = Store(tmp_path / "data", tmp_path / "cache")

    def started(engine: str, folder: Path) -> object:
        return load_engine(Config(model=str(folder), engine=engine), store, lambda *_: None)

    assert isinstance(started("auto", plain), OnnxEngine)
    assert isinstance(started("torch", plain), TorchEngine)
    assert isinstance(started("auto", other), TorchEngine)
    with pytest.raises(EngineError, match=r"falcon\.engine"):
        started("onnx", other)


@pytest.mark.parametrize(
    "error",
    [ImportError("no wheel for this platform", name="onnxruntime"), EngineError("cannot run")],
)
def test_auto_takes_torch_where_the_runtime_does_not_work_and_says_so_once(
    files: ModelFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    monkeypatch.setattr(onnx_engine, "OnnxEngine", raising(error))
    store = Store(tmp_path / "data", tmp_path / "cache")
    config = Config(model=str(files.folder), engine="auto")
    with caplog.at_level("WARNING", "falcon_lsp"):
        assert isinstance(load_engine(config, store, lambda *_: None), TorchEngine)
    assert [r.getMessage() for r in caplog.records if "PyTorch" in r.getMessage()] == [
        f"{files.folder.name} goes to PyTorch: {error}"
    ]


def test_a_cache_grows_with_what_is_in_it_and_gives_back_what_it_took(
    served: OnnxEngine, small_steps: None
) -> None:
    model = served._model.fork()

    def held() -> list[int]:
        return [len(model._buffers), *{b.shape[2] for b in model._buffers.values()}]

    capacities = []
    for count in (10, 10, 0, 100):
        model.feed(IDS[:count]) if count else model.truncate(0)
        capacities.append(held())
    assert capacities == [[4, 16], [4, 32], [0], [4, 112]]


@pytest.mark.parametrize("columns", [1, 63, 128, 200])
def test_no_weight_moves_by_more_than_half_a_step(columns: int) -> None:
    torch.manual_seed(columns)
    weight = torch.randn(5, columns) * torch.tensor([1e-3, 1.0, 50.0, 0.0, 1e-8])[:, None]
    steps, scale = in_blocks(weight)
    scales = scale.view(5, -1, 1)
    restored = ((steps.float() - 128) * scales).flatten(1)[:, :columns]
    allowed = scales.expand(-1, -1, BLOCK).flatten(1)[:, :columns] * 0.501
    assert ((restored - weight).abs() <= allowed).all()
    assert (steps.flatten(1)[:, columns:] == 128).all()
    steps, step = in_columns(weight)
    assert ((steps.T * step[:, None] - weight).abs() <= step[:, None] * 0.501).all()


def test_a_model_that_fails_is_no_reason_to_keep_half_a_cache(served: OnnxEngine) -> None:
    model: OnnxModel = served._model.fork()
    model.feed(IDS[:10])
    with pytest.raises(IndexError):
        model.feed([10**6])
    np.testing.assert_allclose(model.feed(IDS[10:20]), fresh(served, IDS[:20])[-1], atol=2e-3)
