"""What each editing action means, as data: a document, a suggestion, actions, and the outcomes.

``|`` marks the cursor. An expected ``accepted:8`` is a guess that eight characters were kept,
``accepted!:8`` was reported by the client. ``#2`` names the second suggestion of the case. The
outcome ``shown`` of every suggestion is left out. Offering and every action take 0.1 s unless
the action is ``wait``; a suggestion is looked at for one second before the first action.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from falcon_lsp.core.text import TextSnapshot
from falcon_lsp.core.types import Diagnostic, Outcome, Prompt, Suggestion, TextEdit
from falcon_lsp.memory.episodes import fold
from falcon_lsp.memory.events import Event, Kind, Place
from falcon_lsp.memory.observer import MAX_DOCUMENTS, MAX_TRACKS, EpisodeObserver

URI = "file:///project/a.py"


@dataclass
class Editor:
    """As much of an editor as LSP shows: it changes text, and sends what it changed."""

    text: str
    cursor: int
    observer: EpisodeObserver = field(default_factory=EpisodeObserver)
    uri: str = URI
    now: float = 1000.0
    version: int = 1
    events: list[Event] = field(default_factory=list)
    undo_stack: list[tuple[str, int]] = field(default_factory=list)
    redo_stack: list[tuple[str, int]] = field(default_factory=list)
    offers: int = 0
    reports: int = 0

    @classmethod
    def open(cls, marked: str, **options: Any) -> Editor:
        cursor = marked.index("|")
        return cls(marked[:cursor] + marked[cursor + 1 :], cursor, **options)

    def snapshot(self) -> TextSnapshot:
        return TextSnapshot(self.uri, "python", self.version, self.text)

    def play(self, *actions: tuple[Any, ...]) -> Editor:
        for verb, *arguments in actions:
            getattr(self, f"do_{verb}")(*arguments)
        return self

    def change(self, *edits: TextEdit, cursor: int | None = None, remember: bool = True) -> None:
        before = self.snapshot()
        if remember:
            self.undo_stack.append((self.text, self.cursor))
            self.redo_stack.clear()
        self.version += 1
        after = before.apply(edits, self.version)
        if cursor is None:
            cursor = self.cursor
            for edit in edits:
                if edit.start <= cursor:
                    shift = len(edit.new_text) - (edit.end - edit.start)
                    cursor = max(cursor, edit.end) + shift
        self.text, self.cursor = after.text, cursor
        self.now += 0.1
        self.events += self.observer.changed(before, after, edits, self.now)

    def edit(self, old: str, new: str) -> TextEdit:
        assert self.text.count(old) == 1, f"{old!r} must be unique"
        start = self.text.index(old)
        return TextEdit(start, start + len(old), new)

    def do_offer(self, text: str, offset: int | None = None) -> None:
        self.offers += 1
        place = Place(f"#{self.offers}", "file:///project", "a.py", "python")
        at = self.cursor if offset is None else offset
        prompt = Prompt("a.py", self.text[:at], self.text[at:])
        suggestion = Suggestion(place.completion_id, text, at, prompt, "model", "m", "base")
        self.now += 0.1
        self.events += self.observer.offered(
            suggestion, place, self.uri, self.snapshot(), self.now
        )

    def do_wait(self, seconds: float) -> None:
        self.now += seconds
        self.events += self.observer.tick(self.now)

    def do_type(self, text: str) -> None:
        for character in text:
            self.do_insert(character)

    def do_insert(self, text: str) -> None:
        self.change(TextEdit(self.cursor, self.cursor, text))

    def do_type_fast(self, text: str) -> None:
        """Several keys in one change of several edits."""
        at = self.cursor
        self.change(*(TextEdit(at + i, at + i, c) for i, c in enumerate(text)))

    def do_pair(self, pair: str, ahead: int = 1) -> None:
        """The editor adds the closing half itself and stays between the two."""
        self.change(TextEdit(self.cursor, self.cursor, pair), cursor=self.cursor + ahead)

    def do_overtype(self, text: str) -> None:
        end = self.cursor + len(text)
        self.change(TextEdit(self.cursor, end, text), cursor=end)

    def do_backspace(self, count: int = 1) -> None:
        for _ in range(count):
            self.change(TextEdit(self.cursor - 1, self.cursor, ""))

    def do_delete(self, count: int = 1) -> None:
        self.change(TextEdit(self.cursor, self.cursor + count, ""))

    def do_replace(self, *pairs: tuple[str, str]) -> None:
        """One change of several edits; each ``old`` is looked up in the text at the start."""
        edits = sorted((self.edit(*pair) for pair in pairs), key=lambda e: -e.start)
        self.change(*edits)

    def do_replace_line(self, text: str) -> None:
        start, end = self.snapshot().line_bounds(self.text.count("\n", 0, self.cursor))
        self.change(TextEdit(start, end, text), cursor=start + len(text))

    def do_replace_all(self, marked: str) -> None:
        cursor = marked.index("|")
        new = marked[:cursor] + marked[cursor + 1 :]
        self.change(TextEdit(0, len(self.text), new), cursor=cursor)

    def do_insert_at(self, *offsets_and_text: Any) -> None:
        *offsets, text = offsets_and_text
        self.change(*(TextEdit(at, at, text) for at in sorted(offsets, reverse=True)))

    def do_insert_formatted(self, text: str, old: str, new: str) -> None:
        at = self.cursor + text.index(old)
        inserted = TextEdit(self.cursor, self.cursor, text)
        self.change(inserted, TextEdit(at, at + len(old), new))

    def do_move(self, offset: int) -> None:
        self.cursor = offset

    def do_undo(self) -> None:
        self.travel(self.undo_stack, self.redo_stack)

    def do_redo(self) -> None:
        self.travel(self.redo_stack, self.undo_stack)

    def travel(self, back: list[tuple[str, int]], forth: list[tuple[str, int]]) -> None:
        forth.append((self.text, self.cursor))
        text, cursor = back.pop()
        same = next((i for i, (a, b) in enumerate(zip(text, self.text)) if a != b), None)
        start = min(len(text), len(self.text)) if same is None else same
        behind = 0
        while behind < min(len(text), len(self.text)) - start and (
            text[-1 - behind] == self.text[-1 - behind]
        ):
            behind += 1
        edit = TextEdit(start, len(self.text) - behind, text[start : len(text) - behind])
        self.change(edit, cursor=cursor, remember=False)

    def do_report(self, said: str, name: str = "#1", event_id: str = "") -> None:
        what, _, kept = said.partition(":")
        self.reports += 1
        self.now += 0.001
        self.events += self.observer.reported(
            name,
            Outcome(what),
            int(kept) if kept else None,
            self.now,
            event_id or f"report-{self.reports}",
        )

    def do_close(self) -> None:
        self.now += 0.1
        self.events += self.observer.closed(self.uri, self.now)

    def outcomes(self) -> list[str]:
        self.do_wait(1)
        return [
            _words(event)
            for event in self.events
            if event.kind is Kind.OUTCOME and event.payload["outcome"] != "shown"
        ]

    def settled(self) -> dict[int, str]:
        return {
            event.payload["after_s"]: event.payload["text"]
            for event in self.events
            if event.kind is Kind.SETTLED
        }


def _words(event: Event) -> str:
    name = "" if event.completion_id == "#1" else f"{event.completion_id} "
    sure = "" if event.payload["inferred"] else "!"
    return f"{name}{event.payload['outcome']}{sure}:{event.payload['chars_kept']}"


LINE = "def f(a):\n    |\n"
CALL = "x = f(|)\n"
HALF = "one = 1\ntwo = |\nthree = 3\n"

CASES: list[tuple[str, str, str, list[tuple[Any, ...]], list[str]]] = [
    # Taking it
    ("the whole text in one change", LINE, "return a", [("insert", "return a")], ["accepted:8"]),
    ("the same by paste of more than it", LINE, "return a",
     [("insert", "return a + 1\n")], ["accepted:8"]),
    ("several lines", LINE, "if a:\n        return a",
     [("insert", "if a:\n        return a")], ["accepted:22"]),
    ("re-indented by the editor", LINE, "if a:\n    return a",
     [("insert", "if a:\n\treturn a")], ["accepted:18"]),
    ("with an import added in the same change", HALF, "sqrt(4)",
     [("replace", ("two = ", "two = sqrt(4)"), ("one = 1", "import m\none = 1"))],
     ["accepted:7"]),
    ("at several cursors", "a = |\nb = \n", "f(1)",
     [("insert_at", 4, 9, "f(1)")], ["accepted:4"]),
    ("formatted in the same change", "a = |\n", "f(x,y)",
     [("insert_formatted", "f(x,y)", ",", ", ")], ["accepted:6"]),
    ("by an editor that replaces the line", LINE, "return a",
     [("replace_line", "    return a")], ["accepted:8"]),
    ("by an editor that sends the whole document", HALF, "f(1)",
     [("replace_all", "one = 1\ntwo = f(1)|\nthree = 3\n")], ["accepted:4"]),
    ("overlapping the bracket that followed", CALL, "a, b)",
     [("replace_all", "x = f(a, b)|\n")], ["accepted:5"]),
    ("replacing the bracket that followed", CALL, "a, b)",
     [("replace", (")", "a, b)"))], ["accepted:5"]),
    ("one that begins like what follows it", "x = |)\n", "()",
     [("replace_line", "x = ())")], ["typed_through:2"]),
    ("in a document with CRLF", "def f(a):\r\n    |\r\n", "if a:\n        return a",
     [("insert", "if a:\r\n        return a")], ["accepted:22"]),
    ("after characters outside the BMP", "s = '😀😀'; |\n", "print('😀')",
     [("insert", "print('😀')")], ["accepted:10"]),
    ("trailing blanks were dropped", LINE, "return a   ", [("insert", "return a")],
     ["accepted:8"]),
    ("half typed, then the rest in one change", LINE, "return a + 1",
     [("type", "retu"), ("insert", "rn a + 1")], ["accepted:12"]),
    ("half typed inside added brackets, then the rest", LINE, "foo(a, b)",
     [("type", "foo"), ("pair", "()"), ("type", "a"), ("insert", ", b")], ["accepted:9"]),
    # Part of it
    ("one word, then moved on", LINE, "return a + 1",
     [("insert", "return"), ("replace", ("def f", "def g"))], ["partial:6"]),
    ("word by word to the end", LINE, "return a + 1",
     [("insert", "return"), ("insert", " a"), ("insert", " + 1")], ["accepted:12"]),
    ("two words, then something else", LINE, "return a + 1",
     [("insert", "return"), ("insert", " a"), ("type", "nd")], ["partial:8"]),
    ("one word, then nothing for long", LINE, "return a + 1",
     [("insert", "return "), ("wait", 31)], ["partial:7"]),
    ("one word, then closed", LINE, "return a + 1",
     [("insert", "return "), ("close",)], ["partial:7"]),
    ("one line of two", LINE, "if a:\n        return a",
     [("insert", "if a:"), ("wait", 31)], ["partial:5"]),
    ("one word, taken back", LINE, "return a + 1",
     [("insert", "return"), ("undo",), ("wait", 31)], ["ignored:0"]),
    ("one word, the rest typed", LINE, "return a",
     [("insert", "return"), ("type", " a")], ["typed_through:8"]),
    # Typing it
    ("typed through", LINE, "return a", [("type", "return a")], ["typed_through:8"]),
    ("typed through several keys a change", LINE, "foo_bar",
     [("type_fast", "fo"), ("type_fast", "o_"), ("type_fast", "ba"), ("type", "r")],
     ["typed_through:7"]),
    ("a single character", LINE, "x", [("type", "x")], ["typed_through:1"]),
    ("typed with brackets closed by the editor", LINE, "f(a)",
     [("type", "f"), ("pair", "()"), ("type", "a")], ["typed_through:4"]),
    ("typed with nested brackets and quotes", LINE, 'f(["a"])',
     [("type", "f"), ("pair", "()"), ("pair", "[]"), ("pair", '""'), ("type", "a")],
     ["typed_through:8"]),
    ("an empty call, closed by the editor", LINE, "f()", [("type", "f"), ("pair", "()")],
     ["typed_through:3"]),
    ("typed over the bracket that followed", CALL, "a)", [("type", "a"), ("overtype", ")")],
     ["typed_through:2"]),
    ("typed with automatic indentation", LINE, "if a:\n        pass",
     [("type", "if a:"), ("insert", "\n        "), ("type", "pass")], ["typed_through:18"]),
    ("typed where the editor indents deeper", LINE, "if a: pass\n    x",
     [("type", "if a: pass"), ("insert", "\n        "), ("type", "x")], ["typed_through:16"]),
    ("typed between brackets that the editor spreads", "x = |\n", "{\n    'a': 1\n}",
     [("pair", "{}"), ("pair", "\n    \n", 5), ("pair", "''"), ("type", "a"),
      ("overtype", "'"), ("type", ": 1")], ["typed_through:14"]),
    ("typed with CRLF", "def f(a):\r\n    |\r\n", "if a:\n        x",
     [("type", "if a:"), ("insert", "\r\n        "), ("type", "x")], ["typed_through:15"]),
    ("typed with a slip, corrected", LINE, "return a",
     [("type", "re"), ("backspace",), ("type", "eturn a")], ["typed_through:8"]),
    # Not wanting it
    ("something else typed", LINE, "return a", [("type", "x")], ["rejected:0"]),
    ("something else after a part that agrees", LINE, "return a",
     [("type", "ret"), ("type", "x")], ["rejected:0"]),
    ("something else pasted", LINE, "return a", [("insert", "raise ValueError")],
     ["rejected:0"]),
    ("a new line instead", LINE, "return a", [("insert", "\n    ")], ["rejected:0"]),
    ("the bracket closed instead", CALL, "a, b", [("type", ")")], ["rejected:0"]),
    ("something else between added brackets", LINE, "f(a)",
     [("type", "f"), ("pair", "()"), ("type", "b")], ["rejected:0"]),
    ("only the first thing typed counts", LINE, "return a", [("type", "xyz")], ["rejected:0"]),
    # Not caring
    ("nothing at all", LINE, "return a", [("wait", 31)], ["ignored:0"]),
    ("the cursor moved, nothing sent", LINE, "return a", [("move", 0), ("wait", 31)],
     ["ignored:0"]),
    ("an edit elsewhere", LINE, "return a", [("replace", ("def f", "def g"))], ["ignored:0"]),
    ("what follows deleted", "x = | + 1\n", "f()", [("delete", 4)], ["ignored:0"]),
    ("what precedes deleted", LINE, "return a", [("backspace",)], ["ignored:0"]),
    ("a part typed, then an edit elsewhere", LINE, "return a",
     [("type", "ret"), ("replace", ("def f", "def g"))], ["ignored:0"]),
    ("a part typed, then nothing", LINE, "return a", [("type", "ret"), ("wait", 31)],
     ["ignored:0"]),
    ("the document closed", LINE, "return a", [("close",)], ["ignored:0"]),
    ("typing elsewhere", HALF, "f()", [("move", 0), ("type", "z")], ["ignored:0"]),
    # Another suggestion
    ("a new one in the same place", LINE, "return a", [("offer", "pass")], ["superseded:0"]),
    ("a new one after a part was typed", LINE, "return a",
     [("type", "ret"), ("offer", "urn a"), ("insert", "urn a")],
     ["superseded:0", "#2 accepted:5"]),
    ("a new one after a word was taken", LINE, "return a + 1",
     [("insert", "return"), ("offer", " a + 1"), ("insert", " a + 1")],
     ["partial:6", "#2 accepted:6"]),
    ("a new one elsewhere", HALF, "f()", [("move", 0), ("offer", "import m")], ["ignored:0"]),
    ("a new one after a rejection", LINE, "return a",
     [("type", "x"), ("offer", "y"), ("type", "y")], ["rejected:0", "#2 typed_through:1"]),
    # Taking it back
    ("accepted and undone", LINE, "return a", [("insert", "return a"), ("undo",)],
     ["accepted:8", "undone:0"]),
    ("half typed, accepted and undone", LINE, "return a",
     [("type", "ret"), ("insert", "urn a"), ("undo",)], ["accepted:8", "undone:0"]),
    ("undone after edits elsewhere were undone", LINE, "return a",
     [("insert", "return a"), ("replace", ("def f", "def g")), ("undo",), ("undo",)],
     ["accepted:8", "undone:0"]),
    ("undone with the import that came with it", HALF, "sqrt(4)",
     [("replace", ("two = ", "two = sqrt(4)"), ("one = 1", "import m\none = 1")), ("undo",)],
     ["accepted:7", "undone:0"]),
    ("undone and done again", LINE, "return a",
     [("insert", "return a"), ("undo",), ("redo",)], ["accepted:8", "undone:0"]),
    ("undone too late", LINE, "return a",
     [("insert", "return a"), ("wait", 61), ("undo",)], ["accepted:8"]),
    ("deleted bit by bit is no undo", LINE, "return a",
     [("insert", "return a"), ("backspace", 8)], ["accepted:8"]),
    ("replaced is no undo", LINE, "return a",
     [("insert", "return a"), ("replace", ("return a", "pass"))], ["accepted:8"]),
    # Reports
    ("the change, then the report", LINE, "return a",
     [("insert", "return a"), ("report", "accepted")], ["accepted!:8"]),
    ("the report, then the change", LINE, "return a",
     [("report", "accepted"), ("insert", "return a")], ["accepted!:8"]),
    ("the report long after the change", LINE, "return a",
     [("insert", "return a"), ("wait", 5), ("report", "accepted")], ["accepted:8"]),
    ("two reports of the same", LINE, "return a",
     [("report", "accepted"), ("report", "accepted"), ("insert", "return a")],
     ["accepted!:8"]),
    ("one report sent twice", LINE, "return a",
     [("report", "partial:6", "#1", "e"), ("report", "rejected", "#1", "e")], ["partial!:6"]),
    ("rejected by key, then typed on", LINE, "return a",
     [("report", "rejected"), ("type", "x")], ["rejected!:0"]),
    ("typed on, and said to be rejected", LINE, "return a",
     [("type", "x"), ("report", "rejected")], ["rejected!:0"]),
    ("said to be rejected, late, against a guess", LINE, "return a",
     [("wait", 31), ("report", "rejected")], ["ignored:0", "rejected!:0"]),
    ("word by word with reports", LINE, "return a + 1",
     [("insert", "return"), ("report", "partial:6"), ("insert", " a"), ("report", "partial:8"),
      ("insert", " + 1"), ("report", "accepted")],
     ["partial!:6", "partial!:8", "accepted!:12"]),
    ("the end of a partly taken one is no verdict", LINE, "return a + 1",
     [("insert", "return"), ("report", "partial:6"), ("report", "ignored"), ("wait", 31)],
     ["partial!:6"]),
    ("accepted in a shape that the editor changed", LINE, "return f( a )",
     [("insert", "return f(a)"), ("report", "accepted")], ["accepted!:13"]),
    ("accepted by report, undone by edit", LINE, "return a",
     [("report", "accepted"), ("insert", "return a"), ("undo",)], ["accepted!:8", "undone:0"]),
    ("an edit elsewhere between report and change", HALF, "f(1)",
     [("report", "accepted"), ("replace", ("one = 1", "one = 2")), ("insert", "f(1)"), ("undo",)],
     ["accepted!:4", "undone:0"]),
    ("a report about an unknown suggestion", LINE, "return a",
     [("report", "accepted", "#9"), ("wait", 31)], ["ignored:0"]),
    ("a report that it was shown", LINE, "return a", [("report", "shown"), ("wait", 31)],
     ["ignored:0"]),
    ("more characters kept than there are", LINE, "return a", [("report", "partial:999")],
     ["partial!:8"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "suggestion", "actions", "expected"),
    [pytest.param(*case[1:], id=case[0]) for case in CASES],
)
def test_what_an_editing_action_means(
    document: str, suggestion: str, actions: list[tuple[Any, ...]], expected: list[str]
) -> None:
    editor = Editor.open(document).play(("offer", suggestion), ("wait", 1), *actions)
    assert editor.outcomes() == expected
