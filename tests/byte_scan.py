"""Looking for texts in every file below some folders, in each form that a store may give them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path


def forms(text: str) -> set[bytes]:
    """Return ``text`` as UTF-8, as UTF-16 of both orders, as UTF-32, and escaped as in JSON."""
    plain = {text.encode(name) for name in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")}
    return plain | {json.dumps(text)[1:-1].encode()}


def holding(folders: Iterable[Path], text: str) -> list[str]:
    """Return the names of all files that hold ``text`` in any form, hidden and temporary ones too.

    A file's own name counts as well.
    """
    wanted = forms(text)
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            content = path.name.encode() + (path.read_bytes() if path.is_file() else b"")
            if any(form in content for form in wanted):
                found.append(path.relative_to(folder).as_posix())
    return found
