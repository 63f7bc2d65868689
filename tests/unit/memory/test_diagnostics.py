"""The compile check and the difference between two sets of findings."""

from __future__ import annotations

import sys
import warnings

import pytest

from falcon_lsp.core.types import Diagnostic, TextEdit
from falcon_lsp.memory.diagnostics import MAX_CHARACTERS, compile_check, difference, follow

BROKEN = [
    ("x = (\n", 0, "SyntaxError"),
    ("a = 1\nif a:\nb = 2\n", 2, "IndentationError"),
    ("if a:\n        b\n\tc\n", 2, "TabError"),
    ("a = 1\nreturn a\n", 1, "SyntaxError"),
    ("def f():\n    nonlocal y\n", 1, "SyntaxError"),
    ("a = '\ud83d'\n", 0, "UnicodeEncodeError"),
    (f"a = {'9' * (sys.int_info.default_max_str_digits + 1)}\n", 0, "SyntaxError"),
]
CLEAN = ["", "x = 1\n", "def f():\n    return 1\n", "await_ = 1\r\nx = 2\r\n", "s = '😀'\n"]
DEEP = ["(" * 5000, "-" * 200_000 + "1", "x" + ".a" * 50_000, "[" * 150 + "]" * 150]


@pytest.mark.parametrize(("text", "line", "code"), BROKEN)
def test_what_does_not_compile_is_one_finding(text: str, line: int, code: str) -> None:
    (found,) = compile_check(text, "a.py")
    assert (found.line, found.code, found.severity, found.source) == (line, code, 1, "falcon")
    assert found.message


@pytest.mark.parametrize("text", CLEAN)
def test_what_compiles_is_no_finding(text: str) -> None:
    assert compile_check(text, "file:///a.py") == ()


def test_null_bytes_are_a_finding() -> None:
    (found,) = compile_check("x = 1\ny = '\0'\n", "a.py")
    assert "null" in found.message


@pytest.mark.parametrize("text", DEEP, ids=["brackets", "signs", "attributes", "lists"])
def test_deep_nesting_does_not_raise(text: str) -> None:
    assert len(compile_check(text, "a.py")) <= 1


def test_warnings_are_neither_shown_nor_findings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compile_check("x = '\\d'\nassert (x, 'always')\nx is 1\n", "a.py") == ()


def test_nothing_is_run() -> None:
    assert compile_check("raise SystemExit(3)\n", "a.py") == ()


def test_long_documents_are_left_alone() -> None:
    assert compile_check("(" + " " * MAX_CHARACTERS, "a.py") == ()


def at(*lines: int, message: str = "bad", source: str = "lint") -> tuple[Diagnostic, ...]:
    return tuple(Diagnostic(line, 1, message, "E1", source) for line in lines)


DIFFERENCES = [
    pytest.param((), (), (), (), id="nothing"),
    pytest.param((), at(1), at(1), (), id="new"),
    pytest.param(at(1), (), (), at(1), id="gone"),
    pytest.param(at(1), at(9), (), (), id="moved"),
    pytest.param(at(10, 20), at(11, 15, 21), at(15), (), id="a third between two that moved"),
    pytest.param(at(11, 15, 21), at(10, 20), (), at(15), id="the middle one of three gone"),
    pytest.param(at(3, 3), at(3), (), at(3), id="one of two on a line"),
    pytest.param(at(1), at(1, message="worse"), at(1, message="worse"), at(1), id="another"),
    pytest.param(at(1), at(1, source="mypy"), at(1, source="mypy"), at(1), id="another source"),
]


@pytest.mark.parametrize(("before", "after", "added", "removed"), DIFFERENCES)
def test_the_difference_tolerates_moved_lines(
    before: tuple[Diagnostic, ...],
    after: tuple[Diagnostic, ...],
    added: tuple[Diagnostic, ...],
    removed: tuple[Diagnostic, ...],
) -> None:
    assert difference(before, after) == (added, removed)


TEXT = "a\nb\n  c\nd\n"
MOVES = [
    pytest.param([TextEdit(0, 0, "x\ny\n")], 3, 5, id="lines added above"),
    pytest.param([TextEdit(0, 4, "")], 3, 1, id="lines above deleted"),
    pytest.param([TextEdit(8, 8, "\nx")], 2, 2, id="a line added below"),
    pytest.param([TextEdit(6, 6, "x\n  ")], 2, 3, id="pushed down from its beginning"),
    pytest.param([TextEdit(7, 7, "\n")], 2, 2, id="broken behind its beginning"),
    pytest.param([TextEdit(2, 9, "z\n")], 2, 1, id="deleted with its neighbours"),
    pytest.param([TextEdit(4, 7, "long")], 3, 3, id="no line more or less"),
    pytest.param([TextEdit(0, 0, "x\n"), TextEdit(0, 2, "")], 3, 3, id="there and back"),
]


@pytest.mark.parametrize(("edits", "line", "expected"), MOVES)
def test_findings_move_with_their_lines(edits: list[TextEdit], line: int, expected: int) -> None:
    (found,) = follow(at(line), TEXT, edits)
    assert found.line == expected
