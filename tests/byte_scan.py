"""Looking for texts in every file below some folders, in each form that a store may give them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def forms(text: str) -> set[bytes]:
    """Return ``text`` as UTF-8, as UTF-16 of both orders, as UTF-32, and escaped as in JSON."""
    plain = {text.encode(name) for name in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")}
    return plain | {json.dumps(text)[1:-1].encode()}


def holding(folders: Iterable[Path], text: str) -> list[str]:
    """Return the names of all files that hold ``text`` in any form, hidden and temporary ones too.

    A file's or folder's own name counts as well. Servers may be at work: what vanishes meanwhile
    holds nothing.
    """
    wanted = forms(text)
    return [
        path.relative_to(folder).as_posix()
        for folder in folders
        for path, content in _contents(folder)
        if any(form in content for form in wanted)
    ]


def _contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield name and content of all that is below ``folder``."""
    for parent, folders, files in os.walk(folder):
        for name in folders:
            yield Path(parent, name), name.encode()
        for name in files:
            path = Path(parent, name)
            try:
                content = path.read_bytes() if path.is_file() else b""  # else a socket
            except FileNotFoundError:
                continue
            yield path, name.encode() + content
