"""What was edited, as it is remembered: true of the text, whatever happens around it."""

from __future__ import annotations

import random

import pytest

from falcon_lsp.core.text import TextSnapshot
from falcon_lsp.core.types import TextEdit
from falcon_lsp.memory.edits import MAX_CHARACTERS, Edit, Edits
from falcon_lsp.memory.short_term import ShortTermMemory
from memory_samples import change

HERE = "file:///here"


def latest(edits: Edits) -> Edit | None:
    return next(iter(edits), None)


def taken_back(text: str, edit: Edit) -> str:
    return text[: edit.offset] + edit.removed + text[edit.offset + len(edit.added) :]


@pytest.mark.parametrize("longest", [3, MAX_CHARACTERS + 50], ids=["typing", "with pastes"])
def test_whatever_is_done_the_latest_edit_says_what_stands_there_and_what_stood_there(
    longest: int,
) -> None:
    for seed in range(100):
        rng = random.Random(seed)
        text, edits, now = "ab\ncd ef" * 4, Edits(8), 0.0
        texts = {text}
        for _ in range(15):
            now += rng.choice([1.0, 1.0, 1.0, 100.0])
            start = rng.randrange(len(text) + 1)
            end = min(len(text), start + rng.choice([0, 0, 1, 3]))
            new = "".join(rng.choices("xyz\n\U0001f600", k=rng.choice([0, 1, 2, longest])))
            text = change(edits, "a.py", text, TextEdit(start, end, new), now)
            last = latest(edits)
            if last is not None and last.time == now:
                assert last.stands_in(text)
                assert taken_back(text, last) in texts or longest > MAX_CHARACTERS
                assert last.right == text[last.offset + len(last.added) :][: len(last.right)]
                assert last.added in last.text or len(last.text) == MAX_CHARACTERS
            texts.add(text)


def test_after_a_paste_that_is_not_remembered_nothing_goes_on_that_stood_elsewhere() -> None:
    edits = Edits(8)
    text = change(edits, "a.py", "one two three", TextEdit(4, 4, "ab"), 0.0)
    text = change(edits, "a.py", text, TextEdit(0, 0, "long " * 100), 1.0)
    assert [edit.added for edit in edits] == ["ab"]
    change(edits, "a.py", text, TextEdit(6, 6, "x"), 2.0)
    assert [edit.added for edit in edits] == ["x", "ab"]


def test_what_is_taken_back_is_forgotten_however_late() -> None:
    edits = Edits(8)
    text = change(edits, "a.py", "one two", TextEdit(4, 7, "2"), 0.0)
    change(edits, "a.py", text, TextEdit(4, 5, "two"), 1000.0)
    assert list(edits) == []


LINE = "def f():\n    first()\n    debug(value)\n    second()\n"


def test_what_was_added_and_later_removed_from_its_place_is_forgotten() -> None:
    edits = Edits(8)
    line = "    debug(value)\n"
    text = change(edits, "a.py", LINE.replace(line, ""), TextEdit(21, 21, line), 0.0)
    assert text == LINE
    text = change(edits, "a.py", text, TextEdit(0, 0, "# above\n"), 100.0)
    at = text.index("debug(value)")
    text = change(edits, "a.py", text, TextEdit(at, at + len("debug(value)"), ""), 200.0)
    assert [(edit.removed, edit.added) for edit in edits] == [
        ("debug(value)", ""), ("", "# above\n"),
    ]  # fmt: skip


def test_the_same_removed_in_another_place_leaves_it_remembered() -> None:
    edits = Edits(8)
    text = change(edits, "a.py", "first(a)\nsecond(a)\n", TextEdit(7, 7, ", timeout=5"), 0.0)
    text = change(edits, "a.py", text, TextEdit(len(text), len(text), "other, timeout=5"), 100.0)
    at = text.rindex(", timeout=5")
    change(edits, "a.py", text, TextEdit(at, at + len(", timeout=5"), ""), 300.0)
    assert ("", ", timeout=5") in [(edit.removed, edit.added) for edit in edits]


def at_once(memory: ShortTermMemory, text: str, now: float, *edits: TextEdit) -> str:
    before = TextSnapshot("file:///here/a.py", "python", 1, text)
    memory.edited(HERE, "a.py", before, edits, now)
    return before.apply(edits, 2).text


def test_several_cursors_that_write_the_same_are_one_edit() -> None:
    memory = ShortTermMemory()
    text = "a = 1\nb = 2\nc = 3\n"
    for now, letter in enumerate("xyz"):
        ends = [at for at, character in enumerate(text) if character == "\n"]
        edits = [TextEdit(at, at, letter) for at in reversed(ends)]
        text = at_once(memory, text, float(now), *edits)
    assert text == "a = 1xyz\nb = 2xyz\nc = 3xyz\n"
    (edit,) = memory.recent_edits(HERE, 10)
    assert (edit.offset, edit.removed, edit.added) == (5, "", "xyz")
    assert edit.right == text[8:]


def test_a_formatter_leaves_what_was_done_by_hand_remembered() -> None:
    memory = ShortTermMemory()
    text = at_once(memory, "a=1\nb=2\n", 0.0, TextEdit(2, 3, "4"))
    at_once(memory, text, 1.0, TextEdit(5, 6, " = "), TextEdit(3, 3, "\n"), TextEdit(1, 2, " = "))
    assert [edit.added for edit in memory.recent_edits(HERE, 10)] == ["4"]


def test_the_lines_around_an_edit_are_bounded_however_long_the_line() -> None:
    edits = Edits(2)
    change(edits, "a.py", "x" * 10_000, TextEdit(5000, 5000, "y"), 0.0)
    (edit,) = edits
    assert len(edit.text) == MAX_CHARACTERS
    assert "y" in edit.text
