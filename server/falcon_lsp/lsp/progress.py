"""Progress from any thread to the editor's progress bar (``$/progress``), where it has one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer

from falcon_lsp.core.types import new_id

logger = logging.getLogger(__name__)


class ProgressReporter:
    """Callable as `falcon_lsp.model.engine.Progress`; must be created on the event loop.

    The bar appears with the first report, so that work which is done at once never shows one, and
    goes away at a share of 1.0 or with `end`.
    """

    def __init__(self, server: LanguageServer, title: str) -> None:
        self._server = server
        self._title = title
        self._loop = asyncio.get_running_loop()
        self._token: str | None = None
        self._tail: asyncio.Task[None] | None = None
        window = server.protocol.client_capabilities.window
        self._supported = bool(window and window.work_done_progress)

    def __call__(self, message: str, share: float) -> None:
        """Report from any thread; ``share`` runs from 0.0 to 1.0."""
        if self._supported and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._queue, message, share)

    def _queue(self, message: str, share: float) -> None:
        """Chain the reports: creating the bar takes a round trip, and order matters."""
        previous = self._tail

        async def in_order() -> None:
            if previous is not None:
                await asyncio.wait([previous])
            await self._send(message, share)

        self._tail = asyncio.ensure_future(in_order())

    async def _send(self, message: str, share: float) -> None:
        if self._token is None:
            if share >= 1.0:
                return
            self._token = new_id("progress")
            try:
                await asyncio.wait_for(
                    self._server.work_done_progress.create_async(self._token), timeout=5
                )
            except Exception:  # noqa: BLE001 - an editor without the bar is no reason to stop
                logger.info("the client refused a progress bar")
                self._supported = False
                return
            self._notify(lsp.WorkDoneProgressBegin(self._title, percentage=0))
        self._notify(lsp.WorkDoneProgressReport(message=message, percentage=int(share * 100)))
        if share >= 1.0:
            self._notify(lsp.WorkDoneProgressEnd(message=message))
            self._token = None

    def _notify(self, value: Any) -> None:
        self._server.progress(lsp.ProgressParams(self._token or "", value))
