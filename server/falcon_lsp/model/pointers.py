"""Which version is served: one for everybody, and others instead in single workspaces.

Both levels stand in one small file, so that a single rename changes what is served.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from falcon_lsp.core.paths import atomic_write
from falcon_lsp.model.verification import AdapterRefused, read_json

GLOBAL = ""
"""The scope of versions that serve every workspace that has none of its own."""


def scope_of(workspace: str) -> str:
    """Return the scope of versions that serve ``workspace`` (a folder URI) alone.

    A hash: the registry needs to tell workspaces apart, not to name anybody's folders.
    """
    return f"ws-{hashlib.blake2b(workspace.rstrip('/').encode(), digest_size=12).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Pointers:
    """Ids by scope; `GLOBAL` is missing when nothing has ever been promoted."""

    ids: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Pointers:
        """Read the file, nothing when there is none; raises `AdapterRefused` when it is damaged."""
        if not file.exists():
            return cls()
        raw = read_json(file)
        scopes = raw.get("workspaces", {})
        ids = {GLOBAL: raw.get("id"), **(scopes if isinstance(scopes, dict) else {GLOBAL: None})}
        if not all(isinstance(adapter_id, str) for adapter_id in ids.values()):
            raise AdapterRefused("the pointer to it is damaged")
        return cls(ids)

    def pointing(self, scope: str, adapter_id: str) -> Pointers:
        """Return pointers that serve ``adapter_id`` in ``scope``."""
        return Pointers({**self.ids, scope: adapter_id})

    def without(self, scopes: Collection[str]) -> Pointers:
        """Return pointers by which workspaces of ``scopes`` are served what everybody is."""
        return Pointers({s: i for s, i in self.ids.items() if s == GLOBAL or s not in scopes})

    def write(self, file: Path) -> None:
        """Put the file in place of the one before, whole or not at all."""
        workspaces = {scope: each for scope, each in sorted(self.ids.items()) if scope != GLOBAL}
        body: dict[str, object] = {"id": self.ids[GLOBAL]}
        atomic_write(
            file, json.dumps(body | ({"workspaces": workspaces} if workspaces else {})).encode()
        )
