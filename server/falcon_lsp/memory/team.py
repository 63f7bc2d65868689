"""Long-term memory on a Chroma server, which a team shares (`falcon.memoryServer`).

Records leave this machine: texts before the cursor, suggestions, what settled, relative paths. The
server alone bounds who may read them. Nothing but this setting, which no workspace can make, leads
here; and whatever goes wrong with the server means "no memory", tried again after `RETRY_SECONDS`.

Members have a project in different folders, so a workspace is known there by what its Git remote
``origin`` is called; without one, by its folder's URI.
"""

from __future__ import annotations

import configparser
import functools
import hashlib
import logging
import os
import re
import threading
import time
import urllib.request
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from falcon_lsp.core.paths import folder_of
from falcon_lsp.memory.collections_index import CollectionsIndex
from falcon_lsp.memory.long_term import NotOpen, connect_server
from falcon_lsp.memory.records import Recalled, Record

if TYPE_CHECKING:
    from falcon_lsp.memory.embedder import Embedder

logger = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
TOKEN_VARIABLE = "FALCON_MEMORY_TOKEN"  # noqa: S105 - the name of a variable, not a token
"""Environment variable; its value is sent to the server as a bearer token."""

_ANSWER_SECONDS = 5.0


class TeamMemory:
    """The index on the Chroma server at ``url`` (a `RecallIndex`).

    ``max_records`` bounds what the workspaces that this process has touched hold together.
    """

    def __init__(self, url: str, embedder: Embedder, max_records: int) -> None:
        parts = urlsplit(url)
        self._ssl = parts.scheme == "https"
        self._name = parts.hostname or ""
        self._port = parts.port or (443 if self._ssl else 8000)
        self.host = f"{self._name}:{self._port}"
        self.embedder = embedder
        self.reason = "not opened yet"
        digest = hashlib.sha256(f"{self.host} {embedder.id}".encode()).hexdigest()
        self.generation = f"server-{digest[:16]}"
        self._valid = parts.scheme in {"http", "https"} and bool(self._name)
        self._max_records = max_records
        self._index: CollectionsIndex | None = None
        self._next = 0.0
        self._changing = threading.RLock()

    @property
    def available(self) -> bool:
        """Whether it can be asked now."""
        return self._index is not None

    def open(self, epoch: int) -> bool:  # noqa: ARG002 - what was forgotten is erased by name
        """Connect, or look for what others have added; False: see ``reason``."""
        with self._changing:
            if time.monotonic() < self._next:
                return self.available
            self._next = time.monotonic() + RETRY_SECONDS
            try:
                if self._index is None:
                    self._index = self._connect()
                    self.reason = ""
                else:
                    self._index.refresh()
            except ImportError as error:
                self.reason = f"chromadb is not installed ({error.name})"
            except Exception as error:  # noqa: BLE001 - a server may answer anything
                self.fail(error)
            return self.available

    def upsert(self, records: Sequence[Record]) -> None:
        """Add ``records``; of those with one key the latest stays. Raises `NotOpen`."""
        with self._changing:
            self._open_index().upsert([_shared(record) for record in records])

    def retract(self, records: Sequence[Record]) -> None:
        """Remove what is held of these very episodes."""
        with self._changing:
            self._open_index().retract([_shared(record) for record in records])

    def erase(self, completion_ids: Collection[str]) -> int:
        """Remove the records of these episodes; whether bytes stay is the server's affair."""
        with self._changing:
            return self._open_index().erase(completion_ids)

    def evict(self) -> int:
        """When there are too many records, remove the least worthy; returns how many."""
        with self._changing:
            return self._open_index().evict(self._max_records)

    def query(
        self, text: str, workspace: str, language: str, k: int, exclude: Collection[str] = ()
    ) -> list[Recalled]:
        """Return at most ``k`` successes and ``k`` failures like ``text``, most alike first."""
        index = self._index
        if index is None:
            return []
        try:
            return index.query(text, project_of(workspace), language, k, exclude)
        except Exception as error:
            self.fail(error)
            raise

    def count(self) -> int:
        """Return the number of records in the workspaces that this process has touched."""
        return self._index.total if self._index is not None else 0

    def fail(self, error: BaseException) -> None:
        """Disconnect after ``error``; `open` connects again after `RETRY_SECONDS`."""
        self._index = None
        self._next = time.monotonic() + RETRY_SECONDS
        self.reason = f"the Chroma server at {self.host} failed ({type(error).__name__})"
        logger.warning("the Chroma server failed: %s", type(error).__name__)

    def discard(self) -> bool:
        """Nothing lies on this machine."""
        return True

    def close(self) -> None:
        """Disconnect; `open` may be called again."""
        self._index = None
        self._next = 0.0
        self.reason = "closed"

    def _open_index(self) -> CollectionsIndex:
        if self._index is None:
            raise NotOpen
        return self._index

    def _connect(self) -> CollectionsIndex:
        """Raise unless the server answers in time: Chroma's client would wait for ever."""
        if not self._valid:
            raise ValueError("not an address")
        token = os.environ.get(TOKEN_VARIABLE)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        scheme = "https" if self._ssl else "http"
        alive = urllib.request.Request(  # noqa: S310 - the scheme is one of the two above
            f"{scheme}://{self._name}:{self._port}/api/v2/heartbeat", headers=headers
        )
        with urllib.request.urlopen(alive, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - as above
            answer.read(1024)
        client = connect_server(self._name, self._port, ssl=self._ssl, headers=headers)
        return CollectionsIndex(client, self.embedder)


def _shared(record: Record) -> Record:
    return replace(record, workspace=project_of(record.workspace))


@functools.lru_cache(maxsize=256)
def project_of(workspace: str) -> str:
    """Return ``git:<host>/<path>`` of the remote ``origin`` of a folder URI, or the URI itself."""
    folder = folder_of(workspace)
    if folder is None:
        return workspace
    config = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        config.read_string((folder / ".git" / "config").read_text(encoding="utf-8"))
        origin = config.get('remote "origin"', "url")
    except (OSError, ValueError, configparser.Error):
        return workspace
    return f"git:{_normalised(origin)}" if origin else workspace


def _normalised(url: str) -> str:
    """Bring both ways of writing a remote to one: no scheme, user, port or ``.git``."""
    scp = re.fullmatch(r"(?:[^@/]+@)?([^/:]+):(?!//)(.+)", url)
    parts = urlsplit(url)
    host, path = (scp[1], scp[2]) if scp else (parts.hostname or "", parts.path)
    return f"{host}/{path.strip('/').removesuffix('.git')}".lower()
