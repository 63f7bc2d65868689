"""Git repositories made at run time, with everything in them that a history may hold."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Files = Mapping[str, bytes | str | None]


@dataclass(frozen=True)
class Made:
    """One commit: ``files`` maps paths to content (None deletes); ``merges`` names other commits.

    ``onto`` is the number of the parent (from 1), None the commit before.
    """

    files: Files
    merges: Sequence[int] = ()
    onto: int | None = None
    modes: Mapping[str, str] = field(default_factory=dict)


def git(folder: Path, *arguments: str, feed: bytes | None = None) -> str:
    """Run git as the developer of the repository would, away from the settings of this machine."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    clean |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, input=feed, capture_output=True, check=True, env=clean)
    return done.stdout.decode()


def repository(folder: Path, commits: Sequence[Made | Files], *, bare: bool = False) -> Path:
    """Make a repository of ``commits`` in order; the last one is HEAD."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", *(["--bare"] if bare else []))
    stream = bytearray()
    for number, made in enumerate(commits, 1):
        stream += _commit(number, made if isinstance(made, Made) else Made(made))
    if commits:
        stream += f"reset refs/heads/main\nfrom :{len(commits)}\n\n".encode()
        git(folder, "fast-import", "--quiet", "--force", feed=bytes(stream))
    return folder


def _commit(number: int, made: Made) -> bytes:
    parent = number - 1 if made.onto is None else made.onto
    head = f"commit refs/heads/work\nmark :{number}\n"
    head += f"committer A <a@example.org> {1_700_000_000 + number} +0000\ndata 1\nc\n"
    if parent:
        head += f"from :{parent}\n"
    head += "".join(f"merge :{other}\n" for other in made.merges)
    body = head.encode()
    for path, content in made.files.items():
        if content is None:
            body += f"D {path}\n".encode()
            continue
        raw = content.encode() if isinstance(content, str) else content
        mode = made.modes.get(path, "100644")
        body += f"M {mode} inline {path}\ndata {len(raw)}\n".encode() + raw + b"\n"
    return body + b"\n"
