"""How the session was made: a typist by the numbers, the same from the same seed.

    python -m keystrokes.record --wheels FOLDER      # in the folder benchmarks

Lines of code are missing in the files; the typist goes to one after the other and types them as
they stood there, with slips, second thoughts, pauses, and an editor that closes brackets and
indents. Intervals between keys are log-normal with a median of 150 ms: quicker than the mean of
239 ms of 168,000 typists (Dhakal et al. 2018, doi 10.1145/3173574.3174220), which leaves a server
less time.
"""

from __future__ import annotations

import argparse
import ast
import math
import random
from collections.abc import Iterator
from pathlib import Path

from evaluation import places
from evaluation.places import File
from falcon_lsp.core.paths import sha256_file
from keystrokes.recording import RECORDING, Part, Recording, Step

SEED = 5
LONG, SHORT = 5, 12
"""Files that are worked in, and files that are opened for a few keystrokes."""
HOLES, SHORT_KEYS = 3, 6
HOLE_CHARACTERS = range(16, 41)
FILE_CHARACTERS = range(3_000, 40_000)

MEDIAN_KEY, SPREAD, KEY_RANGE = 0.150, 0.35, (0.05, 0.45)
PAUSE, PAUSE_AFTER_LINE, LONGER = 0.05, 0.4, 0.35
"""Chances of a pause before a key and before a new line's first; a pause takes half a second and,
exponentially distributed, so many seconds more on average, up to `LONGEST` in all."""
LONGEST = 3.0
SLIP, SECOND_THOUGHT = 0.03, 0.015
"""Chances that a wrong letter is typed first, and that the last few characters are typed again."""
READING = (0.5, 1.5)
"""Seconds from opening a file to its first keystroke."""
BRACKETS = {"(": ")", "[": "]", "{": "}"}
ABOUT = {
    "seed": SEED,
    "median_key_ms": MEDIAN_KEY * 1000,
    "log_normal_sigma": SPREAD,
    "pauses_s": [0.5, LONGEST],
    "reading_s": READING,
}


class Typist:
    """One file and the hands on the keyboard; `steps` grows."""

    def __init__(self, original: str, holes: list[tuple[int, int]], rng: random.Random) -> None:
        self.original, self.rng = original, rng
        self.steps: list[Step] = []
        self.removed = list(holes)
        self.closers: list[int] = []
        self.cursor = self.source = 0

    def go_to(self, hole: tuple[int, int]) -> None:
        """Put the cursor where ``hole`` is; it counts as there from now on."""
        self.removed.remove(hole)
        missing = sum(end - start for start, end in self.removed if end <= hole[0])
        self.cursor, self.source = hole[0] - missing, hole[0]
        if self.steps:
            self.step(_pause(self.rng), self.cursor, 0, "", self.cursor, self.source)

    def fill(self, hole: tuple[int, int], keys: int) -> None:
        """Type what is missing, at most ``keys`` keys of it."""
        last = len(self.steps) + keys
        while self.source < hole[1] and len(self.steps) < last:
            if self.rng.random() < SLIP and self.original[self.source].isalpha():
                self.slip()
            elif self.rng.random() < SECOND_THOUGHT:
                self.think_again(hole[0])
            self.key()

    def key(self) -> None:
        """Type the next character; the editor closes brackets and indents."""
        character, at = self.original[self.source], self.cursor
        if character == "\n":
            end = self.source + 1
            while self.original[end] == " ":
                end += 1
            self.type((self.source, end), at + end - self.source, end)
        elif self.closers and self.closers[-1] == self.source:
            self.closers.pop()
            self.type((self.source, self.source + 1), at + 1, self.source + 1, cut=1)
        elif (closer := _closer(self.original, self.source)) is not None:
            self.closers.append(closer)
            self.type(character + BRACKETS[character], at + 1, self.source + 1)
        else:
            self.type((self.source, self.source + 1), at + 1, self.source + 1)

    def slip(self) -> None:
        """Type a wrong letter, see it, and take it away."""
        at, wrong = self.cursor, self.rng.choice("abcdefghijklmnopqrstuvwxyz")
        self.step(self.delay(), at, 0, wrong, at + 1, None)
        self.step(self.delay() * 1.5, at, 1, "", at, self.source)

    def think_again(self, start: int) -> None:
        """Delete up to four characters of the word before the cursor, one after the other."""
        for _ in range(self.rng.randint(2, 4)):
            if self.source <= start or not self.original[self.source - 1].isalnum():
                return
            self.source -= 1
            self.cursor -= 1
            self.step(self.delay(), self.cursor, 1, "", self.cursor, self.source)

    def type(self, add: str | tuple[int, int], cursor: int, source: int, cut: int = 0) -> None:
        """Put in ``add`` and go on."""
        self.step(self.delay(), self.cursor, cut, add, cursor, source)
        self.cursor, self.source = cursor, source

    def step(
        self, delay: float, at: int, cut: int, add: str | tuple[int, int], cursor: int,
        source: int | None,
    ) -> None:  # fmt: skip
        """Note a step; delays are kept to the millisecond, as in the file."""
        self.steps.append(Step(round(delay, 3), at, cut, add, cursor, source))

    def delay(self) -> float:
        """Draw the seconds before the next key."""
        fresh = self.original[: self.source].rstrip(" ").endswith("\n")
        if self.rng.random() < (PAUSE_AFTER_LINE if fresh else PAUSE):
            return _pause(self.rng)
        drawn = self.rng.lognormvariate(math.log(MEDIAN_KEY), SPREAD)
        return min(max(drawn, KEY_RANGE[0]), KEY_RANGE[1])


def main() -> None:
    """Draw files and holes, type, and write the recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="folder of the wheels")
    parser.add_argument("--out", type=Path, default=RECORDING)
    arguments = parser.parse_args()
    recording = record(arguments.wheels)
    recording.write(arguments.out)
    parts = recording.parts
    keys, seconds = sum(part.keys for part in parts), sum(part.seconds for part in parts)
    print(f"{len(parts)} files, {keys} keystrokes, {seconds:.0f} s")


def record(wheels: Path) -> Recording:
    """Return a session in files of the projects that nothing is trained on."""
    drawn = list(_files(wheels))[: LONG + SHORT]
    pins = [_pin(file.package, wheels) for file in drawn]
    parts = [_part(file, is_long=at < LONG) for at, file in enumerate(drawn)]
    random.Random(SEED).shuffle(parts)
    return Recording({**ABOUT, "wheels": pins}, tuple(parts))


def _files(wheels: Path) -> Iterator[File]:
    """Yield one file of each project, of middling size, in ASCII, with enough to leave out."""
    pure = {name for name, wheel in _wheels(wheels) if wheel.stem.endswith("-none-any")}
    seen: set[str] = set()
    for file in places.draw_files(wheels, 10**9):
        fits = len(file.text) in FILE_CHARACTERS and file.text.isascii()
        fits = fits and "test" not in file.path
        if fits and file.package in pure - seen and len(_holes(file.text)) >= HOLES * 4:
            seen.add(file.package)
            yield file


def _part(file: File, *, is_long: bool) -> Part:
    rng = random.Random(f"{SEED}:{file.path}")
    holes = rng.sample(_holes(file.text), HOLES if is_long else 1)
    typist = Typist(file.text, holes, rng)
    pause = round(rng.uniform(*READING), 3)
    for hole in holes:
        typist.go_to(hole)
        typist.fill(hole, 10**9 if is_long else SHORT_KEYS)
    return Part(file.package, file.path, file.text, (*sorted(holes),), pause, (*typist.steps,))


def _holes(text: str) -> list[tuple[int, int]]:
    """Return one or two lines of code each, without their first indentation; none touch."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    found: list[tuple[int, int]] = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.stmt) or isinstance(node, ast.Expr | ast.Import):
            continue
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        start, end = starts[first] + node.col_offset, starts[last] + len(lines[last])
        inner = node.col_offset > 0 and lines[first][: node.col_offset].isspace()
        if inner and last - first <= 1 and end - start in HOLE_CHARACTERS:
            found.append((start, end))
    apart = [each for each in sorted(found) if each[1] - each[0] in HOLE_CHARACTERS]
    return [b for a, b in zip([(0, -2), *apart], apart, strict=False) if b[0] > a[1] + 1]


def _closer(text: str, opener: int) -> int | None:
    """Return where the bracket at ``opener`` closes, if it does on the same line."""
    if text[opener] not in BRACKETS:
        return None
    depth, line_end = 0, text.find("\n", opener)
    for at in range(opener, line_end if line_end >= 0 else len(text)):
        depth += (text[at] in BRACKETS) - (text[at] in BRACKETS.values())
        if depth == 0:
            return at if text[at] == BRACKETS[text[opener]] else None
    return None


def _pin(package: str, wheels: Path) -> dict[str, str]:
    wheel = dict(_wheels(wheels))[package]
    version = wheel.name.split("-")[1]
    return {
        "package": package,
        "version": version,
        "file": wheel.name,
        "sha256": sha256_file(wheel),
    }


def _wheels(folder: Path) -> list[tuple[str, Path]]:
    """Return each project's name with its wheel."""
    names = (requirement.partition("==")[0] for requirement in places.pinned())
    return list(zip(names, places.fetch(folder), strict=True))


def _pause(rng: random.Random) -> float:
    return min(0.5 + rng.expovariate(1 / LONGER), LONGEST)


if __name__ == "__main__":
    main()
