"""MBPP's own training tasks as source files: a function whose docstring is the task."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from falcon_lsp.learning.corpus.evaluation import MBPP, MBPP_TRAINING, read_tasks
from falcon_lsp.learning.corpus.project import Files, Project


def mbpp_training(benchmarks: Path) -> Project:
    """Return the tasks 601 to 974 of the MBPP in ``benchmarks``; their tests are left out."""
    return Project("mbpp-train", "1", "CC-BY-4.0", partial(_open, benchmarks / MBPP))


@contextmanager
def _open(path: Path) -> Iterator[Files]:
    rows = [row for row in read_tasks(path) if row["task_id"] in MBPP_TRAINING]
    yield {
        f"mbpp/task_{row['task_id']}.py": as_module(row["text"], row["code"]).encode for row in rows
    }


def as_module(task: str, code: str) -> str:
    """Return ``code`` with ``task`` as its last function's docstring, wrapped as people do."""
    lines = [line.rstrip() for line in code.expandtabs(4).rstrip().splitlines()]
    at = max(i for i, line in enumerate(lines) if line.startswith("def "))
    body = next(line for line in lines[at + 1 :] if line.strip())
    indent = body[: len(body) - len(body.lstrip())]
    wrapped = textwrap.wrap(task, 80)
    closing = ['"""'] if len(wrapped) > 1 else []
    docstring = ['"""' + wrapped[0], *wrapped[1:], *closing]
    if not closing:
        docstring[0] += '"""'
    lines[at + 1 : at + 1] = [indent + line for line in docstring]
    return "\n".join(lines) + "\n"
