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
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from evaluation.places import prose_lines
from evaluation.problems import DATA
from falcon_lsp.completion.sources import OpenDocument
from falcon_lsp.core.types import CompletionRequest, Snippet

PROJECTS = DATA / "context-projects.toml"
SEED = 12
SKIPPED = re.compile(
    r"(^|/)((tests?|testing|_?vendor(ed)?|third_party|docs?|examples?)/|setup\.py|_*(version|meta))"
)
"""Files that are no typical work on the project."""
MOST_FILES, MOST_LINES = 12, 60
"""Larger commits and changes are hardly written by hand."""
EARLIER_COMMITS, EARLIER_FILES = 4, 3
"""Files that the commits before touched are still open."""
HOLE_LINES = 4
SHORTEST_LINE = 8
LARGEST = 200_000
EDIT_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Change:
    """Lines ``first:last`` of the old text of ``path`` become ``new``, from line ``begin`` on."""

    path: str
    first: int
    last: int
    begin: int
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


@dataclass(frozen=True, slots=True)
class Project:
    """A repository on GitHub (``owner/name``), at the commit with which its history ends here."""

    repository: str
    head: str

    @property
    def name(self) -> str:
        """The repository's name, which is that of its checkout."""
        return self.repository.rpartition("/")[2]


def projects(part: str) -> list[Project]:
    """Return the projects of a part, ``development`` or ``reported``."""
    listed = tomllib.loads(PROJECTS.read_text(encoding="utf-8"))[part]
    return [Project(repository, head) for repository, head in listed.items()]


class History:
    """A git checkout, read at any commit; nothing in it is executed.

    What ``folder`` lacks is cloned from GitHub.
    """

    def __init__(self, folder: Path, project: Project) -> None:
        self.project = project
        self._checkout = folder / project.name
        if not self._checkout.exists():
            address = f"https://github.com/{project.repository}"
            subprocess.run(["git", "clone", "--bare", address, str(self._checkout)], check=True)

    def commits(self, count: int) -> list[str]:
        """Return the last ``count`` commits that change Python files, merges left out."""
        return self._git(
            "log", "--no-merges", "--format=%H", f"-{count}", self.project.head, "--", "*.py"
        ).split()

    def changed_before(self, commit: str, count: int) -> list[str]:
        """Return the Python files that ``count`` commits before ``commit`` touched, last first."""
        command = ("log", "--no-merges", "--format=", "--name-only", f"-{count}", f"{commit}^")
        listed = self._git(*command, "--", "*.py").split("\n")
        return list(dict.fromkeys(path for path in listed if path))

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
        command = ["git", "-C", str(self._checkout), "-c", "core.quotePath=off", *arguments]
        done = subprocess.run(command, capture_output=True, check=True)
        return done.stdout.decode("utf-8")


def draw_moments(history: History, count: int, depth: int = 400) -> list[Moment]:
    """Draw at most ``count`` moments, each in a commit of its own of the last ``depth``."""
    commits = sorted(
        history.commits(depth), key=lambda commit: _rank(history.project.name + commit)
    )
    found = (draw_moment(history, commit) for commit in commits)
    return [moment for _, moment in zip(range(count), filter(None, found), strict=False)]


def draw_moment(history: History, commit: str) -> Moment | None:
    """Draw a cursor in what a commit adds; None where it adds no code by hand."""
    project = history.project.name
    rng = random.Random(f"{SEED}:{project}:{commit}")
    paths = sorted(history.changed(commit))
    if not 0 < len(paths) <= MOST_FILES:
        return None
    rng.shuffle(paths)
    before = {path: history.text(f"{commit}^", path) for path in paths}
    after = {path: history.text(commit, path) for path in paths}
    texts = {path: text for path, text in before.items() if text is not None}
    earlier = _opened_earlier(history, commit, texts)
    changes = [
        change for path in texts for change in _changes(path, texts[path], after[path] or "")
    ]
    order = list(range(len(changes)))
    rng.shuffle(order)
    for index in order:
        drawn = _draw_cursor(rng, changes[index], after[changes[index].path] or "")
        if drawn is not None:
            return _moment(project, commit, texts | earlier, changes, index, drawn)
    return None


def _opened_earlier(history: History, commit: str, known: dict[str, str]) -> dict[str, str]:
    """Return the files that the commits just before changed, the last first, as they stand now."""
    paths = [path for path in history.changed_before(commit, EARLIER_COMMITS) if path not in known]
    texts = {path: history.text(f"{commit}^", path) for path in paths[:EARLIER_FILES]}
    return {path: text for path, text in texts.items() if text is not None}


def _changes(path: str, old: str, new: str) -> Iterator[Change]:
    """Yield the changes of one file, top down."""
    left, right = old.split("\n"), new.split("\n")
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind != "equal":
            yield Change(path, first, last, begin, tuple(right[begin:end]))


def _draw_cursor(rng: random.Random, change: Change, after: str) -> tuple[int, int] | None:
    """Draw line and column of a cursor in a change's new lines; None where they are no code.

    ``after`` is the whole file as the commit left it.
    """
    if SKIPPED.search(change.path) or len(change.new) > MOST_LINES:
        return None
    prose, begin = _prose(after), change.begin
    places = [
        row
        for row, line in enumerate(change.new)
        if len(line.strip()) >= SHORTEST_LINE
        and row + begin not in prose
        and not line.lstrip().startswith(("#", "__version"))
    ]
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
    request = CompletionRequest(change.path, change.path, project, "python", 0, text, len(prefix))
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


@lru_cache(maxsize=8)
def _prose(text: str) -> frozenset[int]:
    """Return the lines of strings that span lines or stand alone; all where it does not parse."""
    try:
        return frozenset(prose_lines(text))
    except (SyntaxError, ValueError):
        return frozenset(range(text.count("\n") + 1))


def _apply(text: str, changes: list[Change]) -> str:
    lines = text.split("\n")
    for change in reversed(changes):
        lines[change.first : change.last] = change.new
    return "\n".join(lines)


def _rank(text: str) -> str:
    return hashlib.sha256(f"{SEED}:{text}".encode()).hexdigest()
