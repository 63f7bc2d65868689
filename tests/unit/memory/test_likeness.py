"""What is nearly the same suggestion in the same context, and what is another one."""

from __future__ import annotations

import pytest

from falcon_lsp.memory.likeness import MAX_TOKENS, alike, near, spot, tokens

ABOVE = "def total(items, tax):\n    found = lookup(items)\n"
LONG = "return compute_total(items, tax_rate=tax, rounded=True)"

ALIKE = [
    pytest.param(LONG, ABOVE + "    ", LONG, id="the same"),
    pytest.param(LONG, ABOVE + "    return com", "pute_total(items, tax_rate=tax, rounded=True)",
                 id="the rest, half of it typed"),
    pytest.param(LONG, "import os\n" + ABOVE + "\n\n    ", LONG, id="further down, blank lines"),
    pytest.param(LONG, ABOVE.replace("\n", "\r\n") + "    ", LONG, id="with CRLF"),
    pytest.param(LONG, ABOVE + "    ", LONG.replace(", ", ","), id="other blanks"),
    pytest.param(LONG, ABOVE + "    ", LONG.replace(")", ",)"), id="a trailing comma"),
    pytest.param('print("a", "b")', ABOVE + "    ", "print('a', 'b')", id="other quotes"),
    pytest.param(LONG, ABOVE + "    ", LONG.replace("True", "False"), id="one token of many"),
    pytest.param(LONG, ABOVE + "    ", LONG[:-9], id="cut short"),
    pytest.param("from m.names import long_name", ABOVE + "    ", "from m.names import long_na",
                 id="cut within its last word"),
    pytest.param(LONG, ABOVE + "    ", LONG + " or 0", id="a little longer"),
    pytest.param("return a", ABOVE + "    ", "return a\n\n\ndef g():", id="more below it"),
    pytest.param("return a", ABOVE.rstrip("\n"), "\n    return a", id="from the line before"),
    pytest.param("return a", ABOVE + "    )\n    ", "return a", id="a mute line added"),
    pytest.param("return a", ABOVE + "    log.info(items)\n    ", "return a", id="one line added"),
]  # fmt: skip

APART = [
    pytest.param("return a", ABOVE + "    ", "return b", id="another name"),
    pytest.param("return a", ABOVE + "    ", "return ab", id="a longer name"),
    pytest.param("return f(a, b)", ABOVE + "    ", "return f(a, c)", id="another argument"),
    pytest.param("return f(a, b)", ABOVE + "    x = ", "return f(a, b)", id="another line"),
    pytest.param("return a", ABOVE.replace("def total", "def other") + "    ", "return a",
                 id="another function"),
    pytest.param("return a", ABOVE + "    if tax:\n        ", "return a", id="another block"),
    pytest.param(LONG, "class A:\n    rate = 1\n    ", LONG, id="another context"),
    pytest.param(LONG, ABOVE + "    log.info(items)\n    ", LONG.replace("True", "False"),
                 id="one token of many, one line further"),
    pytest.param("if a:\n    return a\nreturn b", ABOVE + "    ", "if a:", id="its first line"),
    pytest.param("x = 1", ABOVE + "    ", "x = 1 + f(y)", id="much longer"),
    pytest.param("x = f(1)", ABOVE + "    ", "y = f(1)", id="begins with another word"),
    pytest.param("return a", ABOVE + "    ", "", id="nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("declined", "before", "text"), ALIKE)
def test_this_shows_what_was_declined(declined: str, before: str, text: str) -> None:
    assert alike(spot(ABOVE + "    ", declined), spot(before, text))


@pytest.mark.parametrize(("declined", "before", "text"), APART)
def test_this_is_another_suggestion(declined: str, before: str, text: str) -> None:
    assert not alike(spot(ABOVE + "    ", declined), spot(before, text))


def test_the_start_of_a_file_is_a_context_of_its_own() -> None:
    assert alike(spot("", "import os"), spot("\n\n", "import os"))
    assert not alike(spot("", "import os"), spot("import sys\n", "import os"))


def test_likeness_of_texts_does_not_depend_on_their_order() -> None:
    pairs = [(tokens(LONG), tokens(LONG[:-9])), (tokens("a b c d"), tokens("a b c")), ((), ("a",))]
    assert [near(*pair) for pair in pairs] == [near(*reversed(pair)) for pair in pairs]


def test_long_texts_are_compared_by_their_beginning() -> None:
    assert len(tokens("a + " * 1000)) == MAX_TOKENS
