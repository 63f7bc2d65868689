"""The published problems in benchmarks/data: what is asked, and how an answer is tested."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "data"
HUMANEVAL = "HumanEval.jsonl.gz"
INFILLING = "HumanEval-SingleLineInfilling.jsonl.gz"
MBPP = "mbpp.jsonl.gz"
MBPP_TEST = range(11, 511)
MBPP_VALIDATION = range(511, 601)


@dataclass(frozen=True, slots=True)
class Problem:
    """A gap between ``prefix`` and ``suffix``; ``solution`` is the published answer.

    ``group`` names the function that the gap is in: holes of one function are not independent.
    ``test`` follows the finished code.
    """

    name: str
    group: str
    prefix: str
    suffix: str
    solution: str
    test: str

    def program(self, answer: str) -> str:
        """Return the finished code with its tests."""
        return f"{self.prefix}{answer}{self.suffix}\n{self.test}\n"


def humaneval() -> list[Problem]:
    """Return the 164 functions to write (Chen et al. 2021, arXiv 2107.03374)."""
    return [
        Problem(row["task_id"], row["task_id"], row["prompt"], "", row["canonical_solution"],
                _check(row))
        for row in rows(HUMANEVAL)
    ]  # fmt: skip


def infilling() -> list[Problem]:
    """Return the 1,033 missing lines (Bavarian et al. 2022, arXiv 2207.14255).

    The cursor stands on the empty line: ``suffix`` starts with its line end.
    """
    return [
        Problem(row["task_id"], row["task_id"].rpartition("/")[0], row["prompt"],
                "\n" + row["suffix"], row["canonical_solution"].rstrip("\n"), _check(row))
        for row in rows(INFILLING)
    ]  # fmt: skip


def mbpp(ids: range) -> list[Problem]:
    """Return the tasks of ``ids`` (Austin et al. 2021, arXiv 2108.07732), without examples.

    The prompt is a docstring that holds the text and the asserts, as InCoder was asked.
    """
    problems = []
    for row in rows(MBPP):
        if row["task_id"] in ids:
            tests = "\n".join(row["test_list"])
            problems.append(
                Problem(
                    f"MBPP/{row['task_id']}", str(row["task_id"]),
                    f'"""\n{row["text"]}\n{tests}\n"""\n', "", row["code"].replace("\r\n", "\n"),
                    f"{row['test_setup_code']}\n{tests}",
                )
            )  # fmt: skip
    return problems


def _check(row: dict[str, Any]) -> str:
    return f"{row['test']}\ncheck({row['entry_point']})"


def rows(name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file in benchmarks/data as they were published."""
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)
