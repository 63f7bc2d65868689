"""When two suggestions are nearly the same, and stand in the same context: pure functions.

Compared are tokens, not characters: blanks, the kind of quotes, and commas that a formatter adds or
takes away say nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

Tokens = tuple[str, ...]

MAX_TOKENS, MAX_CHARACTERS = 128, 2000
"""How much of a suggestion is compared."""
CONTEXT_CHARACTERS, OPENER_LINES = 4000, 30
"""How much of the text before a suggestion is looked at."""
CONTEXT_LINES = 2
TELLING = 3
"""Tokens from which on a line says where one is; ``else:`` and ``)`` do not."""
CHANGED_SHARE = 12
"""One stretch of at most one token in so many may differ; shorter texts have to be equal."""
LEAST_BEGINNING = 4
"""Tokens from which on a beginning is like the whole, if it is three quarters of it."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_CLOSING = frozenset(")]}")
_QUOTES = {'"': "'"}


@dataclass(frozen=True, slots=True)
class Spot:
    """A suggestion in its context.

    ``tokens`` are those of the line that it would make and of all that it puts below, ``head``
    those of that line alone. ``context`` holds the nearest telling lines above, nearest first;
    ``opener`` is the nearest line that is indented less, the head of the block or call around it,
    None where that is too far away.
    """

    tokens: Tokens
    head: Tokens
    context: tuple[Tokens, ...]
    opener: Tokens | None


def spot(before: str, text: str) -> Spot:
    """Return the spot of ``text`` suggested after ``before``, of which the end is enough.

    What begins with a line end belongs to the next line, where it would be offered as well.
    """
    *above, line = re.split(r"\r\n|\r|\n", before[-CONTEXT_CHARACTERS:])
    if line.strip() and text.lstrip(" \t").startswith(("\n", "\r")):
        above.append(line)
        line, text = "", text.lstrip("\r\n")
    made = line + text[:MAX_CHARACTERS]
    whole = made.strip()
    head = tokens(whole.splitlines()[0]) if whole else ()
    return Spot(tokens(whole), head, _context(above), _opener(above, _indent(made)))


def tokens(text: str) -> Tokens:
    """Return the words and signs of ``text``, at most `MAX_TOKENS`, in one spelling."""
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        said = match.group()
        if found and found[-1] == "," and said in _CLOSING:
            found.pop()
        found.append(_QUOTES.get(said) or sys.intern(said))
        if len(found) == MAX_TOKENS:
            break
    while found and found[-1] in {",", ";"}:
        found.pop()
    return tuple(found)


def alike(declined: Spot, other: Spot) -> bool:
    """Whether ``other`` shows what ``declined`` showed, in the same context.

    That is below the same opener. Equal texts need a line above in common, nearly equal ones the
    nearest. A single line is also shown by a suggestion that puts more lines below it.
    """
    if None not in (declined.opener, other.opener) and declined.opener != other.opener:
        return False
    shown = [other.tokens]
    if declined.head == declined.tokens != other.tokens:
        shown.append(other.head)
    if declined.tokens in shown:
        return not set(declined.context).isdisjoint(other.context)
    return declined.context[0] == other.context[0] and any(
        near(declined.tokens, each) for each in shown
    )


def near(one: Tokens, other: Tokens) -> bool:
    """Whether two texts are equal but for one short stretch, or for the end of the longer one."""
    short, long = sorted((one, other), key=lambda said: (len(said), _length(said)))
    ahead = _common(short, long)
    if len(short) == len(long) == ahead:
        return True
    if ahead == len(short) or (ahead + 1 == len(short) and long[ahead].startswith(short[ahead])):
        return len(short) >= LEAST_BEGINNING and 4 * _length(short) >= 3 * _length(long)
    behind = _common(short[ahead:][::-1], long[ahead:][::-1])
    return len(long) - ahead - behind <= len(short) // CHANGED_SHARE


def _length(said: Tokens) -> int:
    return sum(map(len, said))


def _common(one: Tokens, other: Tokens) -> int:
    count = 0
    for mine, its in zip(one, other, strict=False):
        if mine != its:
            break
        count += 1
    return count


def _context(above: Sequence[str]) -> tuple[Tokens, ...]:
    """Return the nearest telling lines; where there is none, the nearest, or one empty line."""
    found: list[Tokens] = []
    nearest: Tokens = ()
    for line in reversed(above):
        said = tokens(line)
        nearest = nearest or said
        if len(said) >= TELLING:
            found.append(said)
        if len(found) == CONTEXT_LINES:
            break
    return tuple(found) or (nearest,)


def _opener(above: Sequence[str], indent: int) -> Tokens | None:
    if indent == 0:
        return ()
    told = [line for line in above if line.strip()]
    for line in reversed(told[-OPENER_LINES:]):
        if _indent(line) < indent:
            return tokens(line)
    return None


def _indent(line: str) -> int:
    expanded = line.expandtabs()
    return len(expanded) - len(expanded.lstrip(" "))
