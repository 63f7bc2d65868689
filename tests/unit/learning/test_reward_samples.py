"""What a text in its place is: broken, unfinished, empty, or of substance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falcon_lsp.learning.rewards.sample import (
    Sample,
    breaks_syntax,
    substance,
    syntax_error_line,
    without_comments,
)


@pytest.mark.parametrize(
    ("text", "prefix", "suffix", "broken"),
    [
        ("return x", "def f(x):\n    ", "\n", False),
        ("return x)", "def f(x):\n    ", "\n", True),
        ("x = 1\n  y = 2", "def f(x):\n    ", "\n", True),
        ("for x in y:", "def f(y):\n    ", "\n", False),
        ("", "def f(x):\n    ", "\n", False),
        ("# to do", "def f(x):\n    ", "\n", False),
        (" \n", "def f(x):\n    ", "\n", False),
        ("1)", "x = f(", ")\n", True),
        ("1", "x = f(", ")\n", False),
        ("*", "]] cut off", "\n", False),
        ("(" * 5000, "x = ", "\n", True),
        ("\0", "x = 1", "\n", True),
    ],
)
def test_a_text_is_to_blame_for_what_parses_without_it(text, prefix, suffix, broken) -> None:
    assert breaks_syntax(Sample(text, prefix, suffix)) is broken


def test_other_languages_are_not_parsed() -> None:
    assert not breaks_syntax(Sample(")))", "let x = ", "", "typescript"))
    assert Sample("1", "let x = ", "", "typescript").baseline() is None


@pytest.mark.parametrize(
    ("source", "line"), [("x = 1\ny = (\n", 1), ("x = 1", -1), ("x = 1\0", -1)]
)
def test_the_line_of_a_syntax_error(source, line) -> None:
    assert syntax_error_line(Sample(source)) == line


@pytest.mark.parametrize(
    ("text", "prefix", "share"),
    [
        ("", "", 0.0),
        ("   \n", "", 0.0),
        (")", "f(x", 0.0),
        ("):", "def f(x", 0.0),
        ("pass", "def f():\n    ", 0.0),
        ("...", "def f():\n    ", 0.0),
        ("return", "def f():\n    ", 0.0),
        ("return None", "def f():\n    ", 0.0),
        ("rn None", "def f():\n    retu", 0.0),
        ("raise NotImplementedError", "def f():\n    ", 0.0),
        ("# adds two numbers", "", 0.0),
        ("s two numbers", "# add", 0.0),
        ("pass  # later\n    # much later\n    ...", "def f():\n    ", 0.0),
        ('"""Adds two numbers."""', "def f():\n    ", 0.0),
        ('"""Adds.\n\n    More.\n    """\n    pass', "def f():\n    ", 0.0),
        ("x", "", 0.25),
        ("x  \n", "", 0.25),
        ("x  = y", "", 1.0),
        ("return a", "def f(a):\n    ", 1.0),
        ('print("# no comment")', "", 1.0),
        ("Adds two numbers.", 'def f():\n    """', 1.0),
    ],
)
def test_what_says_nothing_has_no_substance(text, prefix, share) -> None:
    assert substance(Sample(text, prefix)) == share


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("// later", 0.0),
        ("/* later\n and later */", 0.0),
        ("/* never closed", 0.0),
        ("return null;", 0.0),
        ("return undefined", 0.0),
        ("});", 0.0),
        ("return `http://${host}`;", 1.0),
    ],
)
def test_substance_in_the_family_of_c(text, share) -> None:
    assert substance(Sample(text, "", "", "javascript")) == share


@pytest.mark.parametrize(
    ("code", "language", "rest"),
    [
        ("x = 1  # one", "python", "x = 1  "),
        ("x = '# no'  # yes", "python", "x = '# no'  "),
        ('x = """\n# no\n"""  # yes', "python", 'x = """\n# no\n"""  '),
        ("x = 'it\\'s # no'", "python", "x = 'it\\'s # no'"),
        ("let u = 'http://a' // b", "typescript", "let u = 'http://a' "),
        ("a /* b\n c */ d // e\nf", "typescript", "a  d \nf"),
    ],
)
def test_comments_go_and_strings_stay(code, language, rest) -> None:
    assert without_comments(code, language) == rest


@given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["python", "typescript"]))
def test_any_text_is_read_without_an_error(text, prefix, language) -> None:
    sample = Sample(text, prefix, "", language)
    assert 0.0 <= substance(sample) <= 1.0
    assert breaks_syntax(sample) in (True, False)


def test_lines_are_the_texts_own() -> None:
    sample = Sample("b\nc", "a\n", "\nd")
    assert sample.own_lines({0, 1, 2, 3}) == {0, 1}
