"""How training stands, for whoever asks from another process: one small file while it runs."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from falcon_lsp.core.paths import Store, atomic_write, private_folder


class Standing:
    """Follows a trainer's events; `words` puts them in a sentence. Touches no disk."""

    def __init__(self) -> None:
        self.phase, self._steps, self._held = "starting", 0, ""

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the worker's."""
        what = event["event"]
        if what == "phase":
            self.phase, self._steps = str(event["phase"]), 0
        elif what == "step":
            self._steps += 1
        elif what == "leased":
            self.phase, self._steps = "reading episodes", 0
        elif what == "held":
            self._held = str(event["reason"])

    @property
    def words(self) -> str:
        """What goes on, such as ``training, 4 steps`` or ``paused: on battery``."""
        if self._held:
            return f"paused: {self._held}"
        return f"{self.phase}, {self._steps} steps" if self._steps else self.phase


class Announcer:
    """Passes a trainer's events on, and leaves word of them for other processes."""

    def __init__(self, store: Store, emit: Callable[[dict[str, Any]], None]) -> None:
        self._store, self._emit, self._standing = store, emit, Standing()

    def __call__(self, event: dict[str, Any]) -> None:
        """Take in one event; a disk that does not take it is no reason to stop."""
        before = self._standing.words
        self._standing.hear(event)
        if self._standing.words != before:
            body = {"pid": os.getpid(), "words": self._standing.words}
            with contextlib.suppress(OSError):
                private_folder(self._store.locks)
                atomic_write(_file(self._store), json.dumps(body).encode())
        self._emit(event)

    def held(self, reason: str) -> None:
        """Say why training holds; an empty reason: it goes on."""
        self({"event": "held", "reason": reason})


@contextlib.contextmanager
def announced(store: Store, emit: Callable[[dict[str, Any]], None]) -> Iterator[Announcer]:
    """Announce events inside the block; behind it nobody trains any more."""
    try:
        yield Announcer(store, emit)
    finally:
        with contextlib.suppress(OSError):
            _file(store).unlink(missing_ok=True)


def read(store: Store) -> str:
    """Return what the trainer at work left last; empty when none is at work."""
    try:
        body = json.loads(_file(store).read_bytes())
        return str(body["words"]) if psutil.pid_exists(int(body["pid"])) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _file(store: Store) -> Path:
    return store.locks / "training.json"
