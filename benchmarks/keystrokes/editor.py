"""Our server as an editor sees it: over stdio, a request after each change."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from falcon_lsp.lsp.client import LspClient, ResponseError
from keystrokes.recording import Part
from keystrokes.replay import Moment, Withdrawn, place

SERVE = (sys.executable, "-m", "falcon_lsp", "serve", "--stdio")
POLL = 0.05


class Editor(LspClient):
    """A client that knows the id of its last request, to withdraw it and see the answer."""

    last_id = 0

    def _send(self, message: dict[str, Any]) -> None:
        if "method" in message and "id" in message:
            self.last_id = message["id"]
        super()._send(message)

    @classmethod
    async def launch(
        cls,
        workspace: Path,
        data: Path,
        engine: str,
        command: Sequence[str] = SERVE,
        env: Mapping[str, str] | None = None,
    ) -> Editor:
        """Start a server on the store ``data`` and do the handshake."""
        editor = cls()
        await editor.start(command, {"FALCON_DATA_DIR": str(data), **(env or {})})
        options = {"engine": engine, "learning": {"enable": False}}
        await editor.initialize(workspace, options=options)
        return editor

    async def until_ready(self) -> dict[str, Any]:
        """Wait for the model; returns the status. Raises `RuntimeError` when it cannot be had."""
        while True:
            status: dict[str, Any] = await self.request("falcon/status", {})
            if status["state"] == "trouble":
                raise RuntimeError(status["message"])
            if status["state"] != "loading":
                return status
            await asyncio.sleep(POLL)


class Served:
    """Our server, in the shape that `keystrokes.replay` types into."""

    name = "falcon-lsp"

    def __init__(self, editor: Editor, workspace: Path, *, tells_cursor: bool = True) -> None:
        self.editor, self.workspace, self.tells_cursor = editor, workspace, tells_cursor

    def open(self, part: Part) -> None:
        """Show a file as a part of the workspace."""
        self.editor.open(self._uri(part), "python", part.opened)

    def close(self, part: Part) -> None:
        """Take it away."""
        self.editor.close(self._uri(part))

    def rest(self, part: Part, text: str, cursor: int) -> None:
        """Say where the cursor rests, as our extension does; a plain client says nothing."""
        if self.tells_cursor:
            line, character = place(text, cursor)
            position = {"line": line, "character": character}
            self.editor.notify("falcon/cursor", {"uri": self._uri(part), "position": position})

    def ask(self, moment: Moment) -> _Request:
        """Send the change and the request, as an editor does at each keystroke."""
        step, uri = moment.step, self._uri(moment.part)
        start, end = (place(moment.before, at) for at in (step.at, step.at + step.cut))
        self.editor.change(uri, start, end, step.added(moment.part.original))
        return _Request(self.editor, uri, moment)

    def _uri(self, part: Part) -> str:
        return (self.workspace / part.path).as_uri()


class _Request:
    def __init__(self, editor: Editor, uri: str, moment: Moment) -> None:
        self._editor, self._moment = editor, moment
        self._asking = asyncio.ensure_future(editor.inline_completion(uri, moment.place))
        self._id: int | None = None
        asyncio.get_running_loop().call_soon(self._note_id)

    async def answer(self) -> tuple[str, str, bool | None, int]:
        try:
            items = await self._asking
        except ResponseError as error:
            raise Withdrawn from error
        if not items:
            return "", "", None, 0
        item = items[0]
        offer = str(item["command"]["arguments"][0])
        text = str(item["insertText"])
        return text, offer, self._moment.is_exact(text, _replaced(item, self._moment)), 0

    def withdraw(self) -> None:
        self._editor.notify("$/cancelRequest", {"id": self._id})

    def _note_id(self) -> None:
        """The request was sent in this turn of the loop, just before."""
        self._id = self._editor.last_id


def _replaced(item: Mapping[str, Any], moment: Moment) -> int:
    """Return how many characters after the cursor the item takes the place of."""
    where = item.get("range")
    return where["end"]["character"] - moment.place[1] if where else 0
