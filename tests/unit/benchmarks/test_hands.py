"""Hands that type: whatever is taken on the way, the file becomes what it was."""

from __future__ import annotations

import pytest

from evaluation.hands import Stop, stops
from falcon_lsp.core.types import TextEdit
from falcon_lsp.replay.sources import Change
from falcon_lsp.replay.strokes import plan

BEFORE = "import os\n\n\ndef first(names):\n    found = names\n    return found\n"
AFTER = (
    "import os\nimport re\n\n\ndef first(names, other):\n    found = sorted(names)\n"
    "    for name in other:\n        found.append(name)\n    return found\n"
)


class Paper:
    """One file and every change of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.edits: list[TextEdit] = []

    def put(self, path: str, text: str, edit: TextEdit) -> str:
        assert (path, text) == ("a.py", self.text)
        self.edits.append(edit)
        self.text = text[: edit.start] + edit.new_text + text[edit.end :]
        return self.text


@pytest.mark.parametrize("takes", [0, 1, 5, 10_000], ids=lambda takes: f"takes {takes}")
@pytest.mark.parametrize(
    ("before", "after"), [(BEFORE, AFTER), ("x = 1\n" * 3, AFTER), ("", AFTER)]
)
def test_the_file_becomes_what_it_was_whatever_is_taken(
    before: str, after: str, takes: int
) -> None:
    (work,) = plan([Change("a.py", "python", before, after)], "1")
    paper = Paper(before)
    seen: list[Stop] = []
    for stop in stops(work, paper.put):
        assert stop.text == paper.text
        assert stop.text[stop.hunk.at : stop.offset] == stop.hunk.text[: stop.done]
        assert stop.truth == stop.hunk.text[stop.done :]
        stop.taken = min(takes, len(stop.truth))
        seen.append(stop)
    assert seen
    assert paper.text == after
    assert all(edit.new_text or edit.end > edit.start for edit in paper.edits)


def test_who_takes_everything_is_asked_once_in_each_place() -> None:
    (work,) = plan([Change("a.py", "python", BEFORE, AFTER)], "1")
    paper, asked = Paper(BEFORE), []
    for stop in stops(work, paper.put):
        stop.taken = len(stop.truth)
        asked.append(stop.hunk.at)
    assert asked == sorted(set(asked))
