"""Which version of the adapter answers: that of the open workspace, else everybody's.

One engine answers for every window of this server, with one adapter merged into its weights. So a
workspace's own version is used while that folder is the only one open; with several, all get what
everybody is served: what was learned in one workspace is never said in another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from falcon_lsp.core.op_queue import OpQueue
from falcon_lsp.core.paths import Busy
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.model.adapters import BASE, GLOBAL, AdapterRefused, AdapterRegistry, scope_of
from falcon_lsp.model.engine import Engine, EngineError
from falcon_lsp.model.host import EngineHost

logger = logging.getLogger(__name__)


class Window(Protocol):
    """A connection, by the URIs of the folders that are open in it."""

    folders: list[str]


class ServedAdapter:
    """Keeps the engine at the version that the registry names; swaps happen beside requests.

    ``registry`` is None until the store is known; ``windows`` are the connections.
    """

    def __init__(self, host: EngineHost, tell: Callable[[dict[str, Any]], None]) -> None:
        self.registry: AdapterRegistry | None = None
        self.windows: list[Window] = []
        self._host, self._tell = host, tell
        self._seen: tuple[int, str] = (-1, GLOBAL)
        self._scopes: dict[str, str] = {BASE: GLOBAL}
        self._swaps = OpQueue("falcon-adapters", self._swap)

    @property
    def wanted(self) -> str:
        """The scope to serve: the only open workspace's, or everybody's."""
        folders = {folder for window in self.windows for folder in window.folders}
        return scope_of(folders.pop()) if len(folders) == 1 else GLOBAL

    def may_answer(self) -> bool:
        """Whether what the engine has learned may be said in the windows that are open now."""
        engine = self._host.engine
        scope = self._scopes.get(engine.adapter_id, GLOBAL) if engine else GLOBAL
        return scope in (GLOBAL, self.wanted)

    def follow(self) -> None:
        """Look, cheaply, whether another version is to be served; have it swapped in."""
        if self.registry is None or self._host.engine is None:
            return
        if (now := (self.registry.stamp(), self.wanted)) != self._seen:
            self._seen = now
            self._swaps.request("another adapter is to be served")

    def roll_back(self, to: str | None) -> str:
        """Leave what is served here for ``to``, or for what came before it; returns a sentence."""
        if self.registry is None:
            return "The server is still starting."
        try:
            before = self.registry.current(scope=self.wanted)
            scope = self._scope(before)
            adapter_id = self.registry.rollback(to, scope)
            VerdictLog(self.registry.folder).add_rollback(before, adapter_id, scope)
        except (AdapterRefused, Busy, OSError) as error:
            return str(error)
        self.follow()
        return f"Rolled back to {adapter_id}."

    def close(self) -> None:
        """Stop swapping."""
        self._swaps.close()

    def _scope(self, adapter_id: str) -> str:
        """Return whom a version serves; remembered, since the version may be deleted meanwhile."""
        if adapter_id not in self._scopes and self.registry is not None:
            self._scopes[adapter_id] = self.registry.show(adapter_id).scope
        return self._scopes[adapter_id]

    def _swap(self, reason: str) -> None:
        """Give the engine the version that the registry says is current, verified."""
        engine, registry = self._host.engine, self.registry
        if engine is None or registry is None:
            return
        try:
            wanted = registry.current(engine.base_sha256, self.wanted)
            self._host.message = registry.notice
            if wanted == engine.adapter_id:
                return
            self._load(engine, registry, wanted)
        except EngineError as error:
            self._host.message = f"the adapter was refused: {error}"
            if not self.may_answer():
                engine.load_adapter(None, BASE)
            return
        logger.info("serving adapter %s: %s", engine.adapter_id, reason)
        self._tell({"event": "served", "adapter": wanted})

    def _load(self, engine: Engine, registry: AdapterRegistry, wanted: str) -> None:
        self._scope(wanted)
        folder = None if wanted == BASE else registry.verify(wanted, engine.base_sha256).path
        engine.load_adapter(folder, wanted)
