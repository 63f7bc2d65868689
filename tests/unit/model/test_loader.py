"""The setting names a model; what is wrong with it is said in one sentence."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest

from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Prompt
from falcon_lsp.model import fim
from falcon_lsp.model.engine import EngineError, GenerationParams
from falcon_lsp.model.fake import FakeEngine
from falcon_lsp.model.loader import find_model, load_engine, resolve_model
from tiny_model import build_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", tmp_path / "cache")


def quiet(message: str, share: float) -> None:
    """Take no notice of progress."""


def test_a_folder_is_a_model(tiny: Path, store: Store) -> None:
    files = resolve_model(Config(model=str(tiny)), store, quiet)
    assert (files.folder, files.model_id, files.fim) == (tiny, "tiny", fim.FALCON)
    assert len(files.sha256) == 64
    assert files == find_model(Config(model=str(tiny)), store)
    assert files.shapes()["model.layers.0.self_attn.k_proj.weight"] == (32, 64)


def test_other_weights_have_another_identity(tiny: Path, store: Store, tmp_path: Path) -> None:
    other = build_tiny_model(tmp_path / "other", seed=1)
    found = {resolve_model(Config(model=str(f)), store, quiet).sha256 for f in (tiny, other)}
    assert len(found) == 2


def test_the_engine_of_a_folder_answers(tiny: Path, store: Store) -> None:
    engine = load_engine(Config(model=str(tiny)), store, quiet)
    result = engine.generate(
        Prompt("a.py", "x =", "\n"), GenerationParams(max_tokens=3), CancellationToken()
    )
    assert engine.model_id == "tiny"
    assert engine.base_sha256 == resolve_model(Config(model=str(tiny)), store, quiet).sha256
    assert 1 <= len(result.token_ids) <= 3


def test_the_fake_engine_needs_no_model(store: Store) -> None:
    config = Config(model="nothing", engine="fake")
    assert isinstance(load_engine(config, store, quiet), FakeEngine)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("no weights", "holds no weights"),
        ("pickled weights", "can run code"),
        ("no tokenizer", r"lacks tokenizer\.json"),
        ("no config", r"lacks config\.json"),
        ("cut weights", "damaged"),
        ("bad config", "damaged"),
        ("bad tokenizer", "damaged"),
        ("no sentinels", "fill-in-the-middle"),
        ("remote code", "cannot be loaded"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(
    copy: Path, store: Store, fault: str, sentence: str
) -> None:
    weights, tokenizer = copy / "model.safetensors", copy / "tokenizer.json"
    match fault:
        case "no weights":
            weights.unlink()
        case "pickled weights":
            weights.rename(copy / "pytorch_model.bin")
        case "no tokenizer":
            tokenizer.unlink()
        case "no config":
            (copy / "config.json").unlink()
        case "cut weights":
            weights.write_bytes(weights.read_bytes()[:-4])
        case "bad config":
            (copy / "config.json").write_bytes(b"\xff")
        case "bad tokenizer":
            tokenizer.write_text("{}")
        case "no sentinels":
            plain = tokenizer.read_text("utf-8").replace("<issue_start>", "<other_start>")
            tokenizer.write_text(plain, "utf-8")
        case "remote code":
            (copy / "modeling.py").write_text("raise SystemExit('the model ran code')")
            (copy / "config.json").write_text(
                '{"model_type": "own", "auto_map": {"AutoConfig": "modeling.Own", '
                '"AutoModelForCausalLM": "modeling.Own"}}'
            )
    with pytest.raises(EngineError, match=sentence):
        load_engine(Config(model=str(copy)), store, quiet)


def test_a_folder_of_the_workspace_cannot_stand_in_for_a_hubs_model(
    copy: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.parent)
    with pytest.raises(EngineError, match="whole path"):
        resolve_model(Config(model=copy.name), store, quiet)


@pytest.mark.parametrize("model", ["", "no such model", "/no/such/folder", "a/b/c", "../x"])
def test_a_name_that_means_nothing_is_said_to(store: Store, model: str) -> None:
    for find in (find_model, lambda c, s: resolve_model(c, s, quiet)):
        with pytest.raises(EngineError, match=r"falcon\.model"):
            find(replace(Config(), model=model), store)


def test_the_default_is_not_fetched_by_looking_for_it(store: Store) -> None:
    with pytest.raises(EngineError, match="falcon-lsp setup"):
        find_model(Config(), store)
    assert not store.models.exists()


def test_of_a_hubs_model_only_data_is_fetched(
    tiny: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def snapshot(hub_id: str, **options: object) -> str:
        asked.update(options, id=hub_id)
        return str(tiny)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    files = resolve_model(Config(model="owner/Model-1.5"), store, quiet)
    assert files.model_id == asked["id"] == "owner/Model-1.5"
    assert asked["allow_patterns"] == ["model*.safetensors", "*.json"]
    assert asked["local_files_only"] is False


def test_a_hub_that_cannot_be_reached_is_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot(hub_id: str, **options: object) -> str:
        raise ConnectionError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(EngineError, match="connection"):
        resolve_model(Config(model="owner/model"), store, quiet)


@pytest.mark.parametrize("module", ["loader", "assets", "adapters", "fake", "generation"])
def test_importing_it_loads_no_heavy_library(module: str) -> None:
    heavy = "{'torch', 'transformers', 'peft', 'huggingface_hub'}"
    code = f"import sys, falcon_lsp.model.{module}; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"
