"""What the server infers of a session when nobody reports anything, beside what is known of it.

A session is a list of timed messages, one JSON object a line: ``time`` in seconds, ``from``
(``client`` or ``server``) and the ``message`` itself. Simulated ones also hold what the developer
really did, ``from`` ``truth``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from falcon_lsp.core.text import Position
from falcon_lsp.core.types import Outcome, Prompt, Suggestion
from falcon_lsp.lsp.documents import ContentChange, DocumentStore, Range
from falcon_lsp.memory.events import Event, Kind, Place
from falcon_lsp.memory.observer import EpisodeObserver

WAIT_AT_THE_END = 60.0
ESCAPE = "rejected by Escape"
"""Nothing is sent for it: no inference can see it."""
UNREPORTED = "nothing reported"


def read(path: Path) -> list[dict[str, Any]]:
    """Return the messages of a recorded session, in order."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@dataclass
class Replay:
    """Feeds a session to an observer that hears no reports.

    ``inferred`` and ``reported`` map completion ids to the last word about them, ``truth`` to what
    a simulated developer did.
    """

    observer: EpisodeObserver = field(default_factory=EpisodeObserver)
    documents: DocumentStore = field(default_factory=DocumentStore)
    inferred: dict[str, str] = field(default_factory=dict)
    reported: dict[str, str] = field(default_factory=dict)
    truth: dict[str, str] = field(default_factory=dict)
    _asked: dict[Any, tuple[str, Position]] = field(default_factory=dict)
    _offered: set[str] = field(default_factory=set)

    def play(self, session: Iterable[Mapping[str, Any]]) -> Replay:
        """Take in every message; returns itself."""
        now = 0.0
        for entry in session:
            now = float(entry["time"])
            self._hear(self.observer.tick(now))
            getattr(self, f"_from_{entry['from']}")(entry["message"], now)
        self._hear(self.observer.tick(now + WAIT_AT_THE_END))
        return self

    def pairs(self) -> list[tuple[str, str]]:
        """Return what is known and what is inferred of every suggestion that was shown."""
        known = self.truth or self.reported
        return [
            (known.get(name, UNREPORTED), self.inferred.get(name, "none"))
            for name in sorted(self._offered)
        ]

    def _from_truth(self, message: Mapping[str, Any], _now: float) -> None:
        self.truth[message["completionId"]] = message["outcome"]

    def _from_server(self, message: Mapping[str, Any], now: float) -> None:
        uri, position = self._asked.pop(message.get("id"), ("", None))
        snapshot = self.documents.get(uri)
        if snapshot is None or position is None:
            return
        offset = snapshot.offset(position, self.documents.encoding)
        for number, item in enumerate((message.get("result") or {}).get("items", [])):
            name = item["command"]["arguments"][0]
            prompt = Prompt(uri, snapshot.text[:offset], snapshot.text[offset:])
            text = item["insertText"]
            suggestion = Suggestion(name, text, offset, prompt, "model", "", "")
            place = Place(name, "", uri, snapshot.language)
            if number == 0:
                self._offered.add(name)
            self._hear(self.observer.offered(suggestion, place, uri, snapshot, now))

    def _from_client(self, message: Mapping[str, Any], now: float) -> None:
        params = message.get("params") or {}
        match message.get("method"):
            case "textDocument/didOpen":
                document = params["textDocument"]
                self.documents.open(
                    document["uri"], document["languageId"], document["version"], document["text"]
                )
            case "textDocument/didChange":
                self._change(params, now)
            case "textDocument/didClose":
                uri = params["textDocument"]["uri"]
                self.documents.close(uri)
                self._hear(self.observer.closed(uri, now))
            case "textDocument/inlineCompletion":
                where = _position(params["position"])
                self._asked[message["id"]] = (params["textDocument"]["uri"], where)
            case "workspace/executeCommand" if params["command"] == "falcon.accepted":
                self.reported[params["arguments"][0]] = Outcome.ACCEPTED.value
            case "falcon/feedback":
                said = params["outcome"]
                known = ESCAPE if said == Outcome.REJECTED else said
                self.reported[params["completionId"]] = known

    def _change(self, params: Mapping[str, Any], now: float) -> None:
        document = params["textDocument"]
        changes = [
            ContentChange(change["text"], _range(change.get("range")))
            for change in params["contentChanges"]
        ]
        done = self.documents.change(document["uri"], document["version"], changes)
        if done is not None:
            self._hear(self.observer.changed(done.before, done.after, done.edits, now))

    def _hear(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.kind is Kind.OUTCOME and event.payload["outcome"] != Outcome.SHOWN:
                self.inferred[event.completion_id] = event.payload["outcome"]


def _range(raw: Mapping[str, Any] | None) -> Range | None:
    return None if raw is None else Range(_position(raw["start"]), _position(raw["end"]))


def _position(raw: Mapping[str, Any]) -> Position:
    return Position(raw["line"], raw["character"])
