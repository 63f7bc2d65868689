"""What a replay has done so far, on disk, so that the same command goes on after a kill."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from falcon_lsp.core.paths import atomic_write
from falcon_lsp.replay.measures import Pair, Tally

VERSION = 2
_FILE = "state.json"


@dataclass(slots=True)
class State:
    """``begun`` steps were begun, the last of them perhaps not finished; ``spent`` is in seconds.

    A step that was begun is never typed again: the learning arm has seen a part of it. ``typed``
    names the steps of the ``pairs``; when ``done``, there is nothing left to type.
    """

    folder: Path
    identity: str
    begun: int = 0
    spent: float = 0.0
    lines: int = 0
    pairs: list[Pair] = field(default_factory=list)
    typed: list[int] = field(default_factory=list)
    done: bool = False

    def save(self) -> None:
        """Write everything, so that a crash leaves all of the old or all of the new."""
        body = {
            "version": VERSION, "identity": self.identity, "begun": self.begun,
            "spent": self.spent, "lines": self.lines, "typed": self.typed, "done": self.done,
            "pairs": [{arm: t.as_dict() for arm, t in pair.items()} for pair in self.pairs],
        }  # fmt: skip
        atomic_write(self.folder / _FILE, json.dumps(body).encode())


def load(folder: Path, identity: str) -> State | None:
    """Return what was saved in ``folder`` about ``identity``; None where no line was typed yet."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        body: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        if body["version"] == VERSION and body["identity"] == identity and body["lines"]:
            pairs = [{arm: Tally(**t) for arm, t in pair.items()} for pair in body["pairs"]]
            return State(
                folder, identity, int(body["begun"]), float(body["spent"]), int(body["lines"]),
                [*pairs], [*map(int, body["typed"])], bool(body["done"]),
            )  # fmt: skip
    return None


def folder_of(cache: Path, identity: str) -> Path:
    """Return where the replay ``identity`` keeps its state and the stores of its arms."""
    return cache.absolute() / "replay" / hashlib.sha256(identity.encode()).hexdigest()[:16]
