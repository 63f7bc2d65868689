"""Whether what stands in a place agrees with what was suggested there: pure text comparison.

Editors add to what is typed: closing brackets and quotes, indentation, carriage returns. Those
additions are no disagreement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_KEYSTROKE = re.compile(
    r"""
    .                                     # one character
    | [ \t]+                              # the tab key
    | \(\) | \[\] | \{\} | "" | '' | ``   # a pair of which the editor added the second half
    | (\n[ \t]*){1,2}                      # the return key, indented; twice between brackets
    """,
    re.VERBOSE,
)
_DELIMITER = re.compile(r"""\"{3}|'{3}|["'`()\[\]{}]""")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a typed text agrees with a suggestion.

    ``kept`` counts the suggestion's characters that stand, ``length`` the typed ones that they
    take (the two differ by indentation and carriage returns). ``agrees`` is also true of a
    part; ``complete`` means that all of the suggestion stands, except for blanks at its end.
    """

    kept: int
    length: int
    complete: bool
    agrees: bool


def agreement(suggested: str, typed: str) -> Agreement:
    """Compare ``typed`` (any line ends) with the start of ``suggested`` (line ends are one LF)."""
    kept = length = 0
    while kept < len(suggested) and length < len(typed):
        wanted, found = suggested[kept], typed[length]
        if wanted == found or (wanted == "\n" and found == "\r"):
            kept += 1
            length += 2 if typed.startswith("\r\n", length) else 1
        elif _indents(typed, length):
            length += 1
        elif _indents(suggested, kept):
            kept += 1
        else:
            break
    complete = kept > 0 and not suggested[kept:].strip()
    return Agreement(kept, length, complete, complete or _added(typed[:length], typed[length:]))


def is_keystroke(inserted: str) -> bool:
    """Whether one press of a key can insert this text, with what the editor adds to it."""
    return _KEYSTROKE.fullmatch(inserted.replace("\r\n", "\n")) is not None


def ends_word(suggested: str, start: int, end: int) -> bool:
    """Whether ``suggested[start:end]`` holds a word and ends where a word ends."""
    inside = _is_word(suggested[end - 1 : end]) and _is_word(suggested[end : end + 1])
    return not inside and any(map(_is_word, suggested[start:end]))


def _is_word(character: str) -> bool:
    return character == "_" or character.isalnum()


def _indents(text: str, index: int) -> bool:
    """Whether the blank at ``index`` belongs to the indentation of a line after the first."""
    if text[index] not in " \t":
        return False
    return text[:index].rstrip(" \t").endswith(("\n", "\r"))


def _added(typed: str, rest: str) -> bool:
    """Whether an editor may have added ``rest`` to ``typed``: nothing, or what closes it."""
    closing = "".join(rest.split())
    return not rest or (closing != "" and _pending(typed).startswith(closing))


def _pending(text: str) -> str:
    """Return the closing brackets and quotes that ``text`` still lacks, innermost first."""
    pending: list[str] = []
    for found in _DELIMITER.finditer(text):
        mark = found.group()
        if pending and mark == pending[-1]:
            pending.pop()
        elif mark in _CLOSING:
            pending.append(_CLOSING[mark])
        elif mark[0] in "\"'`":
            pending.append(mark)
    return "".join(reversed(pending))
