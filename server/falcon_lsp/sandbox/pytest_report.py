"""A plugin for pytest, laid into the sandbox: it writes down what became of each test.

Runs with any Python and pytest that a workspace uses. A line of JSON is a test's id and "" if it
passed, else the class of its error; tests that were skipped leave none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path("falcon-results.jsonl").absolute()


def pytest_runtest_logreport(report: Any) -> None:
    """Note a test that passed."""
    if report.when == "call" and report.passed:
        _note(report.nodeid, "")


def pytest_exception_interact(node: Any, call: Any) -> None:
    """Note the error of a test, of what prepares it, or of a file that cannot be imported."""
    error = call.excinfo.value
    _note(node.nodeid, type(error.__cause__ or error).__name__)


def _note(name: str, error: str) -> None:
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps([name, error]) + "\n")
