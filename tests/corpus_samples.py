"""Tiny wheels, benchmarks and modules for the tests of the corpus builder."""

from __future__ import annotations

import gzip
import json
import random
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VERBS = ("load", "parse", "merge", "split", "order", "count", "strip", "match", "write", "flush")
NOUNS = ("ledger", "parcel", "window", "branch", "signal", "packet", "margin", "basket", "anchor")


def module(seed: int, functions: int = 12) -> str:
    """Return a Python module that shares no run of words with that of another seed."""
    rng = random.Random(seed)
    blocks = [f'"""Module {seed} of the sample."""\n']
    for _ in range(functions):
        a, b, c = (f"{rng.choice(VERBS)}_{rng.choice(NOUNS)}_{rng.randrange(9999)}" for _ in "abc")
        blocks.append(
            f"\n\ndef {a}({b}, {c}):\n"
            f'    """{rng.choice(VERBS).title()} the {rng.choice(NOUNS)} before {c}."""\n'
            f"    if {b} is None:\n        return {c}.{rng.choice(NOUNS)}\n"
            f"    return {b}.{rng.choice(VERBS)}({c}, {rng.choice(NOUNS)}={a})\n"
        )
    return "".join(blocks)


def write_wheel(
    folder: Path, name: str, files: Mapping[str, str], licence: str = "License-Expression: MIT"
) -> Path:
    """Write a wheel of ``files`` whose metadata holds the ``licence`` lines."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for inside, text in files.items():
            wheel.writestr(inside, text)
        metadata = f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{licence}\n"
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", metadata)
    return path


def write_folder(folder: Path, files: Mapping[str, str]) -> Path:
    """Write ``files`` under ``folder`` and return it."""
    for inside, text in files.items():
        path = folder / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return folder


def write_tasks(path: Path, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Write a benchmark of ``tasks`` as packed JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(task) + "\n" for task in tasks)
