"""What eight bits cost the built-in model, measured on this project's own source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import falcon_lsp
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import assets
from falcon_lsp.model.decoding import Logits
from falcon_lsp.model.engine import Engine, EngineError, Generation, GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.loader import find_model
from falcon_lsp.model.onnx_engine import OnnxEngine
from falcon_lsp.model.tokenizer import CodeTokenizer
from falcon_lsp.model.torch_engine import TorchEngine

pytestmark = pytest.mark.model

TOKENS = 300
READ = 150
PLACES = (30, 60)
UNSURE = 0.7
SOURCES = ("config.py", "core/paths.py", "lsp/convert.py", "model/adapters.py")


@pytest.fixture(scope="module")
def files() -> ModelFiles:
    try:
        return find_model(Config(), Store.default())
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def texts(files: ModelFiles) -> list[list[int]]:
    tokenizer = CodeTokenizer.from_folder(files.folder)
    folder = Path(falcon_lsp.__file__).parent
    return [tokenizer.encode((folder / s).read_text("utf-8"))[:TOKENS] for s in SOURCES]


@pytest.fixture(scope="module")
def expected(peer: TorchEngine, texts: list[list[int]]) -> list[torch.Tensor]:
    return [logprobs(peer._model.fork().feed_each(ids)) for ids in texts]


@pytest.fixture(scope="module")
def engine(files: ModelFiles) -> OnnxEngine:
    return OnnxEngine(files, Store.default().quantised)


@pytest.fixture(scope="module")
def peer(files: ModelFiles) -> TorchEngine:
    return TorchEngine(files, device="cpu", dtype=torch.float32)


def logprobs(logits: Logits) -> torch.Tensor:
    return torch.tensor(logits).log_softmax(-1)


@pytest.mark.parametrize(
    ("read", "change", "agreement", "divergence"),
    [(0, 0.03, 0.93, 0.015), (READ, 0.03, 0.91, 0.02)],
    ids=["as it answers", "after a prompt read at once"],
)
def test_the_likelihood_of_real_code_stays(
    engine: OnnxEngine,
    texts: list[list[int]],
    expected: list[torch.Tensor],
    read: int,
    change: float,
    agreement: float,
    divergence: float,
) -> None:
    changes, agreements, divergences = [], [], []
    for ids, likely in zip(texts, expected, strict=True):
        model = engine._model.fork()
        if read:
            model.feed_each(ids[:read], 1)
        mine, true = logprobs(model.feed_each(ids[read:])), likely[read:]
        said = torch.tensor(ids[read + 1 :])[:, None]
        changes.append((mine - true)[:-1].gather(1, said))
        agreements.append((mine.argmax(-1) == true.argmax(-1)).float())
        divergences.append((true.exp() * (true - mine)).sum(-1))
    assert abs(torch.cat(changes).mean()) < change
    assert torch.cat(agreements).mean() > agreement
    assert torch.cat(divergences).mean() < divergence


def test_lines_part_only_where_neither_engine_is_sure(
    engine: OnnxEngine, peer: TorchEngine
) -> None:
    folder = Path(falcon_lsp.__file__).parent
    for source in SOURCES:
        lines = (folder / source).read_text("utf-8").splitlines(keepends=True)
        for place in PLACES:
            head = "".join(lines[place - 15 : place]) + lines[place][: len(lines[place]) // 2]
            prompt = Prompt(source, head, "".join(lines[place + 1 : place + 10]))
            one, other = (line(of, prompt) for of in (engine, peer))
            pairs = zip(one.token_ids, other.token_ids, strict=False)
            parted = next((at for at, (left, right) in enumerate(pairs) if left != right), None)
            if parted is not None:
                assert max(one.logprobs[parted], other.logprobs[parted]) < np.log(UNSURE)


def line(engine: Engine, prompt: Prompt) -> Generation:
    return engine.generate(prompt, GenerationParams(max_tokens=16), CancellationToken())


def test_an_adapter_of_the_real_size_goes_in_and_out(
    files: ModelFiles, engine: OnnxEngine, texts: list[list[int]]
) -> None:
    adapter = assets.default_recipe().adapter
    assert adapter is not None
    before = engine._model.fork().feed(texts[0])
    engine.load_adapter(adapter, "twice")
    changed = engine._model.fork().feed(texts[0])
    engine.load_adapter(None, "base")
    assert np.abs(changed - before).max() > 0.1
    assert np.array_equal(engine._model.fork().feed(texts[0]), before)
