"""Recall for the other servers of this user on this machine: they ask the owner of the index.

The owner listens on a Unix socket in the data folder that its user alone may open (mode 0600).
Where there is none (Windows, or a path that is too long for one), it listens on loopback and writes
port and a random token to a file that its user alone may read; questions without the token get no
answer. Nothing but recall is asked or answered. One message is four bytes of length (big-endian)
and a JSON object; questions and answers are bounded in size, each connection in time.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from falcon_lsp.core.paths import PRIVATE_FILE, atomic_write, private_folder
from falcon_lsp.memory.records import CONTEXT_CHARS, Recalled, Record

logger = logging.getLogger(__name__)

MOST_QUESTION_BYTES = 64 * 1024
MOST_ANSWER_BYTES = 1024 * 1024
MOST_RESULTS = 20
MOST_EXCLUDED = 32
CONNECTION_SECONDS = 1.0

_LENGTH = struct.Struct(">I")
_SOCKET = "recall.sock"
_ADDRESS = "recall.json"
_MOST_PATH_BYTES = 100
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Question:
    """What `LongTermMemory.query` is asked; with ``k`` 0 only whether somebody is there."""

    text: str
    workspace: str
    language: str
    k: int
    exclude: tuple[str, ...] = ()

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> Question:
        """Return the question that ``raw`` holds, cut to the bounds; raises `ValueError`."""
        texts = [raw.get(name) for name in ("text", "workspace", "language")]
        k, exclude = raw.get("k"), raw.get("exclude")
        if not all(isinstance(value, str) for value in texts) or not isinstance(exclude, list):
            raise ValueError("not a question")
        if type(k) is not int or not all(isinstance(each, str) for each in exclude):
            raise ValueError("not a question")
        text, workspace, language = map(str, texts)
        few = tuple(exclude[:MOST_EXCLUDED])
        return cls(text[-CONTEXT_CHARS:], workspace, language, min(max(k, 0), MOST_RESULTS), few)


@dataclass(frozen=True, slots=True)
class Answer:
    """``records`` counts all that the owner holds."""

    records: int
    found: tuple[Recalled, ...]


class PeerServer:
    """Answers questions in ``folder`` on a thread of its own until it is closed. May raise OSError.

    Only the owner of the index may make one: it takes over the address from whoever died with it.
    """

    def __init__(
        self, folder: Path, answer: Callable[[Question], Answer], *, unix: bool | None = None
    ) -> None:
        self._answer = answer
        self._token = ""
        private_folder(folder)
        self._files = (folder / _SOCKET, folder / _ADDRESS)
        self._remove_files()
        unix = _unix_possible(folder) if unix is None else unix
        self._socket = self._listen_unix(folder) if unix else self._listen_loopback(folder)
        self._socket.settimeout(_POLL_SECONDS)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="falcon-peers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more and give up the address."""
        self._closing.set()
        self._thread.join()
        self._socket.close()
        self._remove_files()

    def _listen_unix(self, folder: Path) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(folder / _SOCKET))
        (folder / _SOCKET).chmod(PRIVATE_FILE)  # nobody can connect before `listen`
        listening.listen()
        return listening

    def _listen_loopback(self, folder: Path) -> socket.socket:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        self._token = secrets.token_hex(32)
        where = {"port": listening.getsockname()[1], "token": self._token}
        atomic_write(folder / _ADDRESS, json.dumps(where).encode())
        return listening

    def _remove_files(self) -> None:
        for file in self._files:
            file.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._socket.accept()
                with connection:
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        """Answer one question; a wrong one is closed without a word."""
        deadline = time.monotonic() + CONNECTION_SECONDS
        try:
            raw = _receive(connection, MOST_QUESTION_BYTES, deadline)
            if not hmac.compare_digest(str(raw.pop("token", "")).encode(), self._token.encode()):
                return
            answer = self._answer(Question.parse(raw))
            found = [[each.score, asdict(each.record)] for each in answer.found]
            _send(connection, {"records": answer.records, "found": found}, deadline)
        except (OSError, ValueError) as error:
            logger.debug("a question was not answered: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the index counts its own failures
            logger.warning("a question could not be answered: %s", type(error).__name__)


def ask_owner(folder: Path, question: Question, seconds: float) -> Answer:
    """Ask whoever owns the index in ``folder``; raises `OSError` or `ValueError` for no answer."""
    deadline = time.monotonic() + seconds
    connection, token = _connect(folder, seconds)
    with connection:
        _send(connection, {**asdict(question), "token": token}, deadline)
        raw = _receive(connection, MOST_ANSWER_BYTES, deadline)
    try:
        found = tuple(Recalled(Record(**fields), float(score)) for score, fields in raw["found"])
        return Answer(int(raw["records"]), found)
    except (KeyError, TypeError) as error:
        raise ValueError("not an answer") from error


def _connect(folder: Path, seconds: float) -> tuple[socket.socket, str]:
    address = folder / _ADDRESS
    if not address.is_file():
        if not _unix_possible(folder):
            raise FileNotFoundError(str(address))
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        try:
            connection.connect(str(folder / _SOCKET))
        except OSError:
            connection.close()
            raise
        return connection, ""
    where = json.loads(address.read_text(encoding="utf-8"))
    port, token = int(where["port"]), str(where["token"])
    return socket.create_connection(("127.0.0.1", port), timeout=seconds), token


def _unix_possible(folder: Path) -> bool:
    path = os.fsencode(folder / _SOCKET)
    return os.name != "nt" and hasattr(socket, "AF_UNIX") and len(path) <= _MOST_PATH_BYTES


def _send(connection: socket.socket, message: dict[str, Any], deadline: float) -> None:
    content = json.dumps(message).encode()
    connection.settimeout(_left(deadline))
    connection.sendall(_LENGTH.pack(len(content)) + content)


def _receive(connection: socket.socket, most: int, deadline: float) -> dict[str, Any]:
    (size,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, deadline))
    if size > most:
        raise ValueError("too long")
    message = json.loads(_exactly(connection, size, deadline))
    if not isinstance(message, dict):
        raise ValueError("not a message")  # noqa: TRY004 - what was sent is wrong, not the caller
    return message


def _exactly(connection: socket.socket, size: int, deadline: float) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        connection.settimeout(_left(deadline))
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("closed")
        parts += part
    return bytes(parts)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
