"""Random edits on the document store, against a model that works on units instead of characters."""

import os
import random
from collections.abc import Iterator

import pytest

from falcon_lsp.core.text import Position, PositionEncoding, TextSnapshot
from falcon_lsp.lsp.documents import ContentChange, DocumentStore, Range

EDITS = int(os.environ.get("FALCON_EDITS", "5000"))
PIECES = [
    "a",
    "x = 1",
    "é",
    "ß",
    "中",
    "😀",
    "👩‍👩‍👧",
    "\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "\u2028",
    "\x0b",
    "",
]
CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def units_of(text: str, encoding: str) -> list[bytes]:
    """The text as a list of code units, as an editor holds it."""
    codec, width = CODECS[encoding]
    data = text.encode(codec)
    return [data[i : i + width] for i in range(0, len(data), width)]


def text_of(units: list[bytes], encoding: str) -> str:
    return b"".join(units).decode(CODECS[encoding][0])


def starts_character(units: list[bytes], at: int, encoding: str) -> bool:
    if at >= len(units) or encoding == "utf-32":
        return True
    value = int.from_bytes(units[at], "little")
    return value & 0xC0 != 0x80 if encoding == "utf-8" else not 0xDC00 <= value < 0xE000


def place_in(units: list[bytes], line: int, character: int, encoding: str) -> int:
    """Walk to a position, unit by unit, as slowly and plainly as can be."""
    ends = {text_of([unit], encoding): unit for unit in units_of("\r\n", encoding)}
    carriage, newline = ends["\r"], ends["\n"]
    at = 0
    for _ in range(line):
        while at < len(units) and units[at] not in (carriage, newline):
            at += 1
        if at == len(units):
            return at
        at += 2 if units[at] == carriage and units[at + 1 : at + 2] == [newline] else 1
    stop = at + character
    while at < min(stop, len(units)) and units[at] not in (carriage, newline):
        at += 1
    while not starts_character(units, at, encoding):
        at -= 1
    return at


def random_changes(rng: random.Random, units: list[bytes]) -> Iterator[ContentChange]:
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        text = "".join(rng.choices(PIECES, k=rng.randrange(4)))
        if rng.random() < 0.005 or len(units) > 1500:
            yield ContentChange(text * 3)
        else:
            first, second = (Position(rng.randrange(60), rng.randrange(30)) for _ in range(2))
            yield ContentChange(text, Range(first, second))


@pytest.mark.parametrize("encoding", list(CODECS))
def test_any_sequence_of_edits_leaves_the_text_of_a_simple_model(encoding: str) -> None:
    rng = random.Random(f"edits in {encoding}")
    store = DocumentStore()
    store.encoding = PositionEncoding(encoding)
    store.open("file:///a", "python", 0, "")
    units: list[bytes] = []
    for version in range(1, (EDITS if encoding == "utf-16" else EDITS // 5) + 1):
        changes = list(random_changes(rng, units))
        for change in changes:
            places = [place_in(units, p.line, p.character, encoding) for p in change.range or ()]
            start, end = sorted(places) if places else (0, len(units))
            units[start:end] = units_of(change.text, encoding)
        done = store.change("file:///a", version, changes)
        assert done is not None
        assert done.after.text == text_of(units, encoding)
        assert done.before.apply(done.edits, version) == done.after
        assert done.after.line_starts == TextSnapshot("", "", 0, done.after.text).line_starts
