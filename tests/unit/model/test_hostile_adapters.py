"""Adapter folders that lie are refused before any library that could run code sees them."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_samples import (
    BASE_SHA256,
    MODULE,
    SHAPES,
    manifest,
    publish,
    tensors,
    write,
)

from falcon_lsp.core.paths import sha256_file
from falcon_lsp.model import verification
from falcon_lsp.model.adapters import AdapterRefused, AdapterRegistry

WEIGHTS = "adapter_model.safetensors"
Spoil = Callable[[Path], Any]


def header(entries: dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file with a header of our own making."""
    raw = json.dumps(entries).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(shape: list[Any], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def rewrite(**changes: Any) -> Spoil:
    """Return a spoiler that writes other tensors."""
    return lambda folder: write(folder, tensors(**changes))


def raw(content: bytes) -> Spoil:
    """Return a spoiler that writes other weights, byte by byte."""
    return lambda folder: (folder / WEIGHTS).write_bytes(content)


def configured(**changes: Any) -> Spoil:
    """Return a spoiler that changes the configuration."""
    return lambda folder: write(folder, None, **changes)


def linked(name: str) -> Spoil:
    """Return a spoiler that replaces a file by a link to a copy of it outside."""

    def spoil(folder: Path) -> None:
        outside = folder.parent.parent / name
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return spoil


PAIR_A, PAIR_B = f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"
ONES_A, ONES_B = np.ones((2, 5), np.float32), np.ones((6, 2), np.float32)
WITH_NAN, WITH_INF = ONES_A.copy(), ONES_B.copy()
WITH_NAN[1, 4], WITH_INF[0, 0] = np.nan, -np.inf

HOSTILE: dict[str, Spoil] = {
    "a pickle beside the weights": lambda f: (f / "adapter_model.bin").write_bytes(b"\x80\x04."),
    "a pickle with another ending": lambda f: (f / "optimizer.pt").write_bytes(b"\x80\x04."),
    "a pickle in place of the weights": raw(b"\x80\x04\x95" + b"A" * 64),
    "only a pickle": lambda f: (f / WEIGHTS).rename(f / "adapter_model.bin"),
    "python code": lambda f: (f / "modeling.py").write_text("print(1)"),
    "a folder inside": lambda f: (f / "nested").mkdir(),
    "weights that are a folder": lambda f: ((f / WEIGHTS).unlink(), (f / WEIGHTS).mkdir()),
    "weights behind a link": linked(WEIGHTS),
    "a configuration behind a link": linked("adapter_config.json"),
    "no weights": lambda f: (f / WEIGHTS).unlink(),
    "no configuration": lambda f: (f / "adapter_config.json").unlink(),
    "empty weights": raw(b""),
    "no tensors": raw(header({})),
    "a header longer than the file": raw(header({}, length=500_000)),
    "a header of gigabytes": raw(header({}, length=2**40)),
    "a header that is no object": raw(struct.pack("<Q", 4) + b"[[]]"),
    "a header nested without end": raw(struct.pack("<Q", 200_000) + b"[" * 200_000),
    "not a number": rewrite(a=WITH_NAN),
    "infinity": rewrite(b=WITH_INF),
    "not a number in bfloat16": raw(
        header({PAIR_A: entry([1, 1], 0, 2, "BF16")}, b"\xc0\x7f")
    ),
    "a shape that is not the model's": rewrite(a=np.ones((2, 7), np.float32)),
    "a rank that is not the configured one": rewrite(a=np.ones((3, 5), np.float32)),
    "vectors": rewrite(a=np.ones(5, np.float32)),
    "half a pair": lambda f: write(f, {PAIR_A: ONES_A}),
    "a tensor of another kind": lambda f: write(f, {**tensors(), "lm_head.weight": ONES_A}),
    "a module that the model lacks": lambda f: write(
        f, {PAIR_A.replace("q_", "z_"): ONES_A, PAIR_B.replace("q_", "z_"): ONES_B}
    ),
    "a name with a path in it": lambda f: write(
        f, {PAIR_A.replace("model.layers", "../layers"): ONES_A, PAIR_B: ONES_B}
    ),
    "whole numbers": rewrite(a=np.ones((2, 5), np.int64)),
    "overlapping tensors": raw(
        header({PAIR_A: entry([2, 5], 0, 40), PAIR_B: entry([6, 2], 0, 48)}, bytes(48))
    ),
    "bytes that no tensor owns": raw(
        header({PAIR_A: entry([2, 5], 0, 40), PAIR_B: entry([6, 2], 40, 88)}, bytes(99))
    ),
    "offsets beyond the file": raw(header({PAIR_A: entry([2, 5], 0, 40)}, bytes(8))),
    "a negative shape": raw(header({PAIR_A: entry([-2, -5], 0, 40)}, bytes(40))),
    "an entry that is no object": raw(header({PAIR_A: 7}, bytes(4))),
    "a configuration that is no object": lambda f: (f / "adapter_config.json").write_text("[]"),
    "a configuration that is not JSON": lambda f: (f / "adapter_config.json").write_bytes(b"\xff"),
    "another method": configured(peft_type="IA3"),
    "a rank of nothing": configured(r=0),
    "a rank of millions": configured(r=10**6),
    "a rank that is true": configured(r=True),
    "an infinite scale": configured(lora_alpha=float("inf")),
    "weights decomposed": configured(use_dora=True),
    "an import in the configuration": configured(auto_mapping={"parent_library": "os"}),
    "modules of its own": configured(modules_to_save=["lm_head"]),
    "trained biases": configured(bias="all"),
    "ranks of its own per layer": configured(rank_pattern={"q_proj": 64}),
}  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    return AdapterRegistry(tmp_path / "adapters", SHAPES)


def sign(folder: Path) -> None:
    """Make the manifest agree with the spoiled weights, as an attacker would."""
    weights = folder / WEIGHTS
    digest = sha256_file(weights) if weights.is_file() else "0" * 64
    content = manifest(folder.name, sha256=digest).to_json()
    (folder / "manifest.json").write_bytes(content)


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_folder_is_neither_served_nor_published(
    registry: AdapterRegistry, spoil: Spoil
) -> None:
    publish(registry, "adp-1")
    folder = registry.folder / "adp-1"
    spoil(folder)
    sign(folder)
    with pytest.raises(AdapterRefused):
        registry.verify("adp-1", BASE_SHA256)
    assert registry.current(BASE_SHA256) == "base"
    temporary = write(registry.new_temporary())
    spoil(temporary)
    with pytest.raises(AdapterRefused):
        registry.publish(temporary, manifest("adp-2"))
    assert not (registry.folder / "adp-2").exists()


@pytest.mark.parametrize(
    "adapter_id",
    ["..", ".", "", "../adp-1", "adp-1/..", "/etc", "a\\b", "a\0b", "base", ".tmp-1", "x" * 65, "é",
     "current.json", "adp-1\n"],
)  # fmt: skip
def test_an_id_that_is_no_plain_name_is_refused(registry: AdapterRegistry, adapter_id: str) -> None:
    publish(registry, "adp-1")
    for use in (registry.show, lambda i: registry.verify(i, None)):
        with pytest.raises(AdapterRefused):
            use(adapter_id)
    with pytest.raises(AdapterRefused):
        publish(registry, adapter_id)


def test_a_version_behind_a_link_is_refused(registry: AdapterRegistry, tmp_path: Path) -> None:
    publish(registry, "adp-1")
    (registry.folder / "adp-1").rename(tmp_path / "outside")
    (registry.folder / "adp-1").symlink_to(tmp_path / "outside", target_is_directory=True)
    with pytest.raises(AdapterRefused, match="folder"):
        registry.verify("adp-1", BASE_SHA256)


def test_an_adapter_for_other_weights_is_refused(registry: AdapterRegistry) -> None:
    publish(registry, "adp-1")
    with pytest.raises(AdapterRefused, match="other weights"):
        registry.verify("adp-1", "c" * 64)


def test_changed_weights_are_refused(registry: AdapterRegistry) -> None:
    publish(registry, "adp-1")
    file = registry.folder / "adp-1" / WEIGHTS
    file.write_bytes(file.read_bytes().replace(b"\x00\x00\x80\x3f", b"\x00\x00\x80\x40", 1))
    with pytest.raises(AdapterRefused, match="changed"):
        registry.verify("adp-1", BASE_SHA256)


def test_a_manifest_of_another_version_is_refused(registry: AdapterRegistry) -> None:
    publish(registry, "adp-1")
    publish(registry, "adp-2")
    stolen = (registry.folder / "adp-2" / "manifest.json").read_bytes()
    (registry.folder / "adp-1" / "manifest.json").write_bytes(stolen)
    with pytest.raises(AdapterRefused, match="another"):
        registry.verify("adp-1", BASE_SHA256)


def test_a_file_that_is_too_large_is_refused_unread(
    registry: AdapterRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry, "adp-1")
    monkeypatch.setattr(verification, "MAX_WEIGHTS_BYTES", 10)
    monkeypatch.setattr(verification, "sha256_file", pytest.fail)
    with pytest.raises(AdapterRefused, match="too large"):
        registry.verify("adp-1", BASE_SHA256)


def test_half_precision_weights_are_served(registry: AdapterRegistry) -> None:
    halves = tensors(a=ONES_A.astype(np.float16), b=ONES_B.astype(np.float16))
    registry.publish(write(registry.new_temporary(), halves), manifest("adp-1"))
    assert registry.current(BASE_SHA256) == "adp-1"


def test_verification_loads_no_library_that_could_run_what_it_reads(tmp_path: Path) -> None:
    publish(AdapterRegistry(tmp_path), "adp-1")
    code = (
        "import sys; from pathlib import Path; from falcon_lsp.model.adapters import *\n"
        "AdapterRegistry(Path(sys.argv[1])).verify('adp-1', None)\n"
        "print({'torch', 'peft', 'transformers', 'safetensors'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert done.stdout.strip() == "set()"
