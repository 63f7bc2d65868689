"""What a version of an adapter says of itself: where it comes from, and what the gate said."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from falcon_lsp.model.pointers import GLOBAL
from falcon_lsp.model.verification import AdapterRefused, read_json

BASE: Final = "base"
"""The id that stands for no adapter at all."""

PROMOTED: Final = "promoted"
SET_ASIDE: Final = "set_aside"


@dataclass(frozen=True, slots=True)
class AdapterManifest:
    """Where a version comes from and what the gate said.

    ``base_sha256`` names the weights that it was trained on, ``parent`` the version before it
    (`BASE`: none), ``sha256`` its own weights (filled in by `AdapterRegistry.publish`).
    ``completion_ids`` are the suggestions that it learned from. ``status`` is `PROMOTED`, or
    `SET_ASIDE` when the gate refused it: such a version is never served. ``scope`` is `GLOBAL`, or
    `scope_of` the only workspace that it may serve.
    """

    id: str
    base_sha256: str
    parent: str = BASE
    created: float = field(default_factory=time.time)
    completion_ids: tuple[str, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    status: str = SET_ASIDE
    sha256: str = ""
    scope: str = GLOBAL

    @classmethod
    def read(cls, file: Path) -> AdapterManifest:
        """Read a manifest; raises `AdapterRefused` when a field is missing, odd or unknown."""
        raw = read_json(file)
        try:
            for name in ("completion_ids", "reasons"):
                raw[name] = tuple(raw[name])
            manifest = cls(**raw)
        except (TypeError, KeyError) as error:
            raise AdapterRefused("its manifest cannot be understood") from error
        texts = [getattr(manifest, item.name) for item in fields(cls) if item.type == "str"]
        numbers = isinstance(manifest.created, int | float) and isinstance(manifest.metrics, dict)
        if not all(isinstance(text, str) for text in texts) or not numbers:
            raise AdapterRefused("its manifest cannot be understood")
        return manifest

    def to_json(self) -> bytes:
        """Return the file's content."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()
