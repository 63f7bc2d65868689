"""A workspace's own tests as a judge of a suggestion: run in the sandbox, on a copy.

What they say can be forged by the code under test, which runs in the same process: it is evidence
about code that was written to work, not about code that was written to deceive.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.sandbox.interpreter import Interpreter
from falcon_lsp.sandbox.limits import Execution, Limits, Status
from falcon_lsp.sandbox.related import related_tests, workspace_files
from falcon_lsp.sandbox.runner import Program, Sandbox
from falcon_lsp.sandbox.scratch import Content

LIMITS = Limits(
    cpu_seconds=60, wall_seconds=120.0, memory_bytes=2 * 2**30, file_bytes=64 * 2**20,
    open_files=256, folder_bytes=256 * 2**20, folder_entries=20_000,
)  # fmt: skip
"""More than for a single program: pytest and a project's packages have to be imported."""

_PLUGIN = Path(__file__).with_name("pytest_report.py")
_PLUGIN_NAME = "falcon_sandbox_report"
_RESULTS = "falcon-results.jsonl"
_OPTIONS = ("-q", "-p", _PLUGIN_NAME, "-p", "no:cacheprovider", "-o", "addopts=", "--rootdir", ".")


WHOLE = "the whole run"
"""Stands as one more test for a run that did not come to its end, with how it ended."""


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What became of the tests: by id, "" for one that passed, else the class of its error."""

    tests: Mapping[str, str]
    execution: Execution

    @property
    def pass_ratio(self) -> float | None:
        """The share of tests that passed; None when none ran to its end."""
        return len(self.passed) / len(self.tests) if self.tests else None

    @property
    def passed(self) -> list[str]:
        """The tests that passed, in the order in which they ran."""
        return [name for name, error in self.tests.items() if not error]

    def share_of(self, reference: SuiteResult) -> float | None:
        """Return the share of the tests passed in ``reference`` that passed here too, or None.

        Tests that fail for reasons of their own do not count; those that vanish have not passed.
        """
        expected = reference.passed
        kept = sum(self.tests.get(name) == "" for name in expected)
        return kept / len(expected) if expected else None

    @property
    def errors(self) -> Counter[str]:
        """How many tests ended with each class of error."""
        return Counter(error for error in self.tests.values() if error)


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one workspace. The caller has asked its user before it makes one."""

    root: Path
    sandbox: Sandbox

    @classmethod
    def at(cls, root: Path, interpreter: Interpreter) -> Suite:
        """Return the tests of the workspace at ``root``, run by a Python that has pytest."""
        return cls(root, Sandbox(LIMITS, interpreter))

    def judge(
        self, changed: str, text: str, token: CancellationToken | None = None
    ) -> SuiteResult | None:
        """Run the tests that belong to ``changed`` while it holds ``text``; None if there are none.

        ``changed`` is a path below the workspace's root; nothing is changed there. Raises
        `SandboxUnavailableError`, `WorkspaceTooLargeError`, and `Cancelled` when ``token`` is.
        """
        files = workspace_files(self.root)
        tests = related_tests(files, changed)
        if not tests:
            return None
        content: dict[str, Content] = {**files, changed: text, f"{_PLUGIN_NAME}.py": _PLUGIN}
        program = Program(
            content, "pytest", (*_OPTIONS, *tests), module=True, path=(".", "src"),
            packages=True, results=(_RESULTS,),
        )  # fmt: skip
        execution = self.sandbox.run(program, token)
        found = _read(execution.files[_RESULTS])
        if execution.status is not Status.EXITED:
            found[WHOLE] = execution.status
        return SuiteResult(found, execution)


def _read(results: bytes) -> dict[str, str]:
    """Return the last word on each test; a line that is none is passed over."""
    tests: dict[str, str] = {}
    for line in results.decode("utf-8", "replace").splitlines():
        try:
            name, error = json.loads(line)
        except (ValueError, TypeError):
            continue
        if isinstance(name, str) and isinstance(error, str):
            tests[name] = error or tests.get(name, "")
    return tests
