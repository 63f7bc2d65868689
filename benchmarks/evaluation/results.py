"""The result file: rows by tasks, each cell with what it was made of, so that runs add up.

Every item's outcome is kept (numbers only), so that any two rows can be compared pair by pair.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import itertools
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import intervals
from evaluation.intervals import Ratio
from falcon_lsp.core.paths import atomic_write

VERSION = 1
VERSIONS = {"lines": 2}
"""Of the file and of all tasks but those named. They go up when the same model and data would score
otherwise: older cells are then scored anew."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What identifies one result: row and task, the adapter's SHA-256 (empty: none), the limit."""

    row: str
    task: str
    adapter_sha256: str
    limit: int

    @property
    def key(self) -> dict[str, Any]:
        """The fields that have to be equal for a result to count as this cell's."""
        version = VERSIONS.get(self.task, VERSION)
        return {"adapter_sha256": self.adapter_sha256, "limit": self.limit, "version": version}


class Results:
    """The content of the result file; every change is written at once, by rename."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.is_file() else "{}"
        known: dict[str, Any] = json.loads(text)
        fresh: dict[str, Any] = {"version": VERSION}
        self._content = known if known.get("version") == VERSION else fresh
        self._content.setdefault("rows", {})

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Cells by row and task, in the order in which the rows were first scored."""
        rows: dict[str, dict[str, Any]] = self._content["rows"]
        return rows

    def has(self, cell: Cell) -> bool:
        """Whether this very cell has been scored."""
        known = self.rows.get(cell.row, {}).get(cell.task, {})
        return all(known.get(name) == value for name, value in cell.key.items())

    def add(
        self, cell: Cell, measures: Mapping[str, Ratio], seconds: float, about: Mapping[str, Any]
    ) -> None:
        """Write one cell; ``about`` says how it was made (machine, command)."""
        one = next(iter(measures.values()))
        self.rows.setdefault(cell.row, {})[cell.task] = {
            **cell.key,
            "items": len(one.over),
            "seconds": round(seconds, 1),
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            **about,
            "measures": {name: _stored(measured) for name, measured in measures.items()},
            "clusters": _packed(_numbered(one.clusters)),
        }
        self._save()

    def note(self, name: str, value: Any) -> None:
        """Write something that holds for the whole file, such as the hashes of the data."""
        self._content[name] = value
        self._save()

    def _save(self) -> None:
        for cell in (cell for cells in self.rows.values() for cell in cells.values()):
            for name, stored in cell["measures"].items():
                stored.update(_summary(ratio(cell, name)))
        self._content["differences"] = differences(self.rows)
        text = json.dumps(self._content, indent=1, ensure_ascii=False)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self._path, f"{text}\n".encode())


def differences(rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what separates each two rows that a task has scored on the same items."""
    found = []
    for (left, before), (right, after) in itertools.combinations(rows.items(), 2):
        for task in before.keys() & after.keys():
            one, other = before[task], after[task]
            if one["clusters"] != other["clusters"] or one["limit"] != other["limit"]:
                continue
            for measure in one["measures"].keys() & other["measures"].keys():
                value, low, high = intervals.difference(ratio(one, measure), ratio(other, measure))
                found.append({
                    "task": task, "measure": measure, "from": left, "to": right,
                    "difference": round(value, 4), "low": round(low, 4), "high": round(high, 4),
                })  # fmt: skip
    return sorted(found, key=lambda row: (row["task"], row["measure"], row["from"], row["to"]))


def ratio(cell: Mapping[str, Any], measure: str) -> Ratio:
    """Return a measure of a stored cell as it was before it was summed up."""
    stored = cell["measures"][measure]
    clusters = [str(int(number)) for number in _unpacked(cell["clusters"])]
    under = _unpacked(stored["under"]) if "under" in stored else [1.0] * len(clusters)
    return Ratio(_unpacked(stored["over"]), under, clusters)


def machine(device: str) -> dict[str, Any]:
    """Return what a figure depends on besides model and data."""
    return {
        "device": _graphics() if device == "cuda" else device,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("torch", "transformers")},
    }


def _graphics() -> str:
    import torch

    return str(torch.cuda.get_device_name())


def _processor() -> str:
    """Return the processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _stored(measured: Ratio) -> dict[str, Any]:
    """Return every item's outcome; what they stand over only where it is not one each."""
    plain = all(value == 1 for value in measured.under)
    under = {} if plain else {"under": _packed(measured.under)}
    return _summary(measured) | {"over": _packed(measured.over)} | under


def _summary(measured: Ratio) -> dict[str, float]:
    low, high = measured.interval()
    return {"value": round(measured.value, 4), "low": round(low, 4), "high": round(high, 4)}


def _numbered(names: Sequence[str]) -> list[int]:
    order = {name: at for at, name in enumerate(dict.fromkeys(names))}
    return [order[name] for name in names]


def _packed(values: Sequence[float]) -> str:
    """Return numbers as one line of text: outcomes as a row of digits, others with blanks."""
    if all(value in (0, 1) for value in values):
        return "".join(str(int(value)) for value in values)
    return " ".join(f"{value:.5g}" for value in values)


def _unpacked(text: str) -> list[float]:
    return [float(part) for part in (text.split() if " " in text else text)]
