"""Facts about the recorded session: what it holds, and that it ends in the files as they stood."""

from __future__ import annotations

import hashlib
import json
import random
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from falcon_lsp.core.paths import sha256_file
from keystrokes import record
from keystrokes.record import Typist
from keystrokes.recording import RECORDING, BadRecording, Part, Recording, Step, load

SOURCE = '''"""A module."""

import os


def first(names, other):
    found = [os.path.join(a, (b)) for a, b in names]
    if (found and
            other):
        return {"a": found[0], "b": len(other)}
    return dict(found=found, other=other)


class Second:
    def method(self, value):
        self.value = first(value, [1, 2, 3])
        for item in self.value:
            print(item)
'''


def typed(holes: list[tuple[int, int]], seed: int) -> Part:
    typist = Typist(SOURCE, list(holes), random.Random(seed))
    for hole in holes:
        typist.go_to(hole)
        typist.fill(hole, 10**9)
    return Part("package", "module.py", SOURCE, tuple(sorted(holes)), 0.5, tuple(typist.steps))


def documents(part: Part) -> list[str]:
    texts = [part.opened]
    for step in part.steps:
        texts.append(step.apply(texts[-1], part.original))
    return texts


def hole(start: str, end: str) -> tuple[int, int]:
    begins = SOURCE.index(start)
    return begins, SOURCE.index(end, begins) + len(end)


HOLES = [
    [hole("found = [", "in names]")],
    [hole("return dict", "other)"), hole("found = [", "in names]")],
    [hole("self.value = first", "3])"), hole("for item", "print(item)"), hole("if (", "other):")],
]


@pytest.mark.parametrize("holes", HOLES)
@pytest.mark.parametrize("seed", range(8))
def test_what_is_typed_ends_in_the_original(holes: list[tuple[int, int]], seed: int) -> None:
    assert documents(typed(holes, seed))[-1] == SOURCE


@pytest.mark.parametrize("seed", range(8))
def test_a_source_names_the_place_that_the_cursor_has_in_the_original(seed: int) -> None:
    part = typed(HOLES[2], seed)
    for step, text in zip(part.steps, documents(part)[1:], strict=True):
        if step.source is not None:
            line = text[text.rfind("\n", 0, step.cursor) + 1 : step.cursor]
            assert SOURCE[: step.source].endswith(line)


def test_brackets_are_closed_by_the_editor_and_typed_over() -> None:
    part = typed([hole("return dict", "other)")], seed=1)
    adds = [step.added(SOURCE) for step in part.steps]
    assert adds.count("()") == 1
    assert [step.added(SOURCE) for step in part.steps if step.cut and step.add] == [")"]


def test_a_bracket_that_closes_on_another_line_is_left_alone() -> None:
    part = typed([hole("if (", "other):")], seed=2)
    assert "()" not in [step.added(SOURCE) for step in part.steps]


def test_the_same_seed_types_the_same() -> None:
    assert typed(HOLES[1], 3) == typed(HOLES[1], 3) != typed(HOLES[1], 4)


def test_holes_are_code_and_lie_apart() -> None:
    found = record._holes(SOURCE)
    assert found
    for before, after in pairwise(found):
        assert before[1] < after[0] - 1
    assert all(SOURCE[start - 1] == " " and SOURCE[end] == "\n" for start, end in found)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "package-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("module.py", SOURCE.replace("\n", "\r\n"))
    return tmp_path


def written(cache: Path, **changes: str) -> Path:
    file = "package-1.0-py3-none-any.whl"
    pin = {"package": "package", "version": "1.0", "file": file}
    pin |= {"sha256": sha256_file(cache / file)} | changes
    recording = Recording({"wheels": [pin]}, (typed(HOLES[1], 0),))
    recording.write(cache / "session.jsonl")
    return cache / "session.jsonl"


def test_a_session_is_read_as_it_was_written(cache: Path) -> None:
    assert load(cache, written(cache)).parts == (typed(HOLES[1], 0),)


def test_another_wheel_is_refused(cache: Path) -> None:
    with pytest.raises(BadRecording, match="could not be fetched as it was"):
        load(cache, written(cache, sha256=hashlib.sha256(b"other").hexdigest()))


def test_another_format_is_refused(cache: Path) -> None:
    file = written(cache)
    file.write_text(file.read_text().replace('"format":1', '"format":0'))
    with pytest.raises(BadRecording, match="record the session again"):
        load(cache, file)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return [json.loads(line) for line in RECORDING.read_text(encoding="utf-8").splitlines()]


def steps_of(rows: list[dict]) -> list[Step]:
    return [Step.read(step) for row in rows[1:] for step in row["steps"]]


def test_the_session_is_long_enough(rows: list[dict]) -> None:
    steps = steps_of(rows)
    assert len(rows) - 1 >= 5
    assert sum(not step.is_move for step in steps) >= 500
    assert sum(step.is_move for step in steps) >= 5
    assert sum(bool(step.cut and not step.add) for step in steps) >= 10
    assert sum(step.delay >= 0.5 and not step.is_move for step in steps) >= 20


def test_intervals_are_those_of_a_quick_typist(rows: list[dict]) -> None:
    between = sorted(step.delay for step in steps_of(rows) if step.delay < 0.5)
    assert 0.12 <= between[len(between) // 2] <= 0.2
    assert max(step.delay for step in steps_of(rows)) <= 3.0


def test_no_source_text_is_stored(rows: list[dict]) -> None:
    literal = {step.add for step in steps_of(rows) if isinstance(step.add, str)}
    assert all(len(text) <= 1 or text in {"()", "[]", "{}"} for text in literal)


def test_every_file_comes_from_a_pinned_wheel(rows: list[dict]) -> None:
    pins = {pin["package"]: pin for pin in rows[0]["wheels"]}
    assert {row["package"] for row in rows[1:]} == set(pins)
    assert all(len(pin["sha256"]) == 64 and pin["version"] in pin["file"] for pin in pins.values())
