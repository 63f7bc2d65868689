"""A text in its place: what of the file it is part of can be read off the source alone."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Final

LEAST_CHARS: Final = 4
"""From so many characters on, a text is paid in full."""

_FILLERS: Final = ("", "pass", "None")
_LINE_COMMENT: Final = {"python": "#"}
"""How a comment to the end of the line begins; ``//`` in all other languages."""
_STRING: Final = r"'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|`[^`]*`"
_EMPTY: Final = re.compile(r"\b(?:pass|NotImplemented|NotImplementedError|raise|return)\b|\.\.\.")
_DOCSTRING: Final = re.compile(r"(?ms)^[ \t]*[rRuU]?(\"\"\"|\'\'\').*?\1[ \t]*$")
_NOTHING_RETURNED: Final = re.compile(r"\breturn[ \t]+(?:None|null|undefined)\b")


@dataclass(frozen=True, slots=True)
class Sample:
    """``text`` between ``prefix`` and ``suffix`` of one file."""

    text: str
    prefix: str = ""
    suffix: str = ""
    language: str = "python"

    @property
    def whole(self) -> str:
        """The file with the text in it."""
        return self.prefix + self.text + self.suffix

    @property
    def first_line(self) -> int:
        """The file's line on which the text begins, counted from 0."""
        return self.prefix.count("\n")

    @property
    def height(self) -> int:
        """On how many lines the text stands."""
        return self.text.count("\n") + 1

    def own_lines(self, lines: set[int]) -> frozenset[int]:
        """Return those of the file's ``lines`` that are the text's, counted from its first."""
        relative = {line - self.first_line for line in lines}
        return frozenset(line for line in relative if 0 <= line < self.height)

    def baseline(self) -> str | None:
        """Return the file as it parses without the text (Python only).

        Where something has to stand in its place, ``pass`` or ``None`` does. None: the file parses
        neither way, because it is cut or unfinished elsewhere, and nothing can be said of the text.
        """
        if self.language != "python":
            return None
        places = (self.prefix + filler + self.suffix for filler in _FILLERS)
        return next((source for source in places if parses(source)), None)


def breaks_syntax(sample: Sample) -> bool:
    """Whether the file parses without the text and not with it (Python only).

    Silence and comments break nothing, and a block that the text opens may be empty yet.
    """
    if _parses_in_place(sample) or not without_comments(sample.text, sample.language).strip():
        return False
    return sample.baseline() is not None


def syntax_error_line(sample: Sample) -> int:
    """Return the file's line (from 0) that its syntax error names; -1 where there is none."""
    try:
        _parse(sample.whole)
    except SyntaxError as error:
        return (error.lineno or 0) - 1
    except (ValueError, RecursionError, MemoryError):
        return -1
    return -1


def substance(sample: Sample) -> float:
    """Return the share of praise that the text can be paid, in [0, 1].

    0 for what says nothing: white space, brackets, comments, docstrings, ``pass``, ``...``, an
    empty return; else its characters, runs of white space as one, over `LEAST_CHARS`.
    """
    line = sample.prefix[sample.prefix.rfind("\n") + 1 :]
    before, after = (_said(code, sample.language) for code in (line, line + sample.text))
    added = after.removeprefix(before)
    if not re.search(r"\w", added):
        return 0.0
    return min(1.0, len(" ".join(sample.text.split())) / LEAST_CHARS)


def without_comments(code: str, language: str) -> str:
    """Return ``code`` without its comments; strings stay as they are."""
    mark = re.escape(_LINE_COMMENT.get(language, "//"))
    block = "" if language == "python" else r"|/\*.*?(?:\*/|\Z)"
    pattern = re.compile(rf"({_STRING})|{mark}[^\n]*{block}", re.DOTALL)
    return pattern.sub(lambda found: found[1] or "", code)


def parses(source: str) -> bool:
    """Whether ``source`` is Python."""
    try:
        _parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _parse(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _parses_in_place(sample: Sample) -> bool:
    if parses(sample.whole):
        return True
    opened = sample.text.rstrip().endswith(":")
    return opened and parses(f"{sample.prefix}{sample.text.rstrip()} pass{sample.suffix}")


def _said(code: str, language: str) -> str:
    """Return what of ``code`` says something to a machine, without white space."""
    bare = _NOTHING_RETURNED.sub("", without_comments(code, language))
    if language == "python":
        bare = _DOCSTRING.sub("", bare)
    return "".join(_EMPTY.sub("", bare).split())
