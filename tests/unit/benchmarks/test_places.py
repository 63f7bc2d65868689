"""Facts about the places in unseen projects: where cursors stand, who is drawn, what is fetched."""

from __future__ import annotations

import ast
import zipfile
from importlib import resources
from pathlib import Path

import pytest

from evaluation import places
from evaluation.places import File, draw_files, draw_place, draw_places

BODY = '''"""A module.

With a long explanation that nobody should have to complete.
"""

import os


def work_{n}(first, second):
    # A comment that is long enough to be drawn.
    total = first + second * {n}
    names = os.listdir("folder")
    text = """
    lines of a string, which are prose as well
    """
    return total, names, text
'''
SOURCE = "\n".join(BODY.format(n=number) for number in range(8))
PROSE = ("A module", "With a long", '"""', "# A comment", "lines of a string")


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    sizes = {"big": 40, "small": 6, "single-file": 4}
    pins = tmp_path / "pins.txt"
    pins.write_text("# none\n" + "".join(f"{name}==1.0\n" for name in sizes), encoding="utf-8")
    monkeypatch.setattr(places, "PACKAGES", pins)
    for name, count in sizes.items():
        module = name.replace("-", "_")
        with zipfile.ZipFile(tmp_path / f"{module}-1.0-py3-none-any.whl", "w") as wheel:
            for number in range(count):
                wheel.writestr(f"{module}/m{number}.py", SOURCE + f"\nNUMBER = {number}\n")
            wheel.writestr(f"{module}/tests/test_it.py", SOURCE)
            wheel.writestr(f"{module}/_vendor/other.py", SOURCE)
            wheel.writestr(f"{module}/short.py", "x = 1\n")
            wheel.writestr(f"{module}/broken.py", SOURCE + "\ndef (\n")
            wheel.writestr(f"{module}/latin.py", b"# \xe9\n" + SOURCE.encode())
    places.projects.cache_clear()
    return tmp_path


@pytest.mark.parametrize("number", range(60))
def test_the_cursor_stands_in_a_line_of_code_with_something_left_to_say(number: int) -> None:
    file = File("p", f"p/m{number}.py", SOURCE)
    place = draw_place(file)
    assert place is not None
    start = SOURCE.rfind("\n", 0, place.offset) + 1
    line = SOURCE[start:].split("\n", 1)[0]
    assert SOURCE[place.offset :].startswith(place.truth + "\n")
    assert len(place.truth) >= 2
    assert "\n" not in place.truth
    assert not line.lstrip().startswith(PROSE)
    assert place.offset - start >= len(line) - len(line.lstrip())


def test_the_request_lacks_the_rest_of_the_line_and_nothing_else() -> None:
    place = draw_place(File("p", "p/m.py", SOURCE))
    assert place is not None
    request = place.request
    assert request.prefix + place.truth + request.suffix == SOURCE
    assert request.suffix.startswith("\n")


def test_a_file_without_code_has_no_place() -> None:
    assert draw_place(File("p", "p/m.py", '"""\n' + "prose\n" * 300 + '"""\n')) is None


def test_only_whole_modules_of_the_project_itself_count(wheels: Path) -> None:
    paths = [file.path for files in places.projects(wheels).values() for file in files]
    assert len(paths) == 50
    assert all("/m" in path for path in paths)
    assert all(ast.parse(f.text) for files in places.projects(wheels).values() for f in files)


def test_each_package_has_its_turn_and_each_file_one_place(wheels: Path) -> None:
    drawn = draw_places(wheels, 12)
    assert len({place.file.path for place in drawn}) == 12
    assert [place.file.package for place in drawn[:3]] == ["big", "small", "single-file"]


def test_the_draws_for_choices_and_for_reports_are_disjoint_and_exhaustive(wheels: Path) -> None:
    test = {file.path for file in draw_files(wheels, 10**9)}
    development = {file.path for file in draw_files(wheels, 10**9, development=True)}
    assert test.isdisjoint(development)
    assert len(test) + len(development) == 50
    assert 3 <= len(development) <= 24


def test_the_same_draw_comes_again_and_its_fingerprint_with_it(wheels: Path) -> None:
    first, second = draw_places(wheels, 10), draw_places(wheels, 10)
    assert first == second
    assert places.fingerprint(first) == places.fingerprint(second)
    assert places.fingerprint(first) != places.fingerprint(first[:-1])


def test_what_is_there_is_not_fetched_again(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_a, **_k: pytest.fail("fetched"))
    assert len(places.fetch(wheels)) == 3


def test_every_pinned_package_is_one_that_no_corpus_may_hold() -> None:
    listed = resources.files("falcon_lsp.data").joinpath("never-train.txt").read_text("utf-8")
    kept_out = {places._normalised(name) for name in listed.splitlines()}
    aliases = {"jinja2": "jinja"}
    pinned = [places._normalised(name.partition("==")[0]) for name in places.pinned()]
    assert {aliases.get(name, name) for name in pinned} <= kept_out
    assert len(set(pinned)) == len(pinned) >= 40
