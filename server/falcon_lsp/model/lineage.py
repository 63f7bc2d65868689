"""Who descends from whom, also through versions that were deleted to save room.

A version's weights carry what its parents learned, long after these are gone. So a version that is
pruned leaves its parent and its episodes' ids behind, for as long as one that comes from it lives.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from falcon_lsp.core.paths import atomic_write

_FOLDER = ".ancestors"

Kin = tuple[str, frozenset[str]]
"""A version's parent, and the ids of the suggestions that it learned from itself."""


class Lineage:
    """The versions in the registry's folder that are no more; whoever changes it holds its lock."""

    def __init__(self, registry: Path) -> None:
        self._folder = registry / _FOLDER

    def remember(self, version: str, parent: str, learned: Iterable[str]) -> None:
        """Keep what has to be known of a version that is about to be deleted."""
        body = {"parent": parent, "completion_ids": sorted(learned)}
        atomic_write(self._folder / f"{version}.json", json.dumps(body).encode())

    def gone(self) -> dict[str, Kin]:
        """Return every deleted version that is remembered; what cannot be read is left out."""
        found: dict[str, Kin] = {}
        for file in self._folder.glob("*.json"):
            try:
                raw = json.loads(file.read_text(encoding="utf-8"))
                found[file.stem] = (str(raw["parent"]), frozenset(map(str, raw["completion_ids"])))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return found

    def keep(self, versions: Collection[str]) -> None:
        """Forget all but ``versions``."""
        for file in self._folder.glob("*.json"):
            if file.stem not in versions:
                file.unlink(missing_ok=True)


def ancestors(version: str, kin: Mapping[str, Kin], root: str) -> list[str]:
    """Return ``version`` and all that it comes from, up to ``root``; unknown ones included."""
    chain: list[str] = []
    while version != root and version not in chain:
        chain.append(version)
        version = kin[version][0] if version in kin else root
    return chain
