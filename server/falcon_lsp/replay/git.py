"""Reading a git repository whose settings and content nobody vouches for.

Only plumbing that reads objects is called. Hooks, external diffs, text conversions, file system
monitors, replacement objects and every transport are off, so nothing that the repository names is
ever executed or fetched; no lock is taken and nothing is written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from falcon_lsp.replay.errors import ReplayError

_OPTIONS = (
    "--no-pager", "--no-replace-objects",
    "-c", "core.fsmonitor=false",
    "-c", f"core.hooksPath={os.devnull}",
    "-c", "protocol.allow=never",
)  # fmt: skip
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_DIFF = ("diff-tree", "--raw", "-r", "-z", "-M", "-l200", "--no-commit-id", "--no-abbrev",
         "--no-ext-diff", "--no-textconv")  # fmt: skip
_FILES = ("100644", "100755")
"""Modes of ordinary files: no links, no submodules."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit and its first parent ('' for a root)."""

    sha: str
    parent: str


@dataclass(frozen=True, slots=True)
class Delta:
    """One file that a commit changed; a blob id is '' where the file is not there."""

    old_path: str
    path: str
    old_blob: str
    blob: str


class Git:
    """The repository that holds ``folder``; raises `ReplayError` when there is none.

    Also for bare and shallow ones. Use as a context manager: two helper processes read blobs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._command = shutil.which("git") or ""
        if not self._command:
            raise ReplayError("git was not found; install it to replay a history")
        self._readers: dict[str, subprocess.Popen[bytes]] = {}
        self._check()

    def __enter__(self) -> Git:
        return self

    def __exit__(self, *_error: object) -> None:
        for reader in self._readers.values():
            reader.kill()
            reader.communicate()

    def head(self) -> str:
        """Return the id of the commit that HEAD names; raises `ReplayError` when there is none."""
        try:
            return self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
        except ReplayError as error:
            raise ReplayError(f"{self.folder} has no commits yet") from error

    def root(self) -> Path:
        """Return the folder of the working tree; of a bare repository its own."""
        if self._run("rev-parse", "--is-bare-repository").strip() == b"true":
            return self.folder.resolve()
        return Path(os.fsdecode(self._run("rev-parse", "--show-toplevel").rstrip(b"\r\n")))

    def is_shallow(self) -> bool:
        """Whether older commits were left out when it was cloned."""
        return self._run("rev-parse", "--is-shallow-repository").strip() == b"true"

    def commits(self, head: str, patterns: tuple[str, ...], limit: int) -> list[Commit]:
        """Return the latest ``limit`` commits that touch ``patterns``, oldest first.

        Follows first parents: a merge counts as one change to the main line.
        """
        specs = [f":(top,glob)**/{pattern}" for pattern in patterns]
        chosen = ("--first-parent", "--full-history", f"--max-count={limit}", "--format=%H %P")
        said = self._run("rev-list", *chosen, head, "--", *specs).decode()
        rows = [line.split() for line in said.splitlines() if not line.startswith("commit ")]
        return [Commit(row[0], row[1] if len(row) > 1 else "") for row in reversed(rows)]

    def deltas(self, commit: Commit) -> list[Delta]:
        """Return the ordinary files that a commit changed against its first parent, by path."""
        trees = (commit.parent, commit.sha) if commit.parent else ("--root", commit.sha)
        fields = iter(self._run(*_DIFF, *trees).split(b"\0"))
        return sorted(_deltas(fields), key=lambda delta: delta.path)

    def tree(self, sha: str) -> dict[str, str]:
        """Return the ordinary files of a commit: path to blob id."""
        files: dict[str, str] = {}
        listed = self._run("ls-tree", "-r", "-z", "--full-tree", sha)
        for entry in filter(None, listed.split(b"\0")):
            about, _, raw = entry.partition(b"\t")
            mode, _, blob = about.decode().split(" ")
            if mode in _FILES and (path := _name(raw)) is not None:
                files[path] = blob
        return files

    def blob(self, blob: str, limit: int) -> bytes | None:
        """Return a file's content; None when it is missing or has more than ``limit`` bytes."""
        said = self._ask("--batch-check", blob)[0].split()
        if len(said) != 3 or said[1] != b"blob" or int(said[2]) > limit:
            return None
        return self._ask("--batch", blob, content=True)[1]

    def _check(self) -> None:
        try:
            self._run("rev-parse", "--git-dir")
        except ReplayError as error:
            if "dubious ownership" in str(error):
                message = f"git refuses {self.folder} because it belongs to someone else; clone it"
                raise ReplayError(message) from error
            raise ReplayError(f"{self.folder} is not in a git repository") from error

    def _run(self, *arguments: str) -> bytes:
        done = subprocess.run(  # noqa: S603 - git with fixed options on a folder the user named
            [*self._prefix(), *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, env=_environment(), check=False,
        )  # fmt: skip
        if done.returncode:
            reason = (done.stderr.decode("utf-8", "replace").strip() or "no reason").splitlines()[0]
            raise ReplayError(f"git cannot read {self.folder}: {reason}")
        return done.stdout

    def _ask(self, mode: str, blob: str, *, content: bool = False) -> tuple[bytes, bytes]:
        """Return the header that ``cat-file`` answers with, and the content where it sends one."""
        reader = self._readers.get(mode) or self._start(mode)
        sent, said = _pipes(reader)
        sent.write(blob.encode() + b"\n")
        sent.flush()
        header = said.readline()
        if not content:
            return header, b""
        size = int(header.split()[2])
        return header, said.read(size + 1)[:size]

    def _start(self, mode: str) -> subprocess.Popen[bytes]:
        self._readers[mode] = subprocess.Popen(  # noqa: S603 - see `_run`
            [*self._prefix(), "cat-file", mode],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=_environment(),
        )  # fmt: skip
        return self._readers[mode]

    def _prefix(self) -> list[str]:
        return [self._command, *_OPTIONS, "-C", str(self.folder)]


def _pipes(reader: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert reader.stdin is not None  # noqa: S101 - both were asked for in `_start`
    assert reader.stdout is not None  # noqa: S101 - the same
    return reader.stdin, reader.stdout


def _environment() -> dict[str, str]:
    """Return our environment without anything that would send git elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, **_ENVIRONMENT}


def _deltas(fields: Iterator[bytes]) -> Iterator[Delta]:
    for about in fields:
        if not about:
            return
        old_mode, mode, old_blob, blob, status = about[1:].decode().split(" ")
        old = _name(next(fields))
        new = _name(next(fields)) if status[0] in "RC" else old
        if old is None or new is None:
            continue
        there = mode in _FILES
        if there or old_mode in _FILES:
            earlier = old_blob if old_mode in _FILES and status[0] != "A" else ""
            yield Delta(old, new, earlier, blob if there else "")


def _name(raw: bytes) -> str | None:
    """Return a path that may be created below a folder on every system, else None."""
    try:
        path = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    parts = path.split("/")
    unsafe = any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts)
    return None if unsafe or any(mark in path for mark in '\\:*?"<>|\n\r') else path
