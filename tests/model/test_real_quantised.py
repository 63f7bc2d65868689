"""What eight bits cost the built-in model, measured on this project's own source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import falcon_lsp
from falcon_lsp.config import Config
from falcon_lsp.core.paths import Store
from falcon_lsp.model import assets
from falcon_lsp.model.decoding import Logits
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.loader import ModelFiles, find_model
from falcon_lsp.model.onnx_engine import OnnxEngine
from falcon_lsp.model.tokenizer import CodeTokenizer
from falcon_lsp.model.torch_engine import TorchModel

pytestmark = pytest.mark.model

TOKENS = 300
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
def expected(files: ModelFiles, texts: list[list[int]]) -> list[torch.Tensor]:
    model = TorchModel(files.folder, "cpu", torch.float32)
    return [logprobs(model.fork().feed_each(ids)) for ids in texts]


@pytest.fixture(scope="module")
def engine(files: ModelFiles) -> OnnxEngine:
    return OnnxEngine(files, Store.default().quantised)


def logprobs(logits: Logits) -> torch.Tensor:
    return torch.tensor(logits).log_softmax(-1)


def test_the_likelihood_of_real_code_stays(
    engine: OnnxEngine, texts: list[list[int]], expected: list[torch.Tensor]
) -> None:
    changes, agreements, divergences = [], [], []
    for ids, true in zip(texts, expected, strict=True):
        mine = logprobs(engine._model.fork().feed_each(ids))
        said = torch.tensor(ids[1:])[:, None]
        changes.append((mine - true)[:-1].gather(1, said))
        agreements.append((mine.argmax(-1) == true.argmax(-1)).float())
        divergences.append((true.exp() * (true - mine)).sum(-1))
    assert abs(torch.cat(changes).mean()) < 0.02
    assert torch.cat(agreements).mean() > 0.92
    assert torch.cat(divergences).mean() < 0.015


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
