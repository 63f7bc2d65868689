"""What would follow and is not said: secrets, lines that would run together, edits elsewhere."""

from __future__ import annotations

import random
import string

import pytest

from falcon_lsp.core.types import TextEdit
from falcon_lsp.memory.edits import Edits
from falcon_lsp.memory.repeats import MOST_TEXTS, Moment, repeat, sightings
from memory_samples import change


def secret() -> str:
    rng = random.Random(3)
    return "".join(rng.choices(string.ascii_letters + string.digits, k=24))


@pytest.mark.parametrize("name", ["api_key", "password"])
def test_a_secret_is_not_repeated_in_another_file(name: str) -> None:
    edits = Edits(5)
    text = f'client = connect(host, {name}="")\n'
    at = text.index('")')
    change(edits, "a.py", text, TextEdit(at, at, secret()), 0.0)
    assert repeat(edits, "b.py", text, at) is None


def test_a_secret_makes_room_for_the_next_likely() -> None:
    edits = Edits(5)
    text = 'client = connect(host, api_key="")\n'
    at = text.index('")')
    change(edits, "a.py", text, TextEdit(at, at, "your-key-here"), 0.0)
    change(edits, "c.py", text, TextEdit(at, at, secret()), 100.0)
    found = repeat(edits, "b.py", text, at)
    assert found is not None
    assert found.text == "your-key-here"


def test_whole_lines_do_not_run_together_with_the_next_one() -> None:
    edits = Edits(5)
    text = "a(old_name);\nb(old_name);\nc();\n"
    text = change(edits, "a.js", text, TextEdit(2, 10, "new_name"), 0.0)
    at = text.index("b(")
    text = change(edits, "a.js", text, TextEdit(at, text.index("c("), ""), 100.0)
    assert text[at:] == "c();\n"
    assert repeat(edits, "a.js", text, at) is None


def test_lines_follow_where_the_line_is_empty() -> None:
    edits = Edits(5)
    text = "a(old_name);\nb(old_name);\nb(old_name);\n\nc();\n"
    text = change(edits, "a.js", text, TextEdit(2, 10, "new_name"), 0.0)
    at = text.index("b(")
    text = change(edits, "a.js", text, TextEdit(at, text.index("\n\nc"), ""), 100.0)
    found = repeat(edits, "a.js", text, at)
    assert found is not None
    assert found.text == "b(new_name);\nb(new_name);"


def test_what_stands_elsewhere_by_now_is_not_what_is_being_done() -> None:
    edits = Edits(5)
    text = change(edits, "a.py", "one = old\ntwo = old\n", TextEdit(6, 9, "new"), 0.0)
    at = text.index("old")
    text = change(edits, "a.py", text, TextEdit(at, at + 3, ""), 100.0)
    assert repeat(edits, "a.py", text, at) is not None
    reverted = "# another text, as long as the one before\n"
    assert repeat(edits, "a.py", reverted, at) is None


def test_of_many_texts_the_latest_are_looked_at() -> None:
    edits = Edits(200)
    for number in range(200):
        change(edits, "a.py", "value = old", TextEdit(8, 11, f"new{number}"), 100.0 * number)
    made = Moment("old", "", "", "value = ", "")
    found = [each.text for each in sightings(edits, made)]
    assert found == [f"new{number}" for number in reversed(range(200 - MOST_TEXTS, 200))]


def test_indentation_alone_is_no_evidence() -> None:
    edits = Edits(5)
    deep = "class A:\n    def f(self):\n        with self.lock:\n            "
    change(edits, "a.py", f"{deep}\n", TextEdit(len(deep), len(deep), "self.count += 1"), 0.0)
    other = "def g():\n    if a:\n        if b:\n            "
    assert repeat(edits, "b.py", f"{other}\n", len(other)) is None
    same = f"{other[:-13]} self.lock:\n            "
    assert repeat(edits, "b.py", f"{same}\n", len(same)) is not None
