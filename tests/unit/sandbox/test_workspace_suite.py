"""Facts about judging a suggestion by a workspace's own tests, with a real pytest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest

from falcon_lsp.sandbox import suite as suite_module
from falcon_lsp.sandbox.interpreter import Interpreter
from falcon_lsp.sandbox.limits import Status
from falcon_lsp.sandbox.runner import unavailable_reason
from falcon_lsp.sandbox.suite import WHOLE, Suite, SuiteResult

pytestmark = pytest.mark.skipif(bool(unavailable_reason()), reason=unavailable_reason() or "-")
MODULE = "src/calc/core.py"
GOOD = "def add(a, b):\n    return a + b\n\ndef half(a):\n    return a / 2\n"
TESTS = """
import pytest
from calc.core import add, half

def test_add():
    assert add(1, 2) == 3

@pytest.mark.parametrize("n", [2, 4])
def test_half(n, tmp_path):
    (tmp_path / "x").write_text("x")
    assert half(n) * 2 == n

@pytest.mark.skip
def test_skipped():
    assert False

def test_network():
    import socket
    socket.create_connection(("127.0.0.1", 9))
"""


@pytest.fixture(scope="module", autouse=True)
def quick_pytest() -> Iterator[None]:
    """Load none of the plugins that are installed here: some take seconds."""
    names = {plugin.name for plugin in entry_points(group="pytest11")}
    without = tuple(word for name in sorted(names) for word in ("-p", f"no:{name}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suite_module, "_OPTIONS", (*suite_module._OPTIONS, *without))
        yield


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    tmp_path = tmp_path_factory.mktemp("workspace")
    files = {MODULE: GOOD, "src/calc/__init__.py": "", "tests/test_calc.py": TESTS,
             "pytest.ini": "[pytest]\naddopts = --no-such-option\n", "readme": "x"}  # fmt: skip
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Suite.at(tmp_path, Interpreter.current())


@pytest.fixture(scope="module")
def reference(suite: Suite) -> SuiteResult:
    return judge(suite, GOOD)


def judge(suite: Suite, text: str) -> SuiteResult:
    result = suite.judge(MODULE, text)
    assert result is not None
    return result


def test_each_test_is_told_apart_and_the_workspace_stays_as_it_is(suite: Suite) -> None:
    before = {path: path.read_bytes() for path in suite.root.rglob("*") if path.is_file()}
    result = judge(suite, GOOD.replace("a / 2", "a // 0"))
    assert result.tests == {
        "tests/test_calc.py::test_add": "",
        "tests/test_calc.py::test_half[2]": "ZeroDivisionError",
        "tests/test_calc.py::test_half[4]": "ZeroDivisionError",
        "tests/test_calc.py::test_network": "PermissionError",
    }
    assert result.pass_ratio == 0.25
    assert result.errors == {"ZeroDivisionError": 2, "PermissionError": 1}
    after = {path: path.read_bytes() for path in suite.root.rglob("*") if path.is_file()}
    assert after == before


def test_what_fails_anyway_does_not_count_against_a_suggestion(
    suite: Suite, reference: SuiteResult
) -> None:
    assert reference.pass_ratio == 0.75
    assert reference.share_of(reference) == 1.0
    assert judge(suite, GOOD.replace("a + b", "a - b")).share_of(reference) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("text", "error"),
    [("def add(:", "SyntaxError"), ("def add(a, b): return 3", "ImportError")],
)  # fmt: skip
def test_a_file_that_cannot_be_imported_fails_as_a_whole(
    suite: Suite, text: str, error: str
) -> None:
    result = judge(suite, text)
    assert result.tests == {"tests/test_calc.py": error}
    assert result.pass_ratio == 0.0


def test_a_run_that_is_cut_short_is_no_success(suite: Suite) -> None:
    limits = dataclasses.replace(suite.sandbox.limits, wall_seconds=4.0)
    hasty = dataclasses.replace(suite, sandbox=dataclasses.replace(suite.sandbox, limits=limits))
    result = judge(hasty, GOOD.replace("return a / 2", "import time; time.sleep(60)"))
    assert result.tests[WHOLE] == Status.TIMED_OUT
    assert result.pass_ratio is not None
    assert result.pass_ratio < 1.0


def test_tests_that_vanish_are_no_success(suite: Suite, reference: SuiteResult) -> None:
    vanished = judge(suite, GOOD + "\nimport os\nos._exit(0)\n")
    assert vanished.pass_ratio is None
    assert vanished.share_of(reference) == 0.0


def test_a_file_without_tests_is_not_judged(suite: Suite) -> None:
    assert suite.judge("setup.py", "") is None
