"""What each running server says of its last requests, in a file that ``falcon-lsp status`` reads.

A file for each connection, in a folder that its user alone may open, written at most once a second
and only when there was a request. It holds counts, reasons, times, languages and marks of files;
no name and no text. It goes with the connection; of a server that was killed, its number tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from falcon_lsp.core.paths import Store, private_folder
from falcon_lsp.core.types import new_id
from falcon_lsp.learning.rewards.judge import judge_host
from falcon_lsp.lsp.application import Application
from falcon_lsp.lsp.session import Session

_FOLDER = "servers"


class Notice:
    """One connection's file."""

    def __init__(self, app: Application, session: Session) -> None:
        self._app = app
        self._session = session
        self._name = f"{new_id('server')}.json"
        self._written: object = None

    async def refresh(self) -> None:
        """Write the file if anything has changed; the event loop does not wait for the disk."""
        now = (self._app.state(), self._session.latency.counts["asked"])
        if now != self._written:
            self._written = now
            body = {"pid": os.getpid(), "started": _started(os.getpid()), **self._body()}
            await asyncio.to_thread(self._write, json.dumps(body))

    def remove(self) -> None:
        """Take the file away."""
        with contextlib.suppress(OSError):
            (_folder(self._app.store) / self._name).unlink(missing_ok=True)

    def _body(self) -> dict[str, Any]:
        latency = self._session.latency
        return {
            "state": self._app.state(),
            "judge": judge_host(self._app.config.judge_server),
            "requests": dict(latency.counts),
            "silences": dict(latency.silences),
            "reasons": [asdict(reason) for reason in latency.reasons()],
        }

    def _write(self, text: str) -> None:
        """Write without waiting for the disk: after a crash nobody needs it."""
        with contextlib.suppress(OSError):
            file = private_folder(_folder(self._app.store)) / self._name
            temporary = file.with_suffix(".tmp")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(file)


def read_notices(store: Store) -> list[dict[str, Any]]:
    """Return what the servers that run on ``store`` said last; files of dead ones are removed."""
    found = []
    for file in sorted(_folder(store).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            body = json.loads(file.read_text(encoding="utf-8"))
            if _started(int(body["pid"])) == body["started"]:
                found.append(body)
            else:
                file.unlink(missing_ok=True)
    return found


def _folder(store: Store) -> Path:
    return store.data / _FOLDER


def _started(pid: int) -> float:
    """Return when a process began, which tells it from others with its number; 0: it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0
