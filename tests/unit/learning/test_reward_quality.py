"""The gated terms: what a linter, a measure of complexity and the rules of agreement find."""

from __future__ import annotations

import importlib.util
import logging
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcon_lsp.learning.rewards import Appraiser, Quality, Sample
from falcon_lsp.learning.rewards import style as style_module
from falcon_lsp.learning.rewards.complexity import (
    cognitive_complexity,
    complexity_term,
    complexity_terms,
)
from falcon_lsp.learning.rewards.instructions import agreements, instruction_term
from falcon_lsp.learning.rewards.style import style_term, style_terms

BODY = "def f(x, y):\n    "


@pytest.mark.parametrize(
    ("added", "removed", "lines", "expected"),
    [
        (0, 0, 1, 0.0),
        (1, 0, 1, -0.05),
        (0, 1, 1, 0.05),
        (1, 0, 2, -0.025),
        (2, 2, 5, 0.0),
        (100, 0, 1, -0.1),
        (0, 100, 1, 0.1),
        (1, 0, 0, -0.05),
    ],
)
def test_style_is_findings_for_each_line(added, removed, lines, expected) -> None:
    assert style_term(added, removed, lines) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (Sample("return x + y", BODY, "\n"), 0.0),
        (Sample("return x == None", BODY, "\n"), -0.05),  # E711
        (Sample("z = x is None\n    return x == None", BODY, "\n"), -0.025),
        (Sample("x = True if y else False\n    return x == None", BODY, "\n"), -0.05),
        (Sample("return undefined(x)", BODY, "\n"), 0.0),  # it may stand above the cut
        (Sample("unused = x", BODY, "\n"), 0.0),  # it may be used next
        (Sample("return x ==", BODY, "\n"), 0.0),  # the compiler's part
        (Sample("x == null", "", "\n", "javascript"), 0.0),
        (Sample("x == None", "]] cut", "\n"), 0.0),
        (Sample("return x == None", BODY + "if y == None:\n        return 1\n    ", "\n"), -0.05),
    ],
)
def test_style_of_one_sample(sample, expected) -> None:
    assert style_terms([sample]) == [pytest.approx(expected)]


def test_a_batch_takes_one_process_and_leaves_no_copy(monkeypatch, tmp_path) -> None:
    calls = []
    real = subprocess.run

    def counted(command, **options):
        calls.append(command)
        return real(command, **options)

    monkeypatch.setattr(style_module.subprocess, "run", counted)
    samples = [Sample(f"return x == {word}", BODY, "\n") for word in ("None", "y", "None")]
    assert style_terms(samples, tmp_path) == [-0.05, 0.0, -0.05]
    assert len(calls) == 1
    assert list(tmp_path.iterdir()) == []
    assert style_terms([Sample("x", "", "", "go")], tmp_path) == [0.0]
    assert len(calls) == 1


def test_no_file_of_the_text_or_beside_it_changes_the_rules(tmp_path) -> None:
    (tmp_path / "ruff.toml").write_text("lint.select = []\nlint.ignore = ['E711']\n")
    assert style_terms([Sample("return x == None", BODY, "\n")], tmp_path) == [-0.05]


def test_a_folder_called_ruff_where_the_trainer_runs_is_not_run(tmp_path, monkeypatch) -> None:
    (tmp_path / "ruff").mkdir()
    (tmp_path / "ruff" / "__main__.py").write_text("open('was here', 'w')")
    monkeypatch.chdir(tmp_path)
    assert style_terms([Sample("return x == None", BODY, "\n")]) == [-0.05]
    assert [entry.name for entry in tmp_path.iterdir()] == ["ruff"]


@pytest.mark.parametrize("package", ["ruff", "complexipy"])
def test_a_missing_package_is_worth_0_and_said_once_a_batch(package, monkeypatch, caplog) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else real(name)
    )
    sample = Sample("if x == None:\n        return x\n    return y", BODY, "\n")
    with caplog.at_level(logging.WARNING):
        found = Appraiser().appraise([sample, sample])
    terms = {"ruff": found[0].style, "complexipy": found[0].complexity}
    assert terms.pop(package) == 0.0
    assert all(term != 0.0 for term in terms.values())
    assert [package in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("fault", [OSError(), subprocess.TimeoutExpired("ruff", 1), "no json"])
def test_a_linter_that_fails_is_worth_0(fault, monkeypatch, caplog) -> None:
    def failing(*_args, **_options):
        if isinstance(fault, str):
            return subprocess.CompletedProcess([], 0, stdout=fault.encode())
        raise fault

    monkeypatch.setattr(style_module.subprocess, "run", failing)
    assert style_terms([Sample("return x == None", BODY, "\n")]) == [0.0]
    assert "ruff failed" in caplog.text


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0, 0, 0.0), (0, 1, -0.01), (5, 1, 0.04), (0, 99, -0.1), (99, 0, 0.1)],
)
def test_complexity_is_the_change(before, after, expected) -> None:
    assert complexity_term(before, after) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (Sample("return x + y", BODY, "\n"), 0.0),
        (Sample("if x:\n        return y\n    return x", BODY, "\n"), -0.01),
        (Sample("for a in x:\n        if a:\n            return a\n", BODY, "\n"), -0.03),
        (Sample("if x", BODY, "\n"), 0.0),
        (Sample("if (x) { y() }", "", "\n", "javascript"), 0.0),
    ],
)
def test_complexity_of_a_sample(sample, expected) -> None:
    assert complexity_terms([sample]) == [pytest.approx(expected)]


def test_complexity_of_what_is_no_python_is_not_known() -> None:
    assert cognitive_complexity("def f(:") is None


RAISES = "Check.\n\n    Raises:\n        OSError: no.\n    "


def documented(docstring: str, signature: str = "def f(x):") -> str:
    return f'{signature}\n    """{docstring}"""\n    '


@pytest.mark.parametrize(
    ("prefix", "text", "answers"),
    [
        # parameters
        (BODY, "return x + y", [True, True]),
        (BODY, "return x", [True, False]),
        ("def f(self, _x):\n    ", "return 1", []),
        ("def f(x):\n    ", "def g():\n        return x\n    return g", [True]),
        # annotations
        ("def f() -> int:\n    ", "return 1", [True]),
        ("def f() -> int:\n    ", "print(1)", [False]),
        ("def f() -> int:\n    ", "raise ValueError", [True]),
        ("def f() -> Iterator[int]:\n    ", "yield 1", [True]),
        ("def f() -> None:\n    ", "print(1)", [True]),
        ("def f() -> None:\n    ", "return 1", [False]),
        ("def f() -> int:\n    ", "def g():\n        return 1\n    g()", [False]),
        # docstrings
        (documented("Return x."), "return x", [True, True]),
        (documented("Return x."), "print(x)", [True, False]),
        (documented("Yield x."), "yield x", [True, True]),
        (documented("Yields x."), "return [x]", [True, False]),
        (documented(RAISES), "raise OSError(x)", [True, True]),
        (documented(RAISES), "print(x)", [True, False]),
        (documented("Check.\n\n    :raises OSError: no"), "print(x)", [True, False]),
        (documented("Print x."), "print(x)", [True]),
        # comments
        ("# call `refresh` with max_age\n", "refresh(max_age)", [True, True]),
        ("# call refresh() first\n", "reset()", [False]),
        ("# now the hard part\n", "refresh()", []),
        ("x = 1\n", "refresh()", []),
        # not the text's
        ("def f(x):\n    return 1\n\n", "y = 2", []),
        ("", "def f(x):\n    return 1\n\ndef g(y):\n    return y\n", [False, True]),
        ("def f(x):\n    def g(y):\n        ", "return y", [True]),
        (BODY, "return x +", []),
        ("]] cut", "x", []),
    ],
)  # fmt: skip
def test_rules_of_agreement(prefix, text, answers) -> None:
    assert list(agreements(Sample(text, prefix, "\n"))) == answers


def test_functions_that_the_text_did_not_write_are_not_asked_about() -> None:
    sample = Sample("return x", "def f(x):\n    ", "\n\ndef g(y) -> int:\n    print(1)\n")
    assert list(agreements(sample)) == [True]


@pytest.mark.parametrize(
    ("text", "judged", "expected"),
    [
        ("return x + y", None, 0.1),
        ("return x", None, 0.0),
        ("return 1", None, -0.1),
        ("return x + y", 1.0, 0.1),
        ("return x + y", -1.0, 0.0),
        ("return 1", 1.0, 0.0),
        ("return 1", 99.0, 0.0),
        ("return x + y", -99.0, 0.0),
    ],
)
def test_a_judge_weighs_as_much_as_all_rules(text, judged, expected) -> None:
    assert instruction_term(Sample(text, BODY, "\n"), judged) == pytest.approx(expected)


def test_where_nothing_is_asked_nothing_is_said() -> None:
    assert instruction_term(Sample("x = 1")) is None
    assert instruction_term(Sample("x = 1"), 0.5) == pytest.approx(0.05)


@given(st.text(max_size=30), st.none() | st.floats(-1e9, 1e9))
def test_agreement_is_bounded(text, judged) -> None:
    found = instruction_term(Sample(text, BODY, "\n"), judged)
    assert found is None or -0.1 <= found <= 0.1


def test_appraisal_joins_the_terms_in_order() -> None:
    samples = [Sample("return x + y", BODY, "\n"), Sample("return x == None", BODY, "\n")]
    assert Appraiser().appraise(samples) == [
        Quality(0.0, 0.0, pytest.approx(0.1)),
        Quality(-0.05, 0.0, pytest.approx(0.0)),
    ]
    assert Appraiser().appraise([]) == []
