"""An editor with our extension, as far as the wire shows it: what it sends, in which order."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from falcon_lsp.core.text import PositionEncoding, TextSnapshot
from falcon_lsp.core.types import TextEdit

PAIRS = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'"}


@dataclass
class Clock:
    """Seconds since the start; shared by all documents of a session."""

    now: float = 1000.0


@dataclass
class Document:
    """An open document; ``cursor`` counts code points. Everything that it does is sent."""

    uri: str
    text: str
    rng: random.Random
    clock: Clock
    sent: list[dict[str, Any]]
    cursor: int = 0
    version: int = 1
    offers: int = 0
    closers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open it."""
        document = {"uri": self.uri, "languageId": "python", "version": 1, "text": self.text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def send(self, who: str, message: dict[str, Any]) -> None:
        """Put a message on the wire, a little later than the one before."""
        self.clock.now += self.rng.uniform(0.001, 0.01)
        self.sent.append({"time": round(self.clock.now, 4), "from": who, "message": message})

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification, or a request whose answer does not matter."""
        self.send("client", {"method": method, "params": params})

    def change(self, *edits: TextEdit, cursor: int, whole: bool = False) -> None:
        """Send edits, each in the text that the one before left, or the whole text."""
        changes = []
        for edit in edits:
            changes.append({"range": self._range(edit), "text": edit.new_text})
            self.text = self.text[: edit.start] + edit.new_text + self.text[edit.end :]
        if whole:
            changes = [{"text": self.text}]
        self.version, self.cursor = self.version + 1, cursor
        document = {"uri": self.uri, "version": self.version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": changes})

    def insert(self, text: str) -> None:
        """Insert at the cursor in one change."""
        at = self.cursor
        self.change(TextEdit(at, at, text), cursor=at + len(text))

    def key(self, character: str) -> None:
        """Press a key: brackets and quotes close themselves, closers are typed over."""
        at = self.cursor
        if self.closers and character == self.closers[-1] and self.text[at : at + 1] == character:
            self.closers.pop()
            self.change(TextEdit(at, at + 1, character), cursor=at + 1)
        elif character in PAIRS and self.text[at : at + 1] in {"", "\n", "\r", *self.closers}:
            self.closers.append(PAIRS[character])
            self.change(TextEdit(at, at, character + PAIRS[character]), cursor=at + 1)
        else:
            self.insert(character)

    def drop_closers(self) -> None:
        """Delete the closers that were added and not typed over (the line is finished)."""
        count = len(self.closers)
        self.closers.clear()
        if count and self.text[self.cursor : self.cursor + count].strip("\r\n"):
            self.change(TextEdit(self.cursor, self.cursor + count, ""), cursor=self.cursor)

    def offer(self, name: str, text: str) -> None:
        """Ask for ghost text and get ``text``."""
        self.offers += 1
        request = f"{self.uri}#{self.offers}"
        where = self._place(self.cursor)
        params = {"textDocument": {"uri": self.uri}, "position": where}
        method = "textDocument/inlineCompletion"
        self.send("client", {"id": request, "method": method, "params": params})
        command = {"command": "falcon.accepted", "arguments": [name]}
        items = [{"insertText": text, "command": command}]
        self.clock.now += self.rng.uniform(0.05, 0.25)
        self.send("server", {"id": request, "result": {"items": items}})

    def accept(self, name: str, text: str) -> None:
        """Take ghost text: the editor inserts it, then runs its command."""
        eol = "\r\n" if "\r\n" in self.text else "\n"
        self.insert(text.replace("\n", eol))
        params = {"command": "falcon.accepted", "arguments": [name]}
        self.notify("workspace/executeCommand", params)

    def report(self, name: str, outcome: str, kept: int = 0) -> None:
        """Report what the extension's keys and its eye for undo tell."""
        params = {"completionId": name, "outcome": outcome, "charsKept": kept}
        self.notify("falcon/feedback", params)

    def close(self) -> None:
        """Close it."""
        self.notify("textDocument/didClose", {"textDocument": {"uri": self.uri}})

    def _range(self, edit: TextEdit) -> dict[str, Any]:
        return {"start": self._place(edit.start), "end": self._place(edit.end)}

    def _place(self, offset: int) -> dict[str, int]:
        snapshot = TextSnapshot(self.uri, "python", self.version, self.text)
        place = snapshot.position(offset, PositionEncoding.UTF16)
        return {"line": place.line, "character": place.character}
