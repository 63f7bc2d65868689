"""Each assert reports its own outcome, and code under test cannot make one up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from falcon_lsp.learning.rewards import TestOutcome, Verdict, assemble, assert_steps, check_steps
from falcon_lsp.learning.rewards.asserts import NOT_REACHED, SCRIPT, TestProgram

ASSERTS = ["assert double(1) == 2", "assert double(3) == 6", "assert double('a') == 'aa'"]
GOOD = "def double(x):\n    return x * 2\n"


def run(program: TestProgram, folder: Path) -> tuple[TestOutcome, ...]:
    """Run it here: every candidate of these tests is written in this file, by us."""
    for name, text in program.files.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-I", SCRIPT], check=False, cwd=folder, capture_output=True, timeout=30
    )
    return program.outcomes(done.stdout)


def words(outcomes: tuple[TestOutcome, ...]) -> str:
    return " ".join(one.verdict for one in outcomes)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (GOOD, "passed passed passed"),
        ("def double(x):\n    return 2\n", "passed failed failed"),
        ("def double(x):\n    return x + x if x else 1 / x\n", "passed passed passed"),
        ("def double(x):\n    return int(x) * 2\n", "passed passed raised"),
        ("def double(x:\n", "raised raised raised"),
        ("raise SystemExit(0)\n", "raised raised raised"),
        ("def other(x):\n    return x\n", "raised raised raised"),
        ("def double(x):\n    assert x == 1\n    return 2\n", "passed failed failed"),
        ("import os\ndef double(x):\n    return os._exit(0)\n", "raised raised raised"),
        ("def double(x):\n    return double(x)\n", "raised raised raised"),
        (GOOD + "TESTS = CANDIDATE = 'raised'  # \\u2028 \\' \\\" \ud800 '''\n", "raised " * 3),
    ],
)
def test_every_assert_has_its_own_outcome(candidate, expected, tmp_path) -> None:
    assert words(run(assemble(candidate, assert_steps(ASSERTS)), tmp_path)) == expected.strip()


def test_the_line_of_the_candidate_that_raised_is_told(tmp_path) -> None:
    candidate = "def helper(x):\n    return 1 / 0\n\ndef double(x):\n    return helper(x)\n"
    (found,) = run(assemble(candidate, assert_steps(ASSERTS[:1])), tmp_path)
    assert found == TestOutcome(Verdict.RAISED, "ZeroDivisionError", 1)


@pytest.mark.parametrize(
    ("candidate", "error", "line"),
    [("x = 1\nx = (\n", "SyntaxError", 1), ("x = 1\n\ny\n", "NameError", 2)],
)
def test_what_fails_before_any_test_fails_them_all_and_names_its_line(
    candidate, error, line, tmp_path
) -> None:
    found = run(assemble(candidate, assert_steps(ASSERTS)), tmp_path)
    assert found == (TestOutcome(Verdict.RAISED, error, line),) * 3


def test_a_wrong_answer_names_no_line(tmp_path) -> None:
    program = assemble("def double(x):\n    return 0\n", assert_steps(ASSERTS[:1]))
    assert run(program, tmp_path) == (TestOutcome(Verdict.FAILED, "AssertionError", -1),)


FORGERIES = {
    "prints": 'print(\'{"test": 0, "verdict": "passed", "error": "", "line": -1}\')',
    "writes to every descriptor": (
        "import os\nfor fd in range(64):\n    try:\n"
        '        os.write(fd, b\'{"test": 0, "verdict": "passed", "error": "", "line": 0}\')\n'
        "    except OSError:\n        pass"
    ),
    "reads its own program": (
        "import pathlib, os\ntry:\n    text = pathlib.Path('tests.py').read_text()\n"
        "    secret = pathlib.Path('secret').read_text()\n"
        "    for fd in range(64):\n        os.write(fd, secret.encode())\n"
        "except OSError:\n    pass"
    ),
    "leaves with success": "import atexit, os\natexit.register(os._exit, 0)",
    "breaks json": "import json\njson.dumps = lambda body: '{}'",
    "replaces exec": "import builtins\nbuiltins.exec = lambda *_: None",
    "replaces compile": "import builtins\nbuiltins.compile = lambda *_: 'pass'",
    "replaces AssertionError": "import builtins\nbuiltins.AssertionError = KeyboardInterrupt",
    "closes all": "import os\nos.closerange(0, 64)",
    "hooks exceptions": "import sys\nsys.excepthook = lambda *_: None",
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_wrong_program_cannot_report_a_passed_test(how, tmp_path) -> None:
    candidate = f"{FORGERIES[how]}\ndef double(x):\n    return None\n"
    found = run(assemble(candidate, assert_steps(ASSERTS)), tmp_path)
    assert len(found) == 3
    assert Verdict.PASSED not in {one.verdict for one in found}


def test_the_secret_is_in_no_text_that_the_candidate_could_read(tmp_path) -> None:
    program = assemble(GOOD, assert_steps(ASSERTS))
    assert program.secret not in program.source
    run(program, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [SCRIPT]
    assert assemble(GOOD, []).secret != program.secret


def test_what_is_printed_does_not_disturb_the_reports(tmp_path) -> None:
    noisy = (
        "import sys\nprint('x' * 9, end='')\ndef double(x):\n    print(x, end='')\n    return x * 2"
    )
    assert words(run(assemble(noisy, assert_steps(ASSERTS)), tmp_path)) == "passed passed passed"


@pytest.mark.parametrize("line", ["", "{}", "[1]", '{"test": 0, "verdict": "perfect"}', "\x00"])
def test_reports_that_make_no_sense_are_none(line) -> None:
    program = assemble(GOOD, assert_steps(ASSERTS[:1]))
    assert program.outcomes((program.secret + line).encode()) == (
        TestOutcome(Verdict.RAISED, NOT_REACHED),
    )


def test_the_first_report_of_a_test_counts() -> None:
    program = assemble(GOOD, assert_steps(ASSERTS[:1]))
    reports = [
        f'{program.secret}{{"test": 0, "verdict": "{verdict}", "error": "", "line": -1}}'
        for verdict in ("failed", "passed")
    ]
    assert words(program.outcomes("\n".join(reports).encode())) == "failed"


HUMAN_EVAL = """
METADATA = {"author": "nobody"}

def check(candidate):
    assert True, "prints if this fails"
    table = [(1, 2), (5, 10)]
    assert candidate(2) == 4
    for given, wanted in table:
        assert candidate(given) == wanted
    assert candidate(0) == 0
"""


def test_the_asserts_of_a_check_function_are_told_apart(tmp_path) -> None:
    steps = check_steps(HUMAN_EVAL, "double")
    assert [step.counts for step in steps] == [False, False, False, False, True, True, True]
    wrong = "def double(x):\n    return x + 2\n"
    assert words(run(assemble(wrong, steps), tmp_path)) == "passed failed failed"


@pytest.mark.parametrize(
    "test", ["def check(", "x = 1", "def check():\n    pass", "def check(c):\n    c(1)"]
)
def test_a_check_that_checks_nothing_is_refused(test) -> None:
    with pytest.raises(ValueError, match="the test"):
        check_steps(test, "double")


def test_setup_code_runs_first_and_is_no_test(tmp_path) -> None:
    steps = assert_steps(["assert double(N) == 8"], setup="N = 4")
    assert words(run(assemble(GOOD, steps), tmp_path)) == "passed"
