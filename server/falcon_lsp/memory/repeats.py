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
import operator
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from falcon_lsp.core.text import common_length, rest_of_line
from falcon_lsp.memory.edits import AROUND, Edit
from falcon_lsp.memory.redact import redact_between

LEAST_EVIDENCE: Final = 12
"""Characters around and typed that must agree where nothing was taken away."""
LEAST_SEEN: Final = 2
"""Of these, characters that are not blank: indentation alone is alike everywhere."""
MOST_TEXTS: Final = 64
"""Texts of which the likeliest is looked for; what is older than so many others hardly ever is."""
LEAST_PART: Final = 3
"""Characters of an earlier edit's removed text, from which on it is looked for in a longer one."""

NAMES: Final = (
    "one", "same", "part", "left", "right", "typed", "removed", "beyond", "age", "length", "lines",
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
    """An earlier ``edit`` that the moment resembles, and the ``text`` that would follow."""

    text: str
    numbers: tuple[float, ...]
    edit: Edit


def repeat(edits: Iterable[Edit], path: str, text: str, offset: int) -> Repeat | None:
    """Return what follows at ``offset`` if one of ``edits`` (the latest first) is made again.

    The likeliest text that is no secret and pushes nothing down; None where nothing resembles what
    is being done.
    """
    moment, earlier = moment_of(list(edits), path, text, offset)
    found = [(chance_of(each.numbers), each) for each in sightings(earlier, moment)]
    found.sort(key=lambda pair: pair[0], reverse=True)
    whole_lines = not rest_of_line(text, offset).strip()
    for chance, sighting in found:
        if (whole_lines or "\n" not in sighting.text) and not _is_secret(sighting.edit):
            return Repeat(sighting.text, chance)
    return None


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
    begun, rest = moment.typed, moment.rest
    before = moment.left[::-1]
    for age, edit in enumerate(edits):
        found = _follow(edit, moment)
        if found is None:
            continue
        kind, written = found
        if not (written.startswith(begun) and written.endswith(rest)):
            continue
        text = written[len(begun) : len(written) - len(rest)]
        if not text.strip() or len(written) < len(begun) + len(rest) or text in known:
            continue
        left = common_length(edit.left[::-1], before)
        right = common_length(edit.right, moment.right)
        if kind == "inserted" and not _is_evidence(moment, left, right):
            continue
        known.add(text)
        taken = (len(edit.removed), len(moment.removed) - len(edit.removed))
        yield Sighting(text, _numbers(kind, (left, right, len(begun)), taken, age, text), edit)
        if len(known) == MOST_TEXTS:
            return


def chance_of(numbers: Sequence[float]) -> float:
    """Return the estimated chance, 0 to 1, that the developer wants what would follow."""
    score = sum(map(operator.mul, _weights(), numbers))
    return 1 / (1 + math.exp(-score))


def _is_here(edit: Edit, path: str, text: str, offset: int) -> bool:
    """Whether the cursor stands in what ``edit`` wrote, or at its end."""
    inside = edit.offset <= offset <= edit.offset + len(edit.added)
    return inside and edit.path == path and edit.stands_in(text)


def _is_secret(edit: Edit) -> bool:
    """Whether what was written would be taken out of anything that is stored."""
    return redact_between(edit.left, edit.added, edit.right) != edit.added


def _follow(edit: Edit, moment: Moment) -> tuple[str, str] | None:
    """Return how an edit is made again: the kind, what was taken away alike, all that is written.

    The same was taken away (``same``), or more than it (``part``: what stood around it stays), or
    nothing was taken away in both (``inserted``).
    """
    if edit.removed == moment.removed:
        kind = "same" if edit.removed.strip() else "inserted"
        return kind, edit.added
    if len(edit.removed.strip()) < LEAST_PART or edit.removed not in moment.removed:
        return None
    written = edit.added.join(_around(edit.removed, moment.removed))
    return ("part", written) if written != moment.removed else None


@functools.lru_cache(maxsize=64)
def _around(part: str, text: str) -> tuple[str, ...]:
    """Return what of ``text`` stands around ``part``, where no word goes on at its ends."""
    begins = r"(?<!\w)" if re.match(r"\w", part) else ""
    ends = r"(?!\w)" if re.search(r"\w\Z", part) else ""
    return tuple(re.split(begins + re.escape(part) + ends, text))


def _is_evidence(moment: Moment, left: int, right: int) -> bool:
    """Whether so many characters that agree around the moment say that it is the same."""
    alike = moment.left[len(moment.left) - left :] + moment.typed + moment.right[:right]
    return len(alike) >= LEAST_EVIDENCE and len("".join(alike.split())) >= LEAST_SEEN


def _numbers(
    kind: str, alike: tuple[int, int, int], taken: tuple[int, int], age: int, text: str
) -> tuple[float, ...]:
    """Return the numbers of `NAMES`.

    ``alike`` counts characters on the left, on the right and typed; ``taken`` those that went in
    both edits, and beyond them now.
    """
    inserted = float(kind == "inserted")
    around = tuple(map(math.log1p, alike))
    return (
        1.0, float(kind == "same"), float(kind == "part"),
        *around, *map(math.log1p, taken), math.log1p(age), math.log1p(len(text)),
        float("\n" in text), *(inserted * each for each in around),
    )  # fmt: skip


def forget_weights() -> None:
    """Read the weights again the next time, because the file was written."""
    _weights.cache_clear()


@functools.cache
def _weights() -> tuple[float, ...]:
    file = importlib.resources.files("falcon_lsp").joinpath("data/repeats.json")
    known = json.loads(file.read_text(encoding="utf-8"))["weights"]
    return tuple(float(known[name]) for name in NAMES)
