"""An edit that is made again is known by what was taken away, what was written, and its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import falcon_lsp
from falcon_lsp.core.types import TextEdit
from falcon_lsp.memory import repeats
from falcon_lsp.memory.edits import Edits
from falcon_lsp.memory.repeats import NAMES, repeat
from memory_samples import change

Step = tuple[str, str]
"""What is looked for in the text, and what it becomes."""


def make(text: str, *steps: Step, path: str = "a.py", edits: Edits | None = None) -> Edits:
    """Make edits, each a minute and more after the one before, and return them."""
    made = edits if edits is not None else Edits(50)
    for number, (old, new) in enumerate(steps, len(made)):
        at = text.index(old)
        text = change(made, path, text, TextEdit(at, at + len(old), new), number * 100.0)
    return made


RENAMED = "total = old_name + 1\nprint(old_name)\nreturn old_name\n"


def after(text: str, steps: list[Step], marked: str) -> str:
    """Return what follows at ``‸`` of ``marked``, which ``text`` is after ``steps``."""
    edits = Edits(50)
    for number, (old, new) in enumerate(steps):
        at = text.index(old)
        text = change(edits, "a.py", text, TextEdit(at, at + len(old), new), number * 100.0)
    assert text == marked.replace("‸", "")
    found = repeat(edits, "a.py", text, marked.index("‸"))
    return found.text if found else ""


AGAIN = [
    pytest.param(
        RENAMED, [("old_name", "new_name"), ("old_name", "")],
        "total = new_name + 1\nprint(‸)\nreturn old_name\n", "new_name", id="taken away again",
    ),
    pytest.param(
        RENAMED, [("old_name", "new_name"), ("old_name", "new")],
        "total = new_name + 1\nprint(new‸)\nreturn old_name\n", "_name", id="begun again",
    ),
    pytest.param(
        RENAMED, [("old_name", "new_name"), ("print(old_name)", "")],
        "total = new_name + 1\n‸\nreturn old_name\n", "print(new_name)", id="a part of what went",
    ),
    pytest.param(
        RENAMED, [("old_name", "new_name"), ("old_name", "other")],
        "total = new_name + 1\nprint(other‸)\nreturn old_name\n", "", id="something else",
    ),
    pytest.param(
        "x = old_names\ny = old_name\n", [("y = old_name", "y = new_name"), ("x = old_names", "")],
        "‸\ny = new_name\n", "", id="part of a word",
    ),
    pytest.param("a = 1\nb = 2\n", [("1", "3")], "a = 3\nb = 2‸\n", "", id="nothing begun"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "steps", "marked", "expected"), AGAIN)
def test_what_is_done_again_is_known(
    text: str, steps: list[Step], marked: str, expected: str
) -> None:
    assert after(text, steps, marked) == expected


def test_an_edit_of_another_file_is_made_again_here() -> None:
    edits = make("value = fetch(url)\n", ("fetch(url)", "await fetch(url)"), path="a.py")
    make("other = fetch(url)\n", ("fetch(url)", ""), path="b.py", edits=edits)
    found = repeat(edits, "b.py", "other = \n", 8)
    assert found is not None
    assert found.text == "await fetch(url)"


def test_what_was_only_added_is_added_again_where_the_same_stands_around() -> None:
    text = "one = run(first)\ntwo = run(first)\nthree = run(first)\n"
    edits = Edits(5)
    at = text.index(")")
    text = change(edits, "a.py", text, TextEdit(at, at, ", timeout=5"), 0.0)
    at = text.index(")", text.index("two"))
    found = repeat(edits, "a.py", text, at)
    assert found is not None
    assert found.text == ", timeout=5"
    assert repeat(edits, "a.py", text, len(text)) is None


def test_the_latest_of_two_ways_is_likelier() -> None:
    text = "a = f(x)\nb = f(x)\nc = f(x)\n"
    edits = make(text, ("f(x)", "g(x)"), ("f(x)", "h(x)"), ("f(x)", ""))
    found = repeat(edits, "a.py", "a = g(x)\nb = h(x)\nc = \n", text.index("c = ") + 4)
    assert found is not None
    assert found.text == "h(x)"


def test_more_around_that_agrees_makes_it_likelier() -> None:
    def chance(second: str) -> float:
        text = f"result = connect(first, port)\n{second}\n"
        edits = make(text, ("port", "timeout"), ("port", ""))
        gone = text.replace("port", "timeout", 1).replace("port", "")
        found = repeat(edits, "a.py", gone, gone.index("\n", 35) - 1)
        assert found is not None
        return found.chance

    assert chance("result = connect(first, port)") > chance("q = [port]")


def test_what_was_written_is_repeated_with_its_own_line_end_left_out() -> None:
    text = "import b\n\nimport c\n"
    edits = Edits(5)
    text = change(edits, "a.py", text, TextEdit(0, 0, "\n"), 0.0)
    text = change(edits, "a.py", text, TextEdit(0, 0, "from x import y"), 1.0)
    at = text.index("import c")
    text = change(edits, "a.py", text, TextEdit(at, at, "\n"), 200.0)
    text = change(edits, "a.py", text, TextEdit(at, at, "from x"), 201.0)
    found = repeat(edits, "a.py", text, at + len("from x"))
    assert found is not None
    assert found.text == " import y"


def test_the_shipped_weights_are_those_of_the_numbers() -> None:
    file = Path(falcon_lsp.__file__).parent / "data" / "repeats.json"
    assert tuple(json.loads(file.read_text())["weights"]) == NAMES
    assert 0.0 < repeats.chance_of((0.0,) * len(NAMES)) < 1.0
