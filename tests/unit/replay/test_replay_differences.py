"""Lines come and go; of a line that stays alike only what differs is written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falcon_lsp.replay.differences import differences

LINES = st.lists(
    st.sampled_from(
        [
            "total = add(first, second)\n", "total = add(first, third)\n", "    return total\n",
            "total = add(first, second)\r\n", "\n", "x = 1\n", "total = sub(first, second)",
        ]
    ),
    max_size=8,
)  # fmt: skip


def written(before: str, after: str) -> list[tuple[str, str]]:
    """Return what is taken away and what is written instead, line ends of whole lines included."""
    found = []
    text = before
    for each in differences(before, after):
        found.append((text[each.at : each.at + each.removed], each.text + each.ending))
        text = text[: each.at] + each.text + each.ending + text[each.at + each.removed :]
    assert text == after
    return found


@given(LINES, LINES)
@settings(deadline=None)
def test_whatever_differs_the_text_becomes_the_other(old: list[str], new: list[str]) -> None:
    written("".join(old), "".join(new))


CASES = [
    pytest.param("f(a, b)\n", "f(a, c)\n", [("b", "c")], id="one word of a line"),
    pytest.param("f(a, b)\n", "f(a, b, c=1)\n", [("", ", c=1")], id="an argument more"),
    pytest.param("f(a, b, c=1)\n", "f(a, b)\n", [(", c=1", "")], id="an argument less"),
    pytest.param(
        "one = first(old, 1)\n", "two = first(new, 1)\n", [("one", "two"), ("old", "new")],
        id="two places of a line",
    ),
    pytest.param(
        "self.a.b = run(x)\n", "self.c.d = run(x)\n", [("a.b", "c.d")], id="nearly neighbours"
    ),
    pytest.param("return None\n", "raise ValueError(x)\n", [("return None\n",
        "raise ValueError(x)\n")], id="another line"),
    pytest.param(
        "f(a, b)\nend\n", "new(1)\nf(a, c)\nend\n", [("", "new(1)\n"), ("b", "c")],
        id="a line before one that is mended",
    ),
    pytest.param("    f(a, b)\n", "f(a, b)\n", [("    ", "")], id="indented less"),
    pytest.param("f(a, b)\r\n", "f(a, b)\n", [("f(a, b)\r\n", "f(a, b)\n")], id="other line ends"),
    pytest.param("x\n", "x\n", [], id="nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), CASES)
def test_what_is_written(before: str, after: str, expected: list[tuple[str, str]]) -> None:
    assert written(before, after) == expected


def test_a_large_block_is_written_anew() -> None:
    before = "".join(f"value_{n} = old({n})\n" for n in range(60))
    after = before.replace("old", "new")
    assert written(before, after) == [(before, after)]
