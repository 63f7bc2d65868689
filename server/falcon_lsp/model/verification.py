"""Is this folder an adapter, and nothing else? Answered before any library opens a file in it.

Standard library and numpy only: what is refused here never reaches torch, PEFT or safetensors.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from falcon_lsp.core.paths import sha256_file
from falcon_lsp.model.engine import EngineError

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
MANIFEST = "manifest.json"
MAX_WEIGHTS_BYTES = 512 * 2**20
MAX_JSON_BYTES = 2**20
MAX_RANK = 256

_TENSOR = re.compile(r"base_model\.model\.([A-Za-z0-9_.]{1,200})\.lora_([AB])\.weight")
_WIDTHS = {"F32": 4, "F16": 2, "BF16": 2}
_MUST_BE_UNSET = (
    "alora_invocation_tokens", "alpha_pattern", "arrow_config", "auto_mapping", "fan_in_fan_out",
    "kasa_config", "layer_replication", "lora_bias", "modules_to_save", "monteclora_config",
    "rank_pattern", "target_parameters", "trainable_token_indices", "use_bdlora", "use_dora",
    "use_qalora", "use_rslora", "velora_config",
)  # fmt: skip
"""Variants that a plain merge would get wrong, and ``auto_mapping``, which makes PEFT import."""


class AdapterRefused(EngineError):
    """The adapter is not served; the message is the reason."""


def check_files(folder: Path) -> None:
    """Refuse anything but plain, reasonably small files with the three expected names."""
    if folder.is_symlink() or not folder.is_dir():
        raise AdapterRefused("it is not a folder of its own")
    limits = {WEIGHTS: MAX_WEIGHTS_BYTES, CONFIG: MAX_JSON_BYTES, MANIFEST: MAX_JSON_BYTES}
    for entry in folder.iterdir():
        if entry.name not in limits:
            raise AdapterRefused(
                f"it holds a file that does not belong there ({entry.name[:80]!r})"
            )
        if entry.is_symlink() or not entry.is_file():
            raise AdapterRefused(f"{entry.name} is not a plain file")
        if entry.stat().st_size > limits[entry.name]:
            raise AdapterRefused(f"{entry.name} is too large")
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise AdapterRefused(f"{name} is missing")


def check_content(folder: Path, sha256: str, base: Mapping[str, tuple[int, ...]] | None) -> None:
    """Refuse weights that differ from ``sha256``, or are no plain finite LoRA of ``base``.

    ``base`` maps the base's parameter names to shapes; None when they are not at hand.
    """
    if sha256_file(folder / WEIGHTS) != sha256:
        raise AdapterRefused("its weights have changed since they were published")
    rank = _check_config(read_json(folder / CONFIG))
    header, start = _read_header(folder / WEIGHTS)
    _check_layout(header, (folder / WEIGHTS).stat().st_size - start)
    _check_shapes({name: entry["shape"] for name, entry in header.items()}, rank, base)
    _check_numbers(folder / WEIGHTS, header, start)


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in ``file``; raises `AdapterRefused` when it holds anything else."""
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise AdapterRefused(f"{file.name} cannot be read") from error
    if not isinstance(value, dict):
        raise AdapterRefused(f"{file.name} is not an object")
    return value


def _check_config(config: Mapping[str, Any]) -> int:
    """Return the rank of a plain LoRA configuration."""
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none":
        raise AdapterRefused("it is not a plain LoRA adapter")
    for name in _MUST_BE_UNSET:
        if config.get(name):
            raise AdapterRefused(f"its configuration uses {name}, which is not supported")
    if type(rank) is not int or not 1 <= rank <= MAX_RANK:
        raise AdapterRefused("its rank is out of bounds")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise AdapterRefused("its lora_alpha is not a number")
    return rank


def _read_header(file: Path) -> tuple[dict[str, Any], int]:
    """Return the tensors' entries of a safetensors file and where its data starts."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= MAX_JSON_BYTES:
            raise AdapterRefused("its weights are not a safetensors file")
        raw = stream.read(length)
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise AdapterRefused("its weights are not a safetensors file") from error
    if len(raw) != length or not isinstance(header, dict):
        raise AdapterRefused("its weights are not a safetensors file")
    header.pop("__metadata__", None)
    if not header:
        raise AdapterRefused("it holds no weights")
    return header, 8 + length


def _check_layout(header: Mapping[str, Any], size: int) -> None:
    """Every tensor has a known type and its own bytes; together they fill the file exactly."""
    spans = []
    for entry in header.values():
        try:
            shape, (begin, end) = entry["shape"], entry["data_offsets"]
            whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
            fits = whole and end - begin == math.prod(shape) * _WIDTHS[entry["dtype"]]
        except (KeyError, TypeError, ValueError) as error:
            raise AdapterRefused("the layout of its weights is not understood") from error
        if not fits:
            raise AdapterRefused("the layout of its weights contradicts itself")
        spans.append((begin, end))
    spans = [(0, 0), *sorted(spans), (size, size)]
    if any(before[1] != after[0] for before, after in pairwise(spans)):
        raise AdapterRefused("the layout of its weights leaves gaps or overlaps")


def _check_shapes(
    shapes: Mapping[str, list[int]], rank: int, base: Mapping[str, tuple[int, ...]] | None
) -> None:
    """Every tensor is one half of a pair ``A (r, in)``, ``B (out, r)`` for a known matrix."""
    halves: dict[str, dict[str, list[int]]] = {}
    for name, shape in shapes.items():
        match = _TENSOR.fullmatch(name)
        if match is None:
            raise AdapterRefused("it changes something that a plain LoRA does not")
        halves.setdefault(match[1], {})[match[2]] = shape
    for module, pair in halves.items():
        if pair.keys() != {"A", "B"} or any(len(shape) != 2 for shape in pair.values()):
            raise AdapterRefused(f"{module} lacks one half of its pair")
        if pair["A"][0] != rank or pair["B"][1] != rank:
            raise AdapterRefused(f"the rank of {module} is not the configured one")
        expected = (pair["B"][0], pair["A"][1])
        if base is not None and base.get(f"{module}.weight") != expected:
            raise AdapterRefused(f"{module} is not a matrix of that shape in the model")


def _check_numbers(file: Path, header: Mapping[str, Any], start: int) -> None:
    """All numbers are finite: no exponent consists of ones only."""
    import numpy as np

    exponents = {"F32": ("<u4", 0x7F800000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}
    with file.open("rb") as stream:
        for entry in header.values():
            begin, end = entry["data_offsets"]
            stream.seek(start + begin)
            kind, ones = exponents[entry["dtype"]]
            bits = np.frombuffer(stream.read(end - begin), dtype=kind)
            if bool(((bits & ones) == ones).any()):
                raise AdapterRefused("its weights hold numbers that are not finite")
