"""What may never be trained on: projects by every name they have, and the benchmarks' texts."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

OTHER_NAMES = {
    "attrs": ("attr", "python-attrs"),
    "beautifulsoup4": ("bs4", "beautifulsoup"),
    "dateparser": ("dateparser-data", "dateparser-cli"),
    "fonttools": ("fontTools",),
    "h2": ("hyper-h2",),
    "jinja": ("jinja2",),
    "peewee": ("playhouse",),
    "pyjwt": ("jwt",),
    "schedule": ("python-schedule",),
    "tabulate": ("python-tabulate",),
    "trio": ("python-trio",),
}
"""Names beside the one in never-train.txt: on package indexes and forges, and when imported."""

MBPP = "mbpp.jsonl.gz"
MBPP_TRAINING = range(601, 975)
"""The task ids of MBPP that are for training by its authors' split; the rest are evaluation."""


def normalise(name: str) -> str:
    """Return a name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def never_train() -> frozenset[str]:
    """Return the normalised names of the projects kept out of every corpus."""
    text = resources.files("falcon_lsp.data").joinpath("never-train.txt").read_text("utf-8")
    lines = (line.strip() for line in text.splitlines() if not line.startswith("#"))
    names = [name for name in lines if name]
    others = [other for name in names for other in OTHER_NAMES.get(normalise(name), ())]
    return frozenset(map(normalise, names + others))


def names_evaluation_project(path: str) -> bool:
    """Return whether any folder or the module of ``path`` has the name of such a project.

    At any depth: a project vendored inside another is still that project.
    """
    *folders, module = path.split("/")
    stem = module.rpartition(".")[0]
    return any(normalise(part) in never_train() for part in (*folders, stem))


def benchmark_texts(folder: Path) -> Iterator[str]:
    """Yield the texts of all evaluation tasks in ``folder`` (``*.jsonl.gz``)."""
    for path in sorted(folder.glob("*.jsonl.gz")):
        for row in read_tasks(path):
            if path.name != MBPP or row["task_id"] not in MBPP_TRAINING:
                yield from _texts(row)


def read_tasks(path: Path) -> list[dict[str, Any]]:
    """Read the tasks of one benchmark file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _texts(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield a task's fields; those that continue one another as one text."""
    yield "".join(row.get(key, "") for key in ("prompt", "canonical_solution", "suffix"))
    for key in ("text", "code", "test", "test_setup_code"):
        yield row.get(key, "")
    yield from row.get("test_list", ())
    yield from row.get("challenge_test_list", ())
