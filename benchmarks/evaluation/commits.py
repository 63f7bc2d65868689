"""Cursors in the history of projects: a developer in the middle of a commit.

A commit's changes are put into some order. Those before the drawn one have been made (they are the
recent edits), the files that the commit touches are open, and of the drawn change everything from
the cursor on is still to be written. So open files and edits are what a developer really had.
"""

from __future__ import annotations

import difflib
import hashlib
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from falcon_lsp.completion.sources import OpenDocument
from falcon_lsp.core.types import CompletionRequest, Snippet

SEED = 12
SKIPPED = re.compile(r"(^|/)(tests?|testing|_?vendor(ed)?|third_party|docs?|examples?)/")
MOST_FILES, MOST_LINES = 12, 60
"""Larger commits and changes are hardly written by hand."""
HOLE_LINES = 4
SHORTEST_LINE = 8
LARGEST = 200_000
EDIT_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Change:
    """Lines ``first:last`` of the old text of ``path`` become ``new``."""

    path: str
    first: int
    last: int
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """A cursor in a commit. ``hole`` is what was written there: the rest of the line and more."""

    project: str
    commit: str
    request: CompletionRequest
    hole: str
    documents: tuple[OpenDocument, ...]
    edits: tuple[Snippet, ...]

    @property
    def truth(self) -> str:
        """The rest of the cursor's line."""
        return self.hole.split("\n", 1)[0]


class History:
    """A git checkout, read at any commit; nothing in it is executed or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def commits(self, count: int) -> list[str]:
        """Return the last ``count`` commits that change Python files, merges left out."""
        return self._git(
            "log", "--no-merges", "--format=%H", f"-{count}", "HEAD", "--", "*.py"
        ).split()

    def changed(self, commit: str) -> list[str]:
        """Return the Python files that a commit modifies."""
        arguments = ("diff-tree", "-r", "--no-commit-id", "--name-only", "--diff-filter=M")
        return [path for path in self._git(*arguments, commit).split("\n") if path.endswith(".py")]

    @lru_cache(maxsize=256)  # noqa: B019 - a handful of objects that live as long as the process
    def text(self, commit: str, path: str) -> str | None:
        """Return a file at a commit; None where there is none."""
        try:
            return self._git("show", f"{commit}:{path}").replace("\r\n", "\n")
        except (subprocess.CalledProcessError, UnicodeDecodeError):
            return None

    @lru_cache(maxsize=64)  # noqa: B019 - as above
    def files(self, commit: str) -> frozenset[str]:
        """Return the paths of all Python files at a commit."""
        listed = self._git("ls-tree", "-r", "--name-only", commit).split("\n")
        return frozenset(path for path in listed if path.endswith(".py"))

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), "-c", "core.quotePath=off", *arguments]
        done = subprocess.run(command, capture_output=True, check=True)
        return done.stdout.decode("utf-8")


def draw_moments(folder: Path, project: str, count: int, depth: int = 400) -> list[Moment]:
    """Draw at most ``count`` moments, each in a commit of its own, in an order set by `SEED`."""
    history = History(folder)
    commits = sorted(history.commits(depth), key=lambda commit: _rank(project + commit))
    found = (draw_moment(history, project, commit) for commit in commits)
    return [moment for _, moment in zip(range(count), filter(None, found), strict=False)]


def draw_moment(history: History, project: str, commit: str) -> Moment | None:
    """Draw a cursor in what a commit adds; None where it adds no code by hand."""
    rng = random.Random(f"{SEED}:{project}:{commit}")
    paths = history.changed(commit)
    if not 0 < len(paths) <= MOST_FILES:
        return None
    rng.shuffle(paths)
    before = {path: history.text(f"{commit}^", path) for path in paths}
    after = {path: history.text(commit, path) for path in paths}
    texts = {path: text for path, text in before.items() if text is not None}
    changes = [
        change for path in texts for change in _changes(path, texts[path], after[path] or "")
    ]
    order = list(range(len(changes)))
    rng.shuffle(order)
    for index in order:
        drawn = _draw_cursor(rng, changes[index])
        if drawn is not None:
            return _moment(project, commit, texts, changes, index, drawn)
    return None


def _changes(path: str, old: str, new: str) -> Iterator[Change]:
    """Yield the changes of one file, top down."""
    left, right = old.split("\n"), new.split("\n")
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind != "equal":
            yield Change(path, first, last, tuple(right[begin:end]))


def _draw_cursor(rng: random.Random, change: Change) -> tuple[int, int] | None:
    """Draw line and column of a cursor in a change's new lines; None where they are no code."""
    if SKIPPED.search(change.path) or len(change.new) > MOST_LINES:
        return None
    places = [
        row
        for row, line in enumerate(change.new)
        if len(line.strip()) >= SHORTEST_LINE and re.match(r"\s*[\w@(\[{*]", line)
        and re.search(r"[=(:.\[]|\breturn\b|\bimport\b", line)
        and not re.match(r"\s*[A-Z][a-z]+ [a-z]", line)
    ]  # fmt: skip
    if not places:
        return None
    row = rng.choice(places)
    line = change.new[row]
    return row, rng.randrange(len(line) - len(line.lstrip()), len(line.rstrip()) - 1)


def _moment(
    project: str,
    commit: str,
    texts: dict[str, str],
    changes: list[Change],
    index: int,
    cursor: tuple[int, int],
) -> Moment | None:
    change, (row, column) = changes[index], cursor
    made = changes[:index]
    written = (*change.new[:row], change.new[row][:column])
    here = _apply(texts[change.path], [c for c in made if c.path == change.path])
    shift = sum(len(c.new) - (c.last - c.first) for c in made if c.path == change.path)
    lines = here.split("\n")
    first = change.first + shift
    above, below = lines[:first], lines[change.last + shift :]
    prefix = "\n".join((*above, *written))
    text = "\n".join((prefix, *below))
    hole = "\n".join((change.new[row][column:], *change.new[row + 1 : row + HOLE_LINES])).rstrip()
    if len(text) > LARGEST or hole.strip() in ("", '"""'):
        return None
    request = CompletionRequest(
        change.path, change.path, project, "python", 0, text, len(prefix)
    )
    paths = dict.fromkeys([c.path for c in reversed(made)] + list(texts))
    documents = tuple(
        OpenDocument(path, "python", _apply(texts[path], [c for c in made if c.path == path]), -at)
        for at, path in enumerate(path for path in paths if path != change.path)
    )
    edits = tuple(
        Snippet(each.path, "\n".join(each.new)[:EDIT_CHARACTERS])
        for each in reversed(made)
        if "".join(each.new).strip()
    )
    return Moment(project, commit, request, hole, documents, edits)


def _apply(text: str, changes: list[Change]) -> str:
    lines = text.split("\n")
    for change in reversed(changes):
        lines[change.first : change.last] = change.new
    return "\n".join(lines)


def _rank(text: str) -> str:
    return hashlib.sha256(f"{SEED}:{text}".encode()).hexdigest()
