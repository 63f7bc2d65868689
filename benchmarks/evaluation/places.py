"""Cursors in code that nothing here was trained on: the projects of never-train.txt.

Their wheels are pinned in ``benchmarks/data/never-train-packages.txt`` and fetched once. A hash of
each file's path puts it into the development draw (for choices) or the test draw (for reports).
"""

from __future__ import annotations

import ast
import hashlib
import random
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from evaluation.problems import DATA
from falcon_lsp.core.types import CompletionRequest

PACKAGES = DATA / "never-train-packages.txt"
SEED = 11
SMALLEST, LARGEST = 1_500, 80_000
SHORTEST_LINE = 8
TRIES = 50
SKIPPED = re.compile(r"(^|/)(tests?|testing|_?vendor(ed)?|third_party|docs?|examples?)/")
"""Folders whose files are no typical work on the project, or are another project's."""


@dataclass(frozen=True, slots=True)
class File:
    """A module of a never-train project; ``path`` is that in its wheel."""

    package: str
    path: str
    text: str

    @property
    def in_development(self) -> bool:
        """Whether choices may be made on it: one file in four."""
        return hashlib.sha256(self.path.encode()).digest()[0] % 4 == 0


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor inside a line of a file; ``truth`` is the rest of that line."""

    file: File
    offset: int
    truth: str

    @property
    def request(self) -> CompletionRequest:
        """What the editor would ask with the rest of the line not written yet."""
        end = self.offset + len(self.truth)
        text = self.file.text[: self.offset] + self.file.text[end:]
        path = self.file.path
        return CompletionRequest(path, path, self.file.package, "python", 0, text, self.offset)


def pinned() -> list[str]:
    """Return the requirements of the packages, such as ``click==8.5.1``."""
    lines = PACKAGES.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def fetch(folder: Path) -> list[Path]:
    """Return the wheels of the pinned packages, downloading what ``folder`` lacks."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in pinned() if _find(folder, name) is None]
    if missing:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input",
                   "--disable-pip-version-check", "--only-binary=:all:"]  # fmt: skip
        subprocess.run([*command, "--dest", str(folder), *missing], check=True)
    wheels = [_find(folder, name) for name in pinned()]
    return [wheel for wheel in wheels if wheel is not None]


@lru_cache
def projects(folder: Path) -> dict[str, list[File]]:
    """Return every module of each package that an editor could have open."""
    found = {}
    for name, wheel in zip(pinned(), fetch(folder), strict=True):
        package = name.partition("==")[0]
        with zipfile.ZipFile(wheel) as archive:
            found[package] = [
                File(package, info.filename, text.replace("\r\n", "\n"))
                for info in archive.infolist()
                if _is_source(info) and (text := _decoded(archive.read(info))) is not None
            ]
    return found


def draw_files(folder: Path, count: int, *, development: bool = False) -> list[File]:
    """Draw ``count`` different files, one of each package in turn, in an order set by `SEED`."""
    pools = {
        name: sorted((f for f in files if f.in_development is development), key=_rank)
        for name, files in projects(folder).items()
    }
    drawn: list[File] = []
    for turn in range(max(map(len, pools.values()))):
        drawn += [pool[turn] for pool in pools.values() if turn < len(pool)]
    return drawn[:count]


def draw_places(folder: Path, count: int, *, development: bool = False) -> list[Place]:
    """Draw one cursor in each of ``count`` files."""
    everything = draw_files(folder, 10**9, development=development)
    found = (draw_place(file) for file in everything)
    places = (place for place in found if place is not None)
    return [place for _, place in zip(range(count), places, strict=False)]


def draw_place(file: File) -> Place | None:
    """Draw a cursor inside a line of code; None when `TRIES` draws hit nothing but prose."""
    rng = random.Random(f"{SEED}:{file.path}")
    lines = file.text.split("\n")
    prose = set(prose_lines(file.text))
    for _ in range(TRIES):
        number = rng.randrange(len(lines))
        line = lines[number].rstrip()
        code = line.strip()
        if number in prose or len(code) < SHORTEST_LINE or code.startswith("#"):
            continue
        column = rng.randrange(len(line) - len(code), len(line) - 1)
        offset = sum(len(text) + 1 for text in lines[:number]) + column
        return Place(file, offset, line[column:])
    return None


def fingerprint(places: list[Place]) -> str:
    """Return the SHA-256 of what was drawn, the files' content included."""
    digest = hashlib.sha256()
    for place in places:
        digest.update(f"{place.file.path}:{place.offset}:{place.truth}\n".encode())
    return digest.hexdigest()


def _rank(file: File) -> str:
    return hashlib.sha256(f"{SEED}:{file.path}".encode()).hexdigest()


def _find(folder: Path, requirement: str) -> Path | None:
    name, _, version = requirement.partition("==")
    for wheel in sorted(folder.glob("*.whl")):
        parts = wheel.name.split("-")
        if _normalised(parts[0]) == _normalised(name) and parts[1] == version:
            return wheel
    return None


def _normalised(name: str) -> str:
    """Return a distribution's name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_source(info: zipfile.ZipInfo) -> bool:
    path = info.filename
    fits = SMALLEST <= info.file_size <= LARGEST
    return path.endswith(".py") and fits and not SKIPPED.search(path)


def _decoded(content: bytes) -> str | None:
    """Return the text of a module that parses, else None."""
    try:
        text = content.decode("utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (UnicodeDecodeError, SyntaxError, ValueError):
        return None
    return text


def prose_lines(text: str) -> Iterator[int]:
    """Yield the lines, from 0, on which a docstring or another string begins or goes on."""
    lines = text.split("\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = ast.walk(ast.parse(text))
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.end_lineno:
            begins = lines[node.lineno - 1].lstrip().startswith(('"', "'", 'r"', "r'"))
            if begins or node.end_lineno > node.lineno:
                yield from range(node.lineno - 1, node.end_lineno)
