"""What the developer does here as they did it a moment ago: an edit again, in another place.

Somebody who renames, adds an argument or moves an import does it many times over. An edit is
looked at as what was taken away, what was written instead and what stands around; where the same is
begun again, the rest of it follows. How likely that is, the weights in ``data/repeats.json`` say,
which `benchmarks/repeats.py` fits on the histories of projects that nothing is measured on.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from falcon_lsp.core.text import common_length
from falcon_lsp.memory.edits import AROUND, Edit

LEAST_EVIDENCE: Final = 12
"""Characters around and typed that must agree where nothing was taken away."""
LEAST_PART: Final = 3
"""Characters of an earlier edit's removed text, from which on it is looked for in a longer one."""

NAMES: Final = (
    "one", "same", "part", "left", "right", "typed", "removed", "age", "length", "lines",
    "inserted left", "inserted right", "inserted typed",
)  # fmt: skip
"""One name per number of `Sighting.numbers`, in order; lengths are logarithms."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """``text`` may follow at the cursor, with an estimated chance (0 to 1) of being wanted."""

    text: str
    chance: float


class Moment(NamedTuple):
    """An edit that is being made: ``removed`` gave way to ``typed`` between ``left`` and ``right``.

    ``rest`` stands behind the cursor and belongs to the edit (a line end, mostly).
    """

    removed: str
    typed: str
    rest: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """An earlier edit that the moment resembles, as numbers, and the ``text`` that would follow."""

    text: str
    numbers: tuple[float, ...]


def repeat(edits: Iterable[Edit], path: str, text: str, offset: int) -> Repeat | None:
    """Return what follows at ``offset`` if one of ``edits`` (the latest first) is made again.

    The likeliest text; None where nothing resembles what is being done.
    """
    moment, earlier = moment_of(list(edits), path, text, offset)
    best: Repeat | None = None
    for sighting in sightings(earlier, moment):
        chance = chance_of(sighting)
        if best is None or chance > best.chance:
            best = Repeat(sighting.text, chance)
    return best


def moment_of(
    edits: Sequence[Edit], path: str, text: str, offset: int
) -> tuple[Moment, Sequence[Edit]]:
    """Return what is being done at ``offset``, and the edits before it.

    The latest edit is being made where the cursor stands in what it wrote; else nothing is yet.
    """
    if edits and _is_here(edits[0], path, text, offset):
        made, *earlier = edits
        typed = offset - made.offset
        moment = Moment(made.removed, made.added[:typed], made.added[typed:], made.left, made.right)
        return moment, earlier
    left, right = text[max(0, offset - AROUND) : offset], text[offset : offset + AROUND]
    return Moment("", "", "", left, right), edits


def sightings(edits: Iterable[Edit], moment: Moment) -> Iterator[Sighting]:
    """Yield what each of ``edits`` (the latest first) says would follow; a text only once."""
    known: set[str] = set()
    for age, edit in enumerate(edits):
        found = _follow(edit, moment)
        if found is None:
            continue
        kind, evidence, written = found
        begun, rest = moment.typed, moment.rest
        if not (written.startswith(begun) and written.endswith(rest)):
            continue
        text = written[len(begun) : len(written) - len(rest)]
        if not text.strip() or len(written) < len(begun) + len(rest) or text in known:
            continue
        left = common_length(edit.left[::-1], moment.left[::-1])
        right = common_length(edit.right, moment.right)
        if kind == "inserted" and left + right + len(begun) < LEAST_EVIDENCE:
            continue
        known.add(text)
        yield Sighting(text, _numbers(kind, left, right, len(begun), evidence, age, text))


def chance_of(sighting: Sighting) -> float:
    """Return the estimated chance, 0 to 1, that the developer wants what would follow."""
    score = sum(w * x for w, x in zip(_weights(), sighting.numbers, strict=True))
    return 1 / (1 + math.exp(-score))


def _is_here(edit: Edit, path: str, text: str, offset: int) -> bool:
    """Whether the cursor stands in what ``edit`` wrote, or at its end."""
    end = edit.offset + len(edit.added)
    inside = edit.path == path and edit.offset <= offset <= end
    return inside and text[edit.offset : end] == edit.added


def _follow(edit: Edit, moment: Moment) -> tuple[str, int, str] | None:
    """Return how an edit is made again: the kind, what was taken away alike, all that is written.

    The same was taken away (``same``), or more than it (``part``: what stood around it stays), or
    nothing was taken away in both (``inserted``).
    """
    if edit.removed == moment.removed:
        kind = "same" if edit.removed.strip() else "inserted"
        return kind, len(edit.removed), edit.added
    if len(edit.removed.strip()) < LEAST_PART or edit.removed not in moment.removed:
        return None
    written = _whole_words(edit.removed).sub(lambda _: edit.added, moment.removed)
    return ("part", len(edit.removed), written) if written != moment.removed else None


@functools.lru_cache(maxsize=512)
def _whole_words(text: str) -> re.Pattern[str]:
    """Return what finds ``text`` where no word goes on at its ends."""
    begins = r"(?<!\w)" if re.match(r"\w", text) else ""
    ends = r"(?!\w)" if re.search(r"\w\Z", text) else ""
    return re.compile(begins + re.escape(text) + ends)


def _numbers(
    kind: str, left: int, right: int, typed: int, removed: int, age: int, text: str
) -> tuple[float, ...]:
    """Return the numbers of `NAMES`."""
    inserted = float(kind == "inserted")
    around = (math.log1p(left), math.log1p(right), math.log1p(typed))
    return (
        1.0, float(kind == "same"), float(kind == "part"),
        *around, math.log1p(removed), math.log1p(age), math.log1p(len(text)), float("\n" in text),
        *(inserted * each for each in around),
    )  # fmt: skip


def forget_weights() -> None:
    """Read the weights again the next time, because the file was written."""
    _weights.cache_clear()


@functools.cache
def _weights() -> tuple[float, ...]:
    file = importlib.resources.files("falcon_lsp").joinpath("data/repeats.json")
    known = json.loads(file.read_text(encoding="utf-8"))["weights"]
    return tuple(float(known[name]) for name in NAMES)
