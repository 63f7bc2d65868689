"""The frozen regression set: ordinary code that every adapter must still be able to complete.

Holes cut from this project's own sources, so that nobody else's licence is involved. The file is
built once and not rebuilt with the code, else figures over time could not be compared.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from falcon_lsp.core.types import Prompt

PREFIX_CHARS = 600
SUFFIX_CHARS = 200


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a file and the text that stands there; ``path`` is relative to the project."""

    path: str
    prefix: str
    suffix: str
    middle: str

    @property
    def prompt(self) -> Prompt:
        """The question to which ``middle`` is the answer."""
        return Prompt(self.path, self.prefix, self.suffix)


def regression_set() -> list[Hole]:
    """Return the holes that ship with the package."""
    text = resources.files("falcon_lsp.data").joinpath("regression.jsonl").read_text("utf-8")
    return [Hole(**json.loads(line)) for line in text.splitlines() if line]


def cut_holes(root: Path, files: Iterable[Path], count: int, seed: int = 0) -> list[Hole]:
    """Cut ``count`` rest-of-line holes out of ``files``, evenly, deterministic for a seed."""
    rng = random.Random(seed)
    sources = sorted(files)
    rng.shuffle(sources)
    holes = []
    for number in range(count):
        path = sources[number % len(sources)]
        text = path.read_text("utf-8")
        lines = [at for at in range(len(text)) if at == 0 or text[at - 1] == "\n"]
        long = [at for at in lines if len(text[at:].partition("\n")[0].strip()) >= 12]
        start = rng.choice(long)
        line = text[start:].partition("\n")[0]
        indent = len(line) - len(line.lstrip())
        cut = start + rng.randint(indent, len(line) - 6)
        end = start + len(line)
        first = text.find("\n", max(0, cut - PREFIX_CHARS)) + 1
        begin = first if 0 < first <= start else max(0, cut - PREFIX_CHARS)
        name = path.relative_to(root).as_posix()
        holes.append(Hole(name, text[begin:cut], text[end : end + SUFFIX_CHARS], text[cut:end]))
    return holes


def main() -> None:
    """Write a new set; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder that holds falcon_lsp")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--count", type=int, default=40)
    args = parser.parse_args()
    files = [file for file in args.root.rglob("*.py") if file.stat().st_size > 1500]
    holes = cut_holes(args.root, files, args.count)
    rows = "".join(json.dumps(asdict(hole)) + "\n" for hole in holes)
    args.out.write_text(rows, "utf-8")


if __name__ == "__main__":
    main()
