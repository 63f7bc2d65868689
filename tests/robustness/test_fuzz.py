"""Thousands of damaged messages: the server answers each id once, shows nothing, and lives."""

import copy
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from e2e.raw_peer import STDIO_SERVERS, ServerProcess, call, encode, frame

MESSAGES = int(os.environ.get("FALCON_FUZZ", "10000"))
BATCH = 200
URI = "file:///project/a.py"
PLACE = {"line": 0, "character": 3}
SPAN = {"start": PLACE, "end": {"line": 1, "character": 0}}
DOCUMENT = {"uri": URI}
VALID: list[tuple[str, Any, bool]] = [
    ("textDocument/didOpen", {"textDocument": {**DOCUMENT, "languageId": "python", "version": 1,
        "text": "import os\r\nx = '😀'\n"}}, False),
    ("textDocument/didChange", {"textDocument": {**DOCUMENT, "version": 2},
        "contentChanges": [{"range": SPAN, "text": "y"}, {"text": "z = 1\n"}]}, False),
    ("textDocument/didSave", {"textDocument": DOCUMENT}, False),
    ("textDocument/didClose", {"textDocument": DOCUMENT}, False),
    ("textDocument/inlineCompletion", {"textDocument": DOCUMENT, "position": PLACE,
        "context": {"triggerKind": 2}}, True),
    ("workspace/executeCommand", {"command": "falcon.accepted", "arguments": ["cmp-1"]}, True),
    ("workspace/didChangeWorkspaceFolders", {"event": {"added": [{"uri": "file:///b", "name": "b"}],
        "removed": []}}, False),
    ("$/cancelRequest", {"id": 3}, False),
    ("$/setTrace", {"value": "off"}, False),
    ("window/workDoneProgress/cancel", {"token": "t"}, False),
    ("falcon/feedback", {"eventId": "e", "completionId": "cmp-1", "outcome": "accepted",
        "charsKept": 3}, True),
    ("falcon/status", None, True),
    ("test/echo", {"a": [1, {"b": None}]}, True),
    ("test/fail", {"text": "x"}, True),
    ("initialized", {}, False),
    ("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, True),
    ("no/such/method", {}, True),
    ("$/progress", {"token": 1, "value": {}}, False),
]  # fmt: skip
ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 1e308, 2**31, 2**64, 10**400, "", "x" * 5000, "\ud800", "\x00",
    "NaN", [], {}, [[]], {"a": {"a": {}}}, [None] * 50, "file://[", "ünï😀",
]  # fmt: skip
ODD_IDS = [b"null", b"1.5", b"true", b"{}", b"[1]", b"-0.0", b"1e2"]
GARBAGE = [
    b"", b" ", b"null", b"[]", b"{}", b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b"NaN", b"[" * 5000,
    b'{"a":' * 5000, b'"' + b"\\ud800" * 9 + b'"', b"9" * 6000, b"\x00" * 100,
    b'[{"jsonrpc":"2.0","id":1,"method":"shutdown"}]', b'{"jsonrpc":"2.0","id":1e400}',
]  # fmt: skip


class Mutator:
    """Makes damaged messages; never an ``exit`` or ``shutdown``, which would end the test."""

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)
        self.next_id = 1000

    def body(self) -> bytes:
        if self.rng.random() < 0.1:
            return self.rng.choice([*GARBAGE, self.rng.randbytes(self.rng.randrange(1, 200))])
        method, params, is_request = copy.deepcopy(self.rng.choice(VALID))
        message = call(method, params, self.fresh_id() if is_request else None)
        for _ in range(self.rng.choice([0, 1, 1, 2, 4])):
            self.damage_value(message)
        body = encode(message)
        return self.damage_bytes(body) if self.rng.random() < 0.15 else body

    def fresh_id(self) -> int | str:
        self.next_id += 1
        return self.rng.choice([self.next_id, f"id-{self.next_id}"])

    def damage_value(self, message: dict[str, Any]) -> None:
        """Change one place somewhere in the tree, or one of the message's own members."""
        place: Any = message
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                return
            key = self.rng.choice(keys)
            if not isinstance(place[key], dict | list) or self.rng.random() < 0.3:
                break
            place = place[key]
        if place is message and key == "id":
            message["id"] = self.fresh_id()
        elif self.rng.random() < 0.3:
            del place[key]
        else:
            place[key] = copy.deepcopy(self.rng.choice(ODD))

    def damage_bytes(self, body: bytes) -> bytes:
        kind = self.rng.randrange(5)
        at = self.rng.randrange(len(body))
        if kind == 0:
            return body[:at]
        if kind == 1:
            return body[:at] + self.rng.randbytes(3) + body[at:]
        if kind == 2:
            return b"[" + body + b"]"
        if kind == 3:
            return body.replace(b"null", self.rng.choice([b"NaN", b"Infinity", b"1e999"]))
        odd = self.rng.choice(ODD_IDS)
        return body[:-1] + b', "id": ' + odd + b"}"


def refuse(constant: str) -> None:
    raise ValueError(constant)


def due(body: bytes) -> tuple[Any, ...]:
    """The ids of the answers that JSON-RPC asks for: none, one, or one without an id."""
    try:
        message = json.loads(body.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        return (None,)
    if not isinstance(message, dict):
        return (None,)
    if "method" not in message and ("result" in message or "error" in message):
        return ()
    if "id" in message:
        usable = type(message["id"]) in (int, str)
        return (message["id"] if usable else None,)
    well_formed = message.get("jsonrpc") == "2.0" and isinstance(message.get("method"), str)
    return () if well_formed else (None,)


@pytest.mark.parametrize("name", STDIO_SERVERS)
def test_damaged_messages_are_answered_once_each_and_nothing_else(
    name: str, tmp_path: Path
) -> None:
    mutator = Mutator(f"fuzz {name}")
    expected: Counter[Any] = Counter()
    with ServerProcess(STDIO_SERVERS[name], tmp_path) as server:
        server.start()
        for _ in range(MESSAGES // BATCH):
            bodies = [mutator.body() for _ in range(BATCH)]
            expected.update(answer for body in bodies for answer in due(body))
            server.send_bytes(b"".join(map(frame, bodies)))
        server.ask("no/such/method", {}, "last")
        expected.update(["last", 0])
        server.wait_until(lambda: replies(server).total() >= expected.total())
        assert replies(server) == expected
        assert server.popups() == []
        assert server.ask("shutdown", None, "shutdown")["result"] is None
        server.send(call("exit"))
        assert server.exit_code() == 0
        assert replies(server) == expected + Counter(["shutdown"])
        assert "Traceback" not in server.log()


def replies(server: ServerProcess) -> Counter[Any]:
    return Counter(m["id"] for m in list(server.messages) if "method" not in m)
