r"""Documents as immutable snapshots, and positions in the three encodings of LSP.

Line ends are ``\n``, ``\r\n`` and ``\r`` and nothing else, as LSP 3.18 defines them
(`str.splitlines` knows more and must not be used).
"""

from __future__ import annotations

import bisect
import enum
import itertools
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from falcon_lsp.core.types import TextEdit

_LINE_END = re.compile(r"\r\n|\r|\n")
_IMPORT = re.compile(r"\s*+(import\b|from\b.*\bimport\b|export\b.*\bfrom\b|.*\brequire\()")
_MAX_IMPORT_LINES = 200


class PositionEncoding(enum.StrEnum):
    """What one ``character`` of a position counts."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"

    def measure(self, text: str) -> int:
        """Return how many units ``text`` takes."""
        return len(text) if text.isascii() else len(self._encoded(text)) // self._unit

    def fit(self, text: str, units: int) -> int:
        """Return how many characters of ``text`` lie wholly in its first ``units`` units."""
        if text.isascii():
            return min(len(text), units)
        return len(self._encoded(text)[: units * self._unit].decode(self._codec, "ignore"))

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._codec, "replace")

    @property
    def _codec(self) -> str:
        return "utf-8" if self is PositionEncoding.UTF8 else f"{self.value}-le"

    @property
    def _unit(self) -> int:
        """Bytes of one unit."""
        return int(self.value.removeprefix("utf-")) // 8


@dataclass(frozen=True, slots=True)
class Position:
    """A place as LSP names it: both count from 0, ``character`` in units of the encoding."""

    line: int
    character: int


@dataclass(frozen=True, slots=True)
class TextSnapshot:
    """A document at one version. Offsets index ``text`` (code points)."""

    uri: str
    language: str
    version: int
    text: str
    line_starts: tuple[int, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the lines once: every conversion afterwards is a bisection."""
        if not self.line_starts:
            starts = (0, *(match.end() for match in _LINE_END.finditer(self.text)))
            object.__setattr__(self, "line_starts", starts)

    def offset(self, position: Position, encoding: PositionEncoding) -> int:
        """Return the offset of ``position``; past the end of a line or of the text is clamped.

        A position inside a surrogate pair or a multi-byte sequence is moved to its start.
        """
        if position.line >= len(self.line_starts):
            return len(self.text)
        start, end = self.line_bounds(max(0, position.line))
        return start + encoding.fit(self.text[start:end], max(0, position.character))

    def position(self, offset: int, encoding: PositionEncoding) -> Position:
        """Return where ``offset`` lies; offsets outside the text are clamped."""
        offset = min(max(0, offset), len(self.text))
        line = bisect.bisect_right(self.line_starts, offset) - 1
        return Position(line, encoding.measure(self.text[self.line_starts[line] : offset]))

    def line_bounds(self, line: int) -> tuple[int, int]:
        """Return ``(start, end)`` of a line, its line end left out."""
        start = self.line_starts[line]
        if line + 1 == len(self.line_starts):
            return start, len(self.text)
        end = self.line_starts[line + 1]
        while end > start and self.text[end - 1] in "\r\n":
            end -= 1
        return start, end

    def apply(self, edits: tuple[TextEdit, ...], version: int) -> TextSnapshot:
        """Return the document after ``edits``, each given in the text that the one before left."""
        text, starts = self.text, self.line_starts
        for edit in edits:
            text = text[: edit.start] + edit.new_text + text[edit.end :]
            starts = _updated_starts(starts, edit, text)
        return TextSnapshot(self.uri, self.language, version, text, starts)


def count_common(left: Iterable[object], right: Iterable[object]) -> int:
    """Return how many of the first items are equal in both."""
    pairs = map(operator.eq, left, right)
    return sum(1 for _ in itertools.takewhile(bool, pairs))


def line_before(text: str, offset: int) -> str:
    """Return what stands on the line of ``offset`` before it."""
    return text[text.rfind("\n", 0, offset) + 1 : offset]


def rest_of_line(text: str, offset: int) -> str:
    """Return what stands on the line of ``offset`` behind it, the line end left out."""
    end = text.find("\n", offset)
    return text[offset : len(text) if end < 0 else end].rstrip("\r")


def import_lines(text: str) -> list[str]:
    """Return the lines of Python, JavaScript or TypeScript that import, of the first 200."""
    lines = text.split("\n")[:_MAX_IMPORT_LINES]
    return [line.rstrip() for line in lines if _IMPORT.match(line)]


def _updated_starts(starts: tuple[int, ...], edit: TextEdit, text: str) -> tuple[int, ...]:
    r"""Return the line starts of ``text``, which is what ``edit`` made of the one with ``starts``.

    Only the edit and the line before it are read again: an edit there can join or part ``\r`` and
    ``\n``. Line ends behind the edit stay what they were.
    """
    first = bisect.bisect_right(starts, max(0, edit.start - 1))
    end = edit.start + len(edit.new_text)
    found = _LINE_END.finditer(text, starts[first - 1], min(len(text), end + 1))
    behind = starts[bisect.bisect_right(starts, edit.end) :]
    shift = end - edit.end
    return (
        *starts[:first],
        *(match.end() for match in found if match.end() <= end),
        *((start + shift for start in behind) if shift else behind),
    )


def common_length(one: str, other: str) -> int:
    """Return how many characters both begin with alike."""
    alike, unlike = 0, min(len(one), len(other)) + 1
    if one[: unlike - 1] == other[: unlike - 1]:
        return unlike - 1
    while unlike - alike > 1:
        middle = (alike + unlike) // 2
        if one[alike:middle] == other[alike:middle]:
            alike = middle
        else:
            unlike = middle
    return alike
