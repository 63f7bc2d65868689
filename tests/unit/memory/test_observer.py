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

    def do_offer(self, *texts: str) -> None:
        """One answer, of one or several suggestions."""
        self.now += 0.2
        for text in texts:
            self.offers += 1
            self.do_offer_again(f"#{self.offers}", text, later=0.0)

    def do_offer_again(self, name: str, text: str, later: float = 0.2) -> None:
        self.now += later
        place = Place(name, "file:///project", "a.py", "python")
        at = self.cursor
        prompt = Prompt("a.py", self.text[:at], self.text[at:])
        suggestion = Suggestion(name, text, at, prompt, "model", "m", "base")
        self.events += self.observer.offered(suggestion, place, self.uri, self.snapshot(), self.now)

    def do_find(self, line: int, message: str, *, gone: bool = False) -> None:
        findings = [Diagnostic(line, 1, message, "E1", "lint")]
        added, removed = ([], findings) if gone else (findings, [])
        self.now += 0.1
        self.events += self.observer.diagnostics_changed(self.uri, added, removed, self.now)

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
        pairs = list(zip(text, self.text, strict=False))
        start = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
        pairs = list(zip(text[start:][::-1], self.text[start:][::-1], strict=False))
        behind = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
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
    ("several lines in a document with CRLF, sent as LF", "if a:\r\n    |\r\n", "b\n    c",
     [("insert", "b\n    c")], ["accepted:7"]),
    ("whole document sent, CRLF kept", "a = 1\r\nb = |\r\n", "f(1)",
     [("replace_all", "a = 1\r\nb = f(1)|\r\n")], ["accepted:4"]),
    ("at a cursor behind a combining sequence", "s = 'e\u0301'; |\n", "t = s",
     [("insert", "t = s")], ["accepted:5"]),
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
     [("insert", "return"), ("type", " a")], ["partial:8"]),
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
    ("formatted on save while it is shown", HALF, "f(1)",
     [("replace_all", "one = 1\n\ntwo = |\nthree = 3\n"), ("wait", 31)], ["ignored:0"]),
    ("a file pasted over it", LINE, "return a", [("replace_all", "x = 1\n|")], ["ignored:0"]),
    ("two cursors typing something else", "a = |\nb = \n", "f(1)", [("insert_at", 4, 9, "x")],
     ["rejected:0"]),
    # The same one again
    ("the rest offered again while it is typed", LINE, "return a",
     [("type", "ret"), ("offer_again", "#1", "urn a"), ("type", "urn a")],
     ["typed_through:8"]),
    ("offered again after a slip", LINE, "return a",
     [("type", "x"), ("backspace",), ("offer_again", "#1", "return a"), ("insert", "return a")],
     ["accepted:8"]),
    ("offered again after it was long ignored", LINE, "return a",
     [("wait", 31), ("offer_again", "#1", "return a"), ("insert", "return a")],
     ["ignored:0", "accepted:8"]),
    ("offered again and ignored again", LINE, "return a",
     [("wait", 31), ("offer_again", "#1", "return a"), ("wait", 31)], ["ignored:0"]),
    ("offered again after an undo", LINE, "return a",
     [("insert", "return a"), ("undo",), ("offer_again", "#1", "return a"),
      ("insert", "return a")], ["accepted:8", "undone:0", "accepted:8"]),
    ("offered again after it was taken", LINE, "return a",
     [("insert", "return a"), ("offer_again", "#1", ""), ("type", "x")], ["accepted:8"]),
    # Several in one answer
    ("the second one taken", LINE, "return a", [("offer", "pass", "return b"),
     ("wait", 1), ("insert", "return b")],
     ["superseded:0", "#2 superseded:0", "#3 accepted:8"]),
    ("something else typed against two", LINE, "return a", [("offer", "pass", "return b"),
     ("wait", 1), ("type", "x")], ["superseded:0", "#2 rejected:0", "#3 superseded:0"]),
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


def test_typing_on_before_anybody_can_have_read_it_is_no_rejection() -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("type", "x"))
    assert editor.outcomes() == ["superseded:0"]


def test_an_offer_is_recorded_with_all_of_it_and_as_shown() -> None:
    editor = Editor.open(LINE).play(("offer", "return a", "pass"))
    assert [(e.completion_id, e.kind) for e in editor.events] == [
        ("#1", Kind.SUGGESTED),
        ("#1", Kind.OUTCOME),
        ("#2", Kind.SUGGESTED),
    ]
    assert editor.events[0].payload["text"] == "return a"
    assert editor.events[1].payload["outcome"] == "shown"


def test_times_are_counted_from_the_offer() -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("wait", 2), ("insert", "return a"))
    editor.outcomes()
    assert editor.events[-1].payload["elapsed_ms"] == pytest.approx(2100)


SETTLING = [
    pytest.param([], "return a", id="left as it was"),
    pytest.param([("backspace",), ("type", "b + c")], "return b + c", id="its end written anew"),
    pytest.param([("replace", ("return", "yield"))], "yield a", id="its start replaced"),
    pytest.param([("type", ".b")], "return a", id="what follows is not its own"),
    pytest.param([("move", 14), ("insert", "await "), ("move", 0)], "await return a",
                 id="its start extended"),
    pytest.param([("insert_at", 0, "import m\n")], "return a", id="pushed down"),
    pytest.param([("replace", ("def f(a):\n    return a\n", ""))], "", id="deleted with more"),
    pytest.param([("backspace", 8)], "", id="deleted bit by bit"),
    pytest.param([("replace_all", "import m\n\n\ndef f( a ):\n    return  a|\n")], "return  a",
                 id="the whole document reformatted"),
]  # fmt: skip


@pytest.mark.parametrize(("actions", "expected"), SETTLING)
def test_settled_text_is_what_stands_in_its_place(
    actions: list[tuple[Any, ...]], expected: str
) -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("wait", 1), ("insert", "return a"))
    editor.play(*actions, ("wait", 40))
    assert editor.settled() == {30: expected}


INSTEAD = [
    pytest.param("return a", [("type", "pass"), ("wait", 31)], "pass", id="typed on"),
    pytest.param("return a", [("type", "return b + 1"), ("wait", 31)], "return b + 1",
                 id="begun like it"),
    pytest.param("return a", [("report", "rejected"), ("wait", 2), ("type", "pass"), ("wait", 31)],
                 "pass", id="after Escape was reported"),
    pytest.param("return a", [("wait", 31), ("type", "pass"), ("wait", 31)], "pass",
                 id="after it was ignored"),
    pytest.param("return a", [("type", "x = 1\n"), ("type", "y = 2"), ("wait", 31)], "x = 1",
                 id="as many lines as were suggested"),
    pytest.param("if a:\n        b", [("type", "x = 1\n"), ("type", "y = 2"), ("wait", 31)],
                 "x = 1\ny = 2", id="two lines for two"),
    pytest.param("return a", [("type", "x"), ("pair", "()"), ("type", "1"), ("wait", 31)], "x(1)",
                 id="with brackets closed by the editor"),
    pytest.param("return a", [("type", "x"), ("replace_all", "import m\ndef f(a):\n    xyz|\n"),
                 ("wait", 31)], "xyz", id="reformatted"),
    pytest.param("return a", [("wait", 70)], None, id="nothing was written"),
    pytest.param("return a", [("type", "pass"), ("close",)], None, id="closed before it rested"),
    pytest.param("return a", [("type", "x"), ("backspace",), ("wait", 31)], None, id="taken back"),
    pytest.param("return a", [("type", "x"), ("backspace",), ("offer_again", "#1", "return a"),
                 ("insert", "return a"), ("wait", 31)], "return a", id="taken after all"),
]  # fmt: skip


@pytest.mark.parametrize(("suggestion", "actions", "expected"), INSTEAD)
def test_what_was_written_instead_is_settled_text(
    suggestion: str, actions: list[tuple[Any, ...]], expected: str | None
) -> None:
    editor = Editor.open(LINE).play(("offer", suggestion), ("wait", 1), *actions)
    assert editor.settled().get(30) == expected


CLOSED = [
    pytest.param([("insert", "return a"), ("wait", 5), ("close",)], {5: "return a"}, id="taken"),
    pytest.param([("type", "pass"), ("wait", 5), ("close",)], {5: "pass"}, id="declined"),
    pytest.param([("insert", "return a"), ("wait", 40), ("close",)], {30: "return a"},
                 id="looked at before"),
    pytest.param([("insert", "return a"), ("wait", 5), ("backspace",), ("close",)], {},
                 id="while it was typed"),
    pytest.param([("type", "ret"), ("wait", 5), ("close",)], {}, id="neither taken nor declined"),
]  # fmt: skip


@pytest.mark.parametrize(("actions", "expected"), CLOSED)
def test_a_document_that_is_closed_first_is_looked_at_then(
    actions: list[tuple[Any, ...]], expected: dict[int, str]
) -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("wait", 1), *actions)
    assert editor.settled() == expected


def test_what_replaced_an_unseen_suggestion_is_not_recorded() -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("type", "pass"), ("wait", 60))
    assert editor.settled() == {}


def test_a_secret_written_instead_is_told_by_the_name_before_it() -> None:
    value = "".join("q7Zx!4Tb9K"[i % 10] for i in range(20))
    editor = Editor.open('password = "|"\n').play(("offer", "none"), ("wait", 1))
    editor.play(("type", value), ("wait", 31))
    assert value not in editor.settled()[30]


def test_settled_text_has_plain_line_ends() -> None:
    editor = Editor.open("if a:\r\n    |\r\n").play(("offer", "b\n    c"), ("wait", 1))
    editor.play(("insert", "b\r\n    c"), ("wait", 31))
    assert editor.settled() == {30: "b\n    c"}


def test_the_first_look_waits_for_rest_and_the_later_ones_are_on_time() -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("wait", 1), ("insert", "return a"))
    editor.play(("wait", 25), ("backspace",), ("wait", 6))
    assert editor.settled() == {}
    editor.play(("type", "b"), ("wait", 11))
    assert editor.settled() == {30: "return b"}
    editor.play(("wait", 60), ("backspace",), ("wait", 500))
    assert editor.settled() == {
        30: "return b", 120: "return ", 300: "return ", 600: "return "
    }  # fmt: skip
    assert editor.observer.next_due() is None


def test_a_late_tick_still_tells_what_stood_at_the_time_of_the_look() -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("wait", 1), ("insert", "return a"))
    editor.now += 50
    editor.play(("backspace",), ("wait", 600))
    assert editor.settled() == {
        30: "return a", 120: "return ", 300: "return ", 600: "return "
    }  # fmt: skip


def test_next_due_names_the_moment_at_which_tick_has_something_to_say() -> None:
    editor = Editor.open(LINE)
    observer = editor.observer
    assert observer.next_due() is None
    editor.play(("offer", "return a"))
    assert observer.next_due() == pytest.approx(editor.now + 30)
    editor.play(("insert", "return a"))
    moments = []
    while (due := observer.next_due()) is not None:
        moments.append(round(due - editor.now, 3))
        assert observer.tick(due)
    assert moments == [0.5, 30, 120, 300, 600]


def test_nothing_is_due_once_a_document_is_closed() -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("insert", "return a"), ("close",))
    assert editor.observer.next_due() is None
    assert editor.outcomes() == ["accepted:8"]


def test_documents_do_not_know_of_each_other() -> None:
    one = Editor.open(LINE)
    other = Editor.open(LINE, observer=one.observer, uri="file:///project/b.py", offers=1)
    one.play(("offer", "return a"), ("wait", 1))
    other.play(("offer", "return a"), ("wait", 1), ("type", "x"))
    one.play(("wait", 1), ("insert", "return a"))
    one.events += other.events
    assert sorted(one.outcomes()) == ["#2 rejected:0", "accepted:8"]


def findings(editor: Editor) -> list[tuple[str, list[str], list[str]]]:
    return [
        (
            event.completion_id,
            [each["message"] for each in event.payload["added"]],
            [each["message"] for each in event.payload["removed"]],
        )
        for event in editor.events
        if event.kind is Kind.DIAGNOSTICS
    ]


FINDINGS = [
    pytest.param([("find", 1, "bad")], [("#1", ["bad"], [])], id="on its line"),
    pytest.param([("find", 2, "bad")], [("#1", ["bad"], [])], id="on the line below"),
    pytest.param([("find", 0, "bad")], [("#1", ["bad"], [])], id="on the line above"),
    pytest.param([("find", 4, "bad")], [], id="elsewhere"),
    pytest.param([("wait", 11), ("find", 1, "bad")], [], id="too late"),
    pytest.param([("find", 1, "old", ), ("find", 1, "worse")],
                 [("#1", ["old"], []), ("#1", ["old", "worse"], [])], id="summed up"),
    pytest.param([("find", 1, "bad"), ("gone", 2, "bad")],
                 [("#1", ["bad"], []), ("#1", [], [])], id="gone again"),
    pytest.param([("gone", 1, "bad")], [("#1", [], ["bad"])], id="repaired by it"),
    pytest.param([("offer", "; b"), ("insert", "; b"), ("find", 1, "bad")],
                 [("#2", ["bad"], [])], id="of two on the line, the latest"),
    pytest.param([("move", 0), ("offer", "# more"), ("find", 1, "bad")],
                 [("#1", ["bad"], [])], id="not of one that was only offered"),
    pytest.param([("undo",), ("find", 1, "bad")], [], id="not after an undo"),
    pytest.param([("type", "zz"), ("find", 1, "bad")], [], id="not what was typed behind it"),
    pytest.param([("insert", "\n    "), ("find", 1, "bad")], [("#1", ["bad"], [])],
                 id="a new line is no cause"),
    pytest.param([("insert", "\n    "), ("type", "zz"), ("find", 2, "bad")], [],
                 id="not what was typed below it"),
    pytest.param([("insert", "\n    "), ("type", "zz"), ("find", 1, "bad")],
                 [("#1", ["bad"], [])], id="its own line, after typing below it"),
    pytest.param([("insert", "\n    "), ("offer", "b = c"), ("wait", 1), ("insert", "b = c"),
                  ("find", 1, "old"), ("find", 2, "new")],
                 [("#1", ["old"], []), ("#2", ["new"], [])], id="two on lines of their own"),
    pytest.param([("insert_at", 0, "import m\n\n\n"), ("find", 4, "bad")],
                 [("#1", ["bad"], [])], id="moved by an edit above"),
    pytest.param([("insert_at", 0, "import m\n\n\n"), ("find", 0, "bad")], [],
                 id="not of the edit above"),
]  # fmt: skip


@pytest.mark.parametrize(("actions", "expected"), FINDINGS)
def test_findings_are_put_down_to_the_accept_that_can_have_caused_them(
    actions: list[tuple[Any, ...]], expected: list[Any]
) -> None:
    editor = Editor.open("def f(a):\n    |\n\n\nx = 1\n")
    editor.play(("offer", "return a"), ("wait", 1), ("insert", "return a"))
    for verb, *arguments in actions:
        if verb == "gone":
            editor.do_find(*arguments, gone=True)
        else:
            editor.play((verb, *arguments))
    assert findings(editor) == expected


def test_findings_of_another_document_are_no_business_of_this_one() -> None:
    one = Editor.open(LINE)
    other = Editor.open(LINE, observer=one.observer, uri="file:///project/b.py", offers=1)
    one.play(("offer", "return a"), ("wait", 1), ("insert", "return a"))
    other.play(("offer", "return b"), ("wait", 1), ("insert", "return b"), ("find", 1, "bad"))
    assert (findings(one), findings(other)) == ([], [("#2", ["bad"], [])])


def test_an_episode_folded_from_the_events_has_one_outcome() -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("wait", 1), ("insert", "return a"))
    editor.play(("find", 1, "bad"), ("report", "accepted"), ("wait", 700))
    episode = fold(editor.events)
    assert episode is not None
    assert (episode.outcome, episode.inferred, episode.chars_kept) == (Outcome.ACCEPTED, False, 8)
    assert episode.settled_text == "return a"
    assert [finding.message for finding in episode.diagnostics_added] == ["bad"]


def test_a_change_that_was_missed_is_made_up_for() -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("wait", 1))
    editor.text, editor.cursor = "import m\n" + editor.text, editor.cursor + 9
    editor.play(("insert", "return a"))
    assert editor.outcomes() == ["accepted:8"]


def test_edits_that_do_not_lead_to_the_new_text_are_made_up_for() -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("wait", 1))
    before = editor.snapshot()
    after = TextSnapshot(URI, "python", 2, before.text.replace("    ", "    return a"))
    wrong = (TextEdit(-5, 9999, "nonsense"),)
    editor.now += 1
    editor.events += editor.observer.changed(before, after, wrong, editor.now)
    editor.text = after.text
    assert len(editor.outcomes()) == 1


def test_an_edit_of_a_document_without_suggestions_means_nothing() -> None:
    assert Editor.open(LINE).play(("type", "x"), ("find", 1, "bad"), ("close",)).events == []


def test_what_is_followed_is_bounded() -> None:
    observer = EpisodeObserver()
    first = Editor.open(LINE, observer=observer, uri="file:///0")
    first.play(("offer", "return a"))
    for number in range(1, MAX_DOCUMENTS + 1):
        other = Editor.open(LINE, observer=observer, uri=f"file:///{number}", offers=number)
        first.events += other.play(("offer", "return a")).events
    assert "ignored:0" in first.outcomes()
    assert len(observer._documents) == MAX_DOCUMENTS


def test_suggestions_of_one_document_are_bounded() -> None:
    editor = Editor.open("|")
    for _ in range(MAX_TRACKS + 5):
        editor.play(("offer", "x = 1\n"), ("insert", "x = 1\n"))
    assert len(editor.observer._documents[URI].tracks) == MAX_TRACKS
    assert len([said for said in editor.outcomes() if "accepted" in said]) == MAX_TRACKS + 5


def test_a_report_returns_nothing_but_itself() -> None:
    editor = Editor.open(LINE).play(("offer", "return a"), ("wait", 1), ("insert", "return a"))
    later = editor.now + 100
    assert editor.observer.reported("#9", Outcome.ACCEPTED, None, later, "e1") == []
    (event,) = editor.observer.reported("#1", Outcome.ACCEPTED, None, later, "e2")
    assert (event.event_id, event.payload["inferred"]) == ("e2", False)
