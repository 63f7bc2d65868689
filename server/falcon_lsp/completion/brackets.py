"""Which brackets and quotes are open, found by reading characters; works on unfinished code.

A grammar says nothing useful about half a line; this says enough to close it or to see that it
closes too much. Regular-expression literals are read as ordinary text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSER = {"(": ")", "[": "]", "{": "}"}
_OPENER = {closer: opener for opener, closer in _CLOSER.items()}
_PYTHON_QUOTES = ('"""', "'''", '"', "'")
_SCRIPT_QUOTES = ('"', "'", "`")
_QUOTES = {*_PYTHON_QUOTES, *_SCRIPT_QUOTES}
_SPANS_LINES = {'"""', "'''", "`"}
_PYTHON_MARK = re.compile(r"""[()\[\]{}"'#]""")
_SCRIPT_MARK = re.compile(r"""[()\[\]{}"'`]|//""")
_IN_STRING = {
    quote: re.compile(rf"\\.|{quote}" + ("" if quote in _SPANS_LINES else r"|\n"), re.DOTALL)
    for quote in _QUOTES
}
"""What matters outside of strings, and inside of each; all else is passed over at once."""


def comment_mark(language: str) -> str:
    """Return what starts a comment that ends with its line."""
    return "#" if language == "python" else "//"


def open_marks(text: str, language: str) -> list[str]:
    """Return the brackets and quotes that ``text`` leaves open, outermost first."""
    stack: list[str] = []
    for _ in closings(text, language, stack):
        pass
    return stack


def closing(marks: list[str]) -> str | None:
    """Return what closes ``marks``; None when a string is open, which nobody can end sensibly."""
    if any(mark in _QUOTES for mark in marks):
        return None
    return "".join(_CLOSER[mark] for mark in reversed(marks))


def closings(text: str, language: str, stack: list[str]) -> Iterator[tuple[int, int]]:
    """Yield ``(index, depth)`` for each closing mark in ``text``; ``stack`` is kept up to date.

    ``depth`` counts the marks still open afterwards; a closer that nothing opened makes it
    negative, the second one more so.
    """
    comment = comment_mark(language)
    index, surplus = 0, 0
    while index < len(text):
        quote = stack[-1] if stack and stack[-1] in _QUOTES else None
        if quote:
            index, closed = _leave_string(text, index, quote)
            if closed is not None:
                stack.pop()
            if closed:
                yield index - len(quote), len(stack) - surplus
            continue
        index = _next_mark(text, index, language)
        here = text[index : index + 1]
        if text.startswith(comment, index):
            index = _line_end(text, index)
        elif mark := _quote_at(text, index, language):
            stack.append(mark)
            index += len(mark)
        else:
            if here in _CLOSER:
                stack.append(here)
            elif here in _OPENER:
                if stack and stack[-1] == _OPENER[here]:
                    stack.pop()
                else:
                    surplus += 1
                yield index, len(stack) - surplus
            index += 1


def _leave_string(text: str, index: int, quote: str) -> tuple[int, bool | None]:
    """Return where reading goes on, and whether the string was closed there.

    False means that its line ended first; None that the text did.
    """
    for found in _IN_STRING[quote].finditer(text, index):
        if found[0] == quote:
            return found.end(), True
        if found[0] == "\n":
            return found.start(), False
    return len(text), None


def _next_mark(text: str, index: int, language: str) -> int:
    found = (_PYTHON_MARK if language == "python" else _SCRIPT_MARK).search(text, index)
    return found.start() if found else len(text)


def _quote_at(text: str, index: int, language: str) -> str | None:
    marks = _PYTHON_QUOTES if language == "python" else _SCRIPT_QUOTES
    return next((mark for mark in marks if text.startswith(mark, index)), None)


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end
