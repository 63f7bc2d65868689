"""What the editor will ask after Enter."""

import pytest

from completion_samples import at
from falcon_lsp.completion.ahead import next_line


@pytest.mark.parametrize(
    ("now", "language", "after_enter"),
    [
        ("x = 1‸\ny = 2\n", "python", "x = 1\n‸\ny = 2\n"),
        ("    x = 1‸", "python", "    x = 1\n    ‸"),
        ("if x:‸\n", "python", "if x:\n    ‸\n"),
        ("\tif x:‸\n", "python", "\tif x:\n\t\t‸\n"),
        ("  if (x) {‸\n", "javascript", "  if (x) {\n    ‸\n"),
        ("x = 1‸\r\n", "python", "x = 1\r\n‸\r\n"),
    ],
)
def test_the_next_line_is_indented_as_editors_do(now: str, language: str, after_enter: str) -> None:
    assert next_line(at(now, language)) == at(after_enter, language)


@pytest.mark.parametrize("now", ["f(‸)\n", "    return x‸\n", "    ‸\n", "    pass‸"])
def test_where_a_guess_would_be_wild_none_is_made(now: str) -> None:
    assert next_line(at(now)) is None
