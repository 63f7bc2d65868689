"""Developers at work, simulated: they write real files, and what they do about ghost text is known.

Nothing here knows how the server infers. A developer is a table of habits; suggestions are right,
half right or wrong; files have CRLF, characters outside the BMP, two of them are open at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from falcon_lsp.core.types import Outcome, TextEdit
from sessions.editor import Clock, Document
from sessions.replay import ESCAPE

RIGHT, HALF_RIGHT = 0.4, 0.3
"""Chances that a suggestion is what the developer will write, or begins like it."""
SUGGESTED = 0.7
"""Chance that a line gets a suggestion at all."""
HABITS: dict[str, dict[str, float]] = {
    "right": {"take": 60, "type it": 25, "words": 8, "take and undo": 3, "not seen": 4},
    "half right": {"take and mend": 25, "words": 20, "take and undo": 12, "type on": 28,
                   "Escape": 10, "not seen": 5},
    "wrong": {"type on": 50, "Escape": 20, "not seen": 20, "elsewhere": 5, "wait": 5},
}  # fmt: skip
"""What is done about suggestions of each kind, by weight."""


@dataclass
class Developer:
    """Writes ``targets`` line by line; ``sent`` is all that went over the wire."""

    rng: random.Random
    targets: Sequence[str]
    sent: list[dict[str, Any]] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)
    count: int = 0

    def work(self, lines: int) -> list[dict[str, Any]]:
        """Write ``lines`` lines in two files by turns; returns the session."""
        open_files = []
        for number, target in enumerate(self.targets[:2]):
            rows = target.splitlines()
            start = self.rng.randrange(1, max(2, len(rows) - lines))
            eol = self.rng.choice(("\n", "\n", "\r\n"))
            text = eol.join((*rows[:start], "# caf\u00e9 \U0001f642", "", *rows[-3:]))
            document = Document(f"file:///{number}.py", text, self.rng, self.clock, self.sent)
            document.cursor = len(eol.join((*rows[:start], "# caf\u00e9 \U0001f642", "")))
            open_files.append((document, rows[start : start + lines], eol))
        for index in range(lines):
            for document, rows, eol in open_files:
                if index < len(rows):
                    self.write_line(document, rows[index], eol)
        for document, _, _ in open_files:
            document.close()
        return self.sent

    def write_line(self, document: Document, row: str, eol: str) -> None:
        """Write one line, with or without a suggestion, and go on to the next."""
        text = row.strip()
        document.insert(row[: len(row) - len(row.lstrip())] or "")
        ahead = self.rng.randrange(0, max(1, len(text) // 2))
        self.type(document, text[:ahead])
        rest = text[ahead:]
        if len(rest) >= 4 and self.rng.random() < SUGGESTED:
            kind, offered = self.suggest(rest)
            habit = self.choose(HABITS[kind])
            self.count += 1
            name = f"cmp-{self.count}"
            document.offer(name, offered)
            outcome = ACTIONS[habit](self, document, name, offered, rest)
            truth = {"completionId": name, "outcome": outcome}
            self.sent.append({"time": self.clock.now, "from": "truth", "message": truth})
        else:
            self.type(document, rest)
        document.drop_closers()
        if self.rng.random() < 0.05:
            self.format(document)
        self.pause(0.2, 1.5)
        document.insert(eol)

    def suggest(self, rest: str) -> tuple[str, str]:
        """Return how good a suggestion is, and its text."""
        fate = self.rng.random()
        if fate < RIGHT:
            return "right", rest
        words = rest.split(" ")
        other = self.rng.choice(self.targets[-1].splitlines()).strip() or "pass"
        if fate < RIGHT + HALF_RIGHT and len(words) > 2:
            keep = self.rng.randrange(1, len(words) - 1)
            made = " ".join(words[:keep]) + " " + other.split(" ")[-1]
            if not rest.startswith(made):
                return "half right", made
        return ("wrong", other) if not rest.startswith(other[:1]) else ("right", rest)

    def choose(self, weights: dict[str, float]) -> str:
        """Draw by weight."""
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def pause(self, low: float, high: float) -> None:
        """Let time pass."""
        self.clock.now += self.rng.uniform(low, high)

    def type(self, document: Document, text: str) -> None:
        """Type ``text`` key by key."""
        for character in text:
            self.pause(0.06, 0.25)
            document.key(character)

    def format(self, document: Document) -> None:
        """Save: a formatter sends the whole document, blanks at line ends gone."""
        ahead, behind = document.text[: document.cursor], document.text[document.cursor :]
        lead = "\n" if "\r" not in ahead else "\r\n"
        new = f"import os{lead}{ahead}" if self.rng.random() < 0.5 else ahead
        edit = TextEdit(0, len(document.text), new + behind)
        document.change(edit, cursor=len(new), whole=True)


def take(dev: Developer, document: Document, name: str, offered: str, _rest: str) -> str:
    """Read it and take it whole."""
    dev.pause(0.4, 2.5)
    document.accept(name, offered)
    return Outcome.ACCEPTED.value


def take_and_mend(dev: Developer, document: Document, name: str, offered: str, rest: str) -> str:
    """Take it, and write its wrong end anew."""
    take(dev, document, name, offered, rest)
    dev.pause(0.5, 3.0)
    shared = _shared(offered, rest)
    for _ in offered[shared:]:
        dev.pause(0.03, 0.1)
        at = document.cursor
        document.change(TextEdit(at - 1, at, ""), cursor=at - 1)
    dev.type(document, rest[shared:])
    return Outcome.ACCEPTED.value


def take_and_undo(dev: Developer, document: Document, name: str, offered: str, rest: str) -> str:
    """Take it, undo that, and write what was meant."""
    take(dev, document, name, offered, rest)
    dev.pause(0.3, 6.0)
    start = document.cursor - len(offered)
    document.change(TextEdit(start, document.cursor, ""), cursor=start)
    document.report(name, Outcome.UNDONE.value)
    dev.pause(0.3, 1.5)
    dev.type(document, rest)
    return Outcome.UNDONE.value


def words(dev: Developer, document: Document, name: str, offered: str, rest: str) -> str:
    """Take a few words of it by key, then write on."""
    dev.pause(0.4, 2.0)
    agreed = offered[: _shared(offered, rest)]
    pieces = _pieces(agreed)[: dev.rng.randrange(1, 4)]
    if not pieces or (taken := "".join(pieces)) == offered:
        return type_on(dev, document, name, offered, rest)
    kept = 0
    for piece in pieces:
        document.insert(piece)
        kept += len(piece)
        document.report(name, Outcome.PARTIAL.value, kept)
        dev.pause(0.2, 0.8)
    dev.type(document, rest[len(taken) :])
    return Outcome.PARTIAL.value


def type_it(dev: Developer, document: Document, name: str, offered: str, rest: str) -> str:
    """Type what it says; the editor gets the rest of it again at every key."""
    dev.pause(0.3, 1.0)
    for index, character in enumerate(rest):
        dev.pause(0.08, 0.25)
        document.key(character)
        if rest == offered and index + 1 < len(rest) and dev.rng.random() < 0.5:
            document.offer(name, offered[index + 1 :])
    return Outcome.TYPED_THROUGH.value


def type_on(dev: Developer, document: Document, _name: str, offered: str, rest: str) -> str:
    """Read it and type something else."""
    dev.pause(0.35, 2.0)
    dev.type(document, rest)
    agrees = offered.startswith(rest) or rest.startswith(offered)
    return Outcome.TYPED_THROUGH.value if agrees else Outcome.REJECTED.value


def not_seen(dev: Developer, document: Document, _name: str, offered: str, rest: str) -> str:
    """Type on before it can be read."""
    dev.clock.now += 0.01
    document.key(rest[0])
    dev.type(document, rest[1:])
    if rest.startswith(offered):
        return Outcome.TYPED_THROUGH.value
    return Outcome.SUPERSEDED.value if rest[:1] != offered[:1] else Outcome.REJECTED.value


def escape(dev: Developer, document: Document, name: str, _offered: str, rest: str) -> str:
    """Dismiss it by key, which only the extension sees; go on typing."""
    dev.pause(0.4, 2.0)
    document.report(name, Outcome.REJECTED.value)
    dev.pause(0.2, 2.0)
    dev.type(document, rest)
    return ESCAPE


def elsewhere(dev: Developer, document: Document, _name: str, _offered: str, rest: str) -> str:
    """Leave it standing, edit further up, and come back."""
    dev.pause(0.5, 3.0)
    at = document.cursor
    document.cursor = 0
    document.insert("# note\n")
    document.cursor = at + len("# note\n")
    dev.pause(1.0, 3.0)
    dev.type(document, rest)
    return Outcome.IGNORED.value


def wait(dev: Developer, document: Document, _name: str, _offered: str, rest: str) -> str:
    """Do nothing for long."""
    dev.pause(31.0, 90.0)
    dev.type(document, rest)
    return Outcome.IGNORED.value


ACTIONS: dict[str, Callable[[Developer, Document, str, str, str], str]] = {
    "take": take,
    "take and mend": take_and_mend,
    "take and undo": take_and_undo,
    "words": words,
    "type it": type_it,
    "type on": type_on,
    "not seen": not_seen,
    "Escape": escape,
    "elsewhere": elsewhere,
    "wait": wait,
}


def _shared(one: str, other: str) -> int:
    return next(
        (i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )


def _pieces(text: str) -> list[str]:
    """Return the words of ``text`` with the blanks before them, as the editor takes them."""
    pieces = text.split(" ")
    return [piece if not i else f" {piece}" for i, piece in enumerate(pieces) if piece]
