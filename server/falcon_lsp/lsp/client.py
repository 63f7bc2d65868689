"""A small LSP client that starts a server and talks to it over stdio.

Messages are plain dicts, as they stand in the specification. The demo, the replay and the tests
drive the real server through it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from falcon_lsp.lsp.framing import STREAM_LIMIT, BadHeader, Oversized, frame, read_message

EXIT_SECONDS = 10.0

CAPABILITIES: Mapping[str, Any] = {
    "general": {"positionEncodings": ["utf-16"]},
    "textDocument": {"inlineCompletion": {}, "synchronization": {"didSave": True}},
    "window": {"workDoneProgress": True},
    "workspace": {"configuration": True, "workspaceFolders": True},
}
"""What the client can do unless told otherwise."""


class ResponseError(Exception):
    """The server answered a request with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class ServerGone(Exception):
    """The server has closed its output: it ended, was killed, or never started."""


class LspClient:
    """One server process and the conversation with it.

    ``configuration`` answers the server's ``workspace/configuration``: nested objects by section;
    what ``by_folder`` holds for a folder's URI does so for that folder.
    ``notifications`` and ``requests`` collect the ``(method, params)`` of all that the server says
    and asks; ``answers`` maps what it may ask to functions of the parameters (else it gets null).
    """

    def __init__(self, configuration: Mapping[str, Any] | None = None) -> None:
        self.configuration = configuration or {}
        self.by_folder: dict[str | None, Mapping[str, Any]] = {}
        self.notifications: list[tuple[str, Any]] = []
        self.requests: list[tuple[str, Any]] = []
        self.answers: dict[str, Callable[[Any], Any]] = {
            "workspace/configuration": self._configured,
            "workspace/workspaceFolders": lambda _params: self._folders,
            "workspace/applyEdit": lambda _params: {"applied": False},
            "window/showDocument": lambda _params: {"success": False},
        }
        self._folders: list[dict[str, str]] = []
        self._ids = itertools.count(1)
        self._versions: dict[str, int] = {}
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._arrived = asyncio.Event()
        self._process: Process | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def process(self) -> Process:
        """The server's process; raises `ServerGone` before `start`."""
        if self._process is None:
            raise ServerGone("the server was not started")
        return self._process

    async def start(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, stderr: Any = None
    ) -> None:
        """Start the server; ``env`` is added to this process's environment."""
        env = {**os.environ, **(env or {})}
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=stderr, env=env, limit=STREAM_LIMIT
        )
        self._listening = asyncio.create_task(self._listen())

    async def initialize(
        self,
        root: Path | None = None,
        capabilities: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Do the handshake on a workspace folder; returns the server's ``InitializeResult``."""
        uri = root.as_uri() if root else None
        self._folders = [{"uri": uri, "name": root.name}] if root and uri else []
        params = {
            "processId": os.getpid(),
            "rootUri": uri,
            "workspaceFolders": self._folders,
            "capabilities": CAPABILITIES if capabilities is None else capabilities,
            "initializationOptions": options,
        }
        result = await self.request("initialize", params)
        self.notify("initialized", {})
        return dict(result)

    def open(self, uri: str, language: str, text: str) -> None:
        """Open a document at version 1."""
        self._versions[uri] = 1
        document = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, uri: str, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        """Replace what lies between two ``(line, character)`` places."""
        self._versions[uri] += 1
        document = {"uri": uri, "version": self._versions[uri]}
        change = {"range": {"start": _place(start), "end": _place(end)}, "text": text}
        params = {"textDocument": document, "contentChanges": [change]}
        self.notify("textDocument/didChange", params)

    def close(self, uri: str) -> None:
        """Close a document."""
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    async def inline_completion(
        self, uri: str, place: tuple[int, int], *, invoked: bool = False
    ) -> list[dict[str, Any]]:
        """Return the items offered at a ``(line, character)`` place."""
        params = {
            "textDocument": {"uri": uri},
            "position": _place(place),
            "context": {"triggerKind": 1 if invoked else 2},
        }
        result = await self.request("textDocument/inlineCompletion", params) or []
        return list(result["items"] if isinstance(result, dict) else result)

    async def execute_command(self, command: str, *arguments: Any) -> Any:
        """Run one of the server's commands and return its result."""
        params = {"command": command, "arguments": list(arguments)}
        return await self.request("workspace/executeCommand", params)

    def notify(self, method: str, params: Any = None) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    async def request(self, method: str, params: Any = None) -> Any:
        """Send a request and return its result; cancelling the caller cancels the request.

        Raises `ResponseError` for an error and `ServerGone` when no answer can come any more.
        """
        msg_id = next(self._ids)
        self._waiting[msg_id] = asyncio.get_running_loop().create_future()
        try:
            self._send({"id": msg_id, "method": method, "params": params})
            return await self._waiting[msg_id]
        except asyncio.CancelledError:
            with contextlib.suppress(ServerGone):
                self.notify("$/cancelRequest", {"id": msg_id})
            raise
        finally:
            del self._waiting[msg_id]

    async def wait_for(
        self, method: str, matches: Callable[[Any], bool] = lambda _params: True
    ) -> Any:
        """Return the parameters of the first notification ``method`` that matches, now or later.

        Has no time limit of its own; raises `ServerGone` when none can come any more.
        """
        seen = 0
        while True:
            for name, params in self.notifications[seen:]:
                if name == method and matches(params):
                    return params
            seen = len(self.notifications)
            if self._listening is None or self._listening.done():
                raise ServerGone(f"no {method} came")
            self._arrived.clear()
            await self._arrived.wait()

    async def shutdown(self) -> int:
        """Take leave and return the server's exit code; it is killed when it stays."""
        with contextlib.suppress(ServerGone):
            await self.request("shutdown")
            self.notify("exit")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), EXIT_SECONDS)
        return await self.kill()

    async def kill(self) -> int:
        """End the server's process at once, if it still runs; returns its exit code."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        code = await self.process.wait()
        if self._listening is not None:
            await self._listening
        return code

    def _send(self, message: dict[str, Any]) -> None:
        writer = self.process.stdin
        if writer is None or self._listening is None or self._listening.done():
            raise ServerGone("the server has ended")
        writer.write(frame(json.dumps({"jsonrpc": "2.0", **message}).encode()))

    async def _listen(self) -> None:
        stream = self.process.stdout
        with contextlib.suppress(BadHeader, Oversized, OSError):
            while stream and (body := await read_message(stream)) is not None:
                self._receive(json.loads(body))
        for future in filter(lambda future: not future.done(), self._waiting.values()):
            future.set_exception(ServerGone("the server has ended"))
        self._arrived.set()

    def _receive(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            self._settle(message)
        elif "id" in message:
            self._reply(message)
        else:
            self.notifications.append((message["method"], message.get("params")))
            self._arrived.set()

    def _settle(self, message: dict[str, Any]) -> None:
        future = self._waiting.get(message["id"])
        if future is None or future.done():
            return
        if error := message.get("error"):
            future.set_exception(ResponseError(error["code"], error["message"]))
        else:
            future.set_result(message.get("result"))

    def _reply(self, message: dict[str, Any]) -> None:
        self.requests.append((message["method"], message.get("params")))
        answer = self.answers.get(message["method"])
        result = answer(message.get("params")) if answer else None
        self._send({"id": message["id"], "result": result})

    def _configured(self, params: Any) -> list[Any]:
        return [
            self._section(
                item.get("section") or "",
                self.by_folder.get(item.get("scopeUri"), self.configuration),
            )
            for item in params["items"]
        ]

    def _section(self, section: str, found: Any) -> Any:
        for name in filter(None, section.split(".")):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found


def _place(place: tuple[int, int]) -> dict[str, int]:
    return {"line": place[0], "character": place[1]}
