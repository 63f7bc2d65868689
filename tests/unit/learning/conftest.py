"""One tiny model for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from falcon_lsp.learning.dataset import Encoding
from falcon_lsp.model import fim
from falcon_lsp.model.tokenizer import CodeTokenizer
from tiny_model import build_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def encoding(tiny_model: Path) -> Encoding:
    return Encoding(CodeTokenizer.from_folder(tiny_model), fim.FALCON, "tiny", 256)
