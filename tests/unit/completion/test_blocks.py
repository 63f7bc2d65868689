"""A block is known to be complete at its first token beyond, and not before."""

import pytest

from completion_samples import at
from falcon_lsp.completion.blocks import block_ended


@pytest.mark.parametrize(
    ("marked", "language", "said", "beyond"),
    [
        ("def f():\n    ‸", "python", "x = 1\n    return x\n", "def"),
        ("def f():\n    ‸", "python", "if x:\n        y = 1\n    return y\n\n", "f"),
        ("def f():‸", "python", "\n    return 1\n", "#"),
        ("class A:\n    def f(self):\n        ‸", "python", "return 1\n", "    d"),
        ("def f():\n    ‸", "python", 'x = """\nnot the end\n"""\n    return x\n', "y"),
        ("def f():\n    ‸", "python", "x = g(\n1,\n)\n", "y"),
        ("function f() {\n  ‸", "javascript", "return 1;\n}", "\n"),
        ("if (a) {\n  ‸", "typescript", "b(() => {\n    c();\n  });\n} else {", "\n"),
    ],
)
def test_the_block_ends_there_and_not_before(
    marked: str, language: str, said: str, beyond: str
) -> None:
    request = at(marked + "\n" if "‸" in marked else marked, language)
    ended = [block_ended(request, said[:end]) for end in range(len(said) + 1)]
    assert not any(ended)
    assert block_ended(request, said + beyond)


def test_at_the_margin_nothing_ends() -> None:
    assert not block_ended(at("‸"), "a = 1\nb = 2\n")
