"""One arm of the comparison: a server process, its open documents, and hands that type."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falcon_lsp.core.text import Position, PositionEncoding, TextSnapshot, common_length
from falcon_lsp.core.types import Outcome, TextEdit, new_id
from falcon_lsp.lsp.client import LspClient
from falcon_lsp.lsp.convert import ACCEPTED_COMMAND
from falcon_lsp.replay.errors import ReplayError
from falcon_lsp.replay.measures import Tally, similarity
from falcon_lsp.replay.strokes import Hunk, Run, first_line
from falcon_lsp.replay.user import (
    PATIENCE_SECONDS,
    READ_SECONDS,
    Reaction,
    decide,
    is_exact,
    kept_characters,
    words,
)

CURSOR, FEEDBACK, STATUS = "falcon/cursor", "falcon/feedback", "falcon/status"
ANSWER_SECONDS = 60.0
"""A report is answered once it is on disk; a server that takes longer hangs."""
_POLL_SECONDS = 0.1
_UTF16 = PositionEncoding.UTF16

FROZEN = ("learning.enable=false", "learning.instant=false", "memory.record=false")
LEARNED = ("learning.enable=false",)
"""Settings of an arm that learns at once, or not; adapters are trained in neither while it runs."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What tells an arm from the others.

    ``settings`` are NAME=VALUE. Its store begins with copies of ``begins_with`` (files and
    folders), and nothing is typed before the version ``adapter`` answers ('': whichever does).
    """

    settings: Sequence[str]
    begins_with: Sequence[Path] = ()
    adapter: str = ""


TWO_ARMS: Mapping[str, Terms] = {"frozen": Terms(FROZEN), "learned": Terms(LEARNED)}


class Arm:
    """The server of one arm on a store of its own, as an editor drives it."""

    def __init__(self, name: str, folder: Path, terms: Terms) -> None:
        self.name = name
        self.terms = terms
        self.folder = folder
        self.client = LspClient()
        self.open: dict[str, TextSnapshot] = {}
        self._root = folder

    async def start(self, root: Path, cache: Path, settings: Sequence[str]) -> None:
        """Start the server on the workspace ``root``; ``settings`` are NAME=VALUE."""
        self._root = root
        command = [sys.executable, "-P", "-m", "falcon_lsp", "serve", "--stdio"]
        command += ["--data-dir", str(self.folder), "--cache-dir", str(cache)]
        for setting in (*settings, *self.terms.settings):
            command += ["--set", setting]
        quiet = None if os.environ.get("FALCON_LOG") else asyncio.subprocess.DEVNULL
        await self.client.start(command, stderr=quiet)
        await self.client.initialize(root)

    async def ready(self) -> None:
        """Wait for the model and the adapter; raises `ReplayError` with why there is no model."""
        while True:
            status: dict[str, Any] = await self.client.request(STATUS, {})
            if status["state"] == "trouble":
                raise ReplayError(f"the model is not there: {status['message']}")
            if status["state"] != "loading" and self.terms.adapter in ("", status["adapter"]):
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def stop(self) -> None:
        """End the server; what it recorded is on disk then."""
        await self.client.shutdown()

    def show(self, path: str, language: str, text: str) -> None:
        """Have a file of the workspace open that reads ``text``."""
        known = self.open.get(path)
        if known is not None and known.text != text:
            self.hide(path)
        if path not in self.open:
            uri = (self._root / path).as_uri()
            self.client.open(uri, language, text)
            self.open[path] = TextSnapshot(uri, language, 1, text)

    def hide(self, path: str) -> None:
        """Close a file."""
        self.client.close(self.open.pop(path).uri)

    def replace(self, path: str, start: int, end: int, text: str) -> None:
        """Put ``text`` in the place of ``[start, end)``; nothing is said when nothing changes."""
        if start == end and not text:
            return
        before = self.open[path]
        self.client.change(before.uri, _place(before, start), _place(before, end), text)
        self.open[path] = before.apply((TextEdit(start, end, text),), before.version + 1)

    def go_to(self, path: str, offset: int) -> None:
        """Say where the cursor is, as the extension does."""
        line, character = _place(self.open[path], offset)
        place = {"line": line, "character": character}
        self.client.notify(CURSOR, {"uri": self.open[path].uri, "position": place})

    async def ask(self, path: str, offset: int) -> tuple[str, str, float]:
        """Ask for ghost text; returns its id, its text ('' for none) and the milliseconds.

        After `PATIENCE_SECONDS` the question is withdrawn, as an editor does at the next key.
        """
        document = self.open[path]
        begun = time.perf_counter()
        try:
            answer = self.client.inline_completion(document.uri, _place(document, offset))
            items = await asyncio.wait_for(answer, PATIENCE_SECONDS)
        except TimeoutError:
            items = []
        took = (time.perf_counter() - begun) * 1000
        if not items:
            return "", "", took
        return items[0]["command"]["arguments"][0], str(items[0]["insertText"]), took

    async def accept(self, completion_id: str) -> None:
        """Run the command that an accepted item carries, as the editor does."""
        await self._answered(self.client.execute_command(ACCEPTED_COMMAND, completion_id))

    async def report(self, completion_id: str, outcome: Outcome, kept: int = 0) -> None:
        """Say what became of a suggestion, as the extension does."""
        said = {
            "eventId": new_id("evt"), "completionId": completion_id,
            "outcome": outcome.value, "charsKept": kept,
        }  # fmt: skip
        await self._answered(self.client.request(FEEDBACK, said))

    async def _answered(self, answer: Coroutine[Any, Any, Any]) -> None:
        try:
            await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError as error:
            message = f"the {self.name} server does not answer; the same command goes on from here"
            raise ReplayError(message) from error


class Writer:
    """Writes one hunk in one arm: run by run, pasting what lies between.

    After `begin`, whatever was suggested and taken, the text before the caret is the truth up to
    ``done``; after `finish` the file reads as it did in the step.
    """

    def __init__(self, arm: Arm, path: str, hunk: Hunk, seed: str) -> None:
        self._arm, self._path, self._hunk, self._seed = arm, path, hunk, seed
        self._eol = "\r\n" if hunk.ending == "\r\n" else "\n"
        self._decided: set[str] = set()
        self.done = 0

    def begin(self) -> None:
        """Take away what is replaced and open a line for what comes."""
        at = self._hunk.at
        self._arm.replace(self._path, at, at + self._hunk.removed, self._hunk.ending)
        self._arm.go_to(self._path, at)

    async def type(self, run: Run) -> Tally:
        """Type one run and return what was seen; the rest before it is pasted."""
        tally = Tally()
        self._paste(run.start)
        while self.done < run.end:
            if self.done in run.stops and await self._rest(tally):
                continue
            self._insert(self._next_keys())
        return tally

    def finish(self) -> None:
        """Paste what is left of the hunk."""
        self._paste(len(self._hunk.text))

    def _paste(self, end: int) -> None:
        self._insert(self._hunk.text[self.done : end])

    def _insert(self, text: str) -> None:
        at = self._hunk.at + self.done
        self._arm.replace(self._path, at, at, text)
        self.done += len(text)

    def _next_keys(self) -> str:
        """Return one character, or a line end with the indentation that an editor adds to it."""
        text = self._hunk.text[self.done :]
        content = text.lstrip(" \t\r\n")
        white = text[: len(text) - len(content)]
        return white if white[:1] in {"\r", "\n"} and white else text[:1]

    async def _rest(self, tally: Tally) -> bool:
        """Let the hands rest: see what is suggested and react; True when text was taken."""
        caret = self._hunk.at + self.done
        completion_id, text, took = await self._arm.ask(self._path, caret)
        tally.latencies_ms.append(took)
        if not completion_id or completion_id in self._decided:
            return False
        self._decided.add(completion_id)
        text = text.replace("\r\n", "\n").replace("\n", self._eol)
        truth = self._hunk.text[self.done :]
        tally.shown += 1
        tally.exact_lines += is_exact(text, truth)
        tally.similarity += similarity(first_line(text), first_line(truth))
        decision = decide(text, truth, random.Random(f"{self._seed}:{self.done}"))
        if decision.reaction is Reaction.ACCEPT:
            return await self._take_all(completion_id, text, tally)
        if decision.reaction is Reaction.WORDS:
            return await self._take_words(completion_id, text[: decision.taken], tally)
        await asyncio.sleep(READ_SECONDS)
        if decision.reaction is Reaction.ESCAPE:
            await self._arm.report(completion_id, Outcome.REJECTED)
        return False

    async def _take_all(self, completion_id: str, text: str, tally: Tally) -> bool:
        """Take the suggestion and delete what of it is wrong."""
        at = self._hunk.at + self.done
        right = common_length(text, self._hunk.text[self.done :])
        self._arm.replace(self._path, at, at, text)
        await self._arm.accept(completion_id)
        self._arm.replace(self._path, at + right, at + len(text), "")
        self.done += right
        tally.accepted += 1
        tally.kept_chars += kept_characters(text[:right])
        return right > 0

    async def _take_words(self, completion_id: str, text: str, tally: Tally) -> bool:
        taken = 0
        for word in words(text):
            self._insert(word)
            taken += len(word)
            await self._arm.report(completion_id, Outcome.PARTIAL, taken)
        tally.accepted += 1
        tally.kept_chars += kept_characters(text)
        return True


def _place(snapshot: TextSnapshot, offset: int) -> tuple[int, int]:
    where: Position = snapshot.position(offset, _UTF16)
    return where.line, where.character
