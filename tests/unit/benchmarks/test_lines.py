"""Facts about judging the rest of a line: what is right, what parses, what would be shown."""

from __future__ import annotations

from evaluation import lines
from evaluation.places import File, Place
from falcon_lsp.model.engine import Generation

TEXT = """import os


def first(path):
    names = os.listdir(path)
    return sorted(names)


def second(path):
    names = os.listdir(path)
    return names
"""
OTHER = File("p", "p/other.py", "value = compute_everything(first, second)\n")


def _place(before: str, text: str = TEXT) -> Place:
    """Return the place after the last ``before``."""
    offset = text.rindex(before) + len(before)
    return Place(File("p", "p/m.py", text), offset, text[offset:].split("\n", 1)[0])


def _said(text: str, doubt: float = 0.1) -> Generation:
    return Generation(text, (1, 2, 3), (-doubt,) * 3, "line")


def _measured(place: Place, said: Generation, *project: File) -> dict[str, tuple[float, float]]:
    return dict(lines.measure(lines.answer(place, said, project, _likely)))


def _likely(_text: str) -> tuple[float, ...]:
    return (-1.0, -1.0)


def test_the_truth_is_exact_alike_parses_and_is_shown() -> None:
    measured = _measured(_place("names = os.list"), _said("dir(path)"))
    for name, (over, under) in measured.items():
        assert over == under == 1, name


def test_what_is_wrong_but_sound_is_shown_and_counts_as_wrong() -> None:
    measured = _measured(_place("    return na"), _said("me_of(path)"))
    assert measured["exact, model alone"] == (0, 1)
    assert measured["parses of what is shown"] == (1, 1)
    assert measured["exact of what is shown"] == (0, 1)
    assert 0 < measured["edit similarity, model alone"][0] < 1


def test_what_does_not_parse_is_counted_raw_and_not_shown() -> None:
    measured = _measured(_place("    return na"), _said("mes) if ]"))
    assert measured["parses, model alone"] == (0, 1)
    assert measured["whole file parses, model alone"] == (0, 1)
    assert measured["passes the filters, model alone"] == (0, 1)
    assert measured["shown"] == (0, 1)
    assert measured["exact of what is shown"] == (0, 0)


def test_a_line_that_is_sound_alone_may_break_the_file_below() -> None:
    measured = _measured(_place("    names = os.list", TEXT.replace("    return names\n", "")),
                         _said("dir(path, ["))  # fmt: skip
    assert measured["parses, model alone"] == (1, 1)
    assert measured["whole file parses, model alone"] == (0, 1)


def test_a_doubtful_answer_is_not_shown() -> None:
    measured = _measured(_place("    return na"), _said("me_of(path)", doubt=4.0))
    assert measured["passes the filters, model alone"] == (1, 1)
    assert measured["shown"] == (0, 1)


def test_a_copy_from_the_project_takes_the_place_of_a_doubtful_answer() -> None:
    text = "import os\n\n\nvalue = compute_everything(first, second)\n"
    place = _place("value = compute_every", text)
    measured = _measured(place, _said("one()", doubt=3.0), OTHER)
    assert measured["exact, copy alone"] == (1, 1)
    assert measured["exact, model alone"] == (0, 1)
    assert measured["exact, model and copy"] == (1, 1)
    sure = _measured(place, _said("one()", doubt=0.0), OTHER)
    assert sure["exact, model and copy"] == (0, 1)


def test_the_file_as_it_is_on_disk_is_no_source_of_copies() -> None:
    text = "import os\n\n\nvalue = compute_everything(first, second)\n"
    place = _place("value = compute_every", text)
    measured = _measured(place, _said("one()"), place.file)
    assert measured["a copy is found"] == (0, 1)


def test_an_empty_answer_is_wrong_and_never_shown() -> None:
    measured = _measured(_place("    return na"), _said(""))
    assert measured["exact, model alone"] == (0, 1)
    assert measured["passes the filters, model alone"] == (0, 1)
    assert measured["shown"] == (0, 1)


def test_the_prompt_is_the_products_without_anything_from_elsewhere() -> None:
    prompt = lines.prompt_at(_place("names = os.list").request)
    assert prompt.prefix.endswith("names = os.list")
    assert prompt.suffix == "\n    return names\n"
    assert prompt.snippets == ()
