"""What unfinished code leaves open."""

import pytest

from falcon_lsp.completion import brackets


@pytest.mark.parametrize(
    ("language", "text", "marks"),
    [
        ("python", "print(len([a", ["(", "(", "["]),
        ("python", "print(')')", []),
        ("python", "x = '''a\n(", ["'''"]),
        ("python", "x = 'it", ["'"]),
        ("python", "x = 'it\ny = (", ["("]),
        ("python", "x = 1  # (", []),
        ("python", r"x = '\'(' + (", ["("]),
        ("javascript", "f(`a ${b", ["(", "`"]),
        ("javascript", "// it's\nf({", ["(", "{"]),
        ("python", "x = 'a\\", ["'"]),
        ("python", "x = 'a\\\nb' + (", ["("]),
        ("javascript", "a / b + `\n' ${", ["`"]),
        ("javascript", "url = 'http://x' + (", ["("]),
    ],
)
def test_open_marks_are_found_outermost_first(language: str, text: str, marks: list[str]) -> None:
    assert brackets.open_marks(text, language) == marks


def test_a_surplus_closer_makes_the_depth_negative() -> None:
    assert list(brackets.closings("a) b)", "python", [])) == [(1, -1), (4, -2)]


def test_a_string_is_closed_where_its_quote_begins() -> None:
    assert list(brackets.closings("f('a')", "python", [])) == [(4, 1), (5, 0)]


def test_an_open_string_has_no_closing() -> None:
    assert brackets.closing(["(", "["]) == "])"
    assert brackets.closing(["(", '"']) is None
