"""More requests at once than any engine can answer: each is answered, and nothing else waits.

How long it takes is the latency benchmark's to say; here it is order and number.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.raw_peer import ServerProcess, call

SLOW = [sys.executable, str(Path(__file__).with_name("slow_server.py"))]

SOURCE = """total = compute(price, amount)
print(total)


def report(name):
    print(name)


report("all")
with open("log") as file:
    file.read()
total = """
CANCELLED = -32800
REQUESTS = 100
STORM = 1000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """The server with a slow engine, loaded."""
    with ServerProcess(SLOW, tmp_path) as process:
        process.start()
        process.wait_until(lambda: process.ask("falcon/status", {})["result"]["state"] == "ready")
        yield process


def uri(number: int) -> str:
    return f"file:///project/{number}.py"


def did_open(number: int, text: str = SOURCE) -> dict[str, Any]:
    document = {"uri": uri(number), "languageId": "python", "version": 1, "text": text}
    return call("textDocument/didOpen", {"textDocument": document})


def did_change(number: int, text: str) -> dict[str, Any]:
    document = {"uri": uri(number), "version": 2}
    params = {"textDocument": document, "contentChanges": [{"text": text}]}
    return call("textDocument/didChange", params)


def inline(number: int, msg_id: int) -> dict[str, Any]:
    position = {"line": SOURCE.count("\n"), "character": len("total = ")}
    params = {"textDocument": {"uri": uri(number)}, "position": position}
    return call("textDocument/inlineCompletion", {**params, "context": {"triggerKind": 1}}, msg_id)


def outcomes(server: ServerProcess, ids: range) -> Counter[str]:
    """Wait for the answer of each request, exactly one, and return what became of them."""
    found: Counter[str] = Counter()
    for msg_id in ids:
        answer = server.answer(msg_id)
        if "error" in answer:
            assert answer["error"]["code"] == CANCELLED
            found["cancelled"] += 1
        else:
            found["text" if answer["result"]["items"] else "nothing"] += 1
    assert all(len(server.answers(msg_id)) == 1 for msg_id in ids)
    return found


def order(server: ServerProcess) -> list[Any]:
    return [message["id"] for message in server.messages if "method" not in message]


def counted(server: ServerProcess) -> dict[str, int]:
    requests: dict[str, int] = server.ask("falcon/status", {})["result"]["requests"]
    return requests


def test_a_hundred_requests_at_once_leave_changes_and_shutdown_free(server: ServerProcess) -> None:
    ids = range(1, REQUESTS + 1)
    server.send(*(did_open(n) for n in ids), *(inline(n, n) for n in ids))
    server.send(did_change(1, "changed = 1\n"))
    server.ask("no/such/method", {}, "after the change")
    server.ask("shutdown", None, "shutdown")
    answered = order(server)
    assert answered.index("after the change") < answered.index("shutdown")
    before = [msg_id for msg_id in answered[: answered.index("shutdown")] if msg_id in ids]
    assert len(before) < REQUESTS  # it waited for none that had to wait for the engine
    server.send(call("exit"))
    assert server.exit_code() == 0
    assert outcomes(server, ids).total() == REQUESTS


def test_a_hundred_requests_in_one_document_share_what_is_said(server: ServerProcess) -> None:
    ids = range(1, REQUESTS + 1)
    server.send(did_open(0), *(inline(0, msg_id) for msg_id in ids))
    assert outcomes(server, ids) == {"text": REQUESTS}
    ids_offered = {
        item["command"]["arguments"][0]
        for msg_id in ids
        for item in server.answers(msg_id)[0]["result"]["items"]
    }
    assert len(ids_offered) == 1
    assert counted(server) == {"asked": REQUESTS, "engine": 1, "joined": REQUESTS - 1}


def test_a_storm_of_cancelled_completions_is_answered_one_by_one(server: ServerProcess) -> None:
    ids = range(1, STORM + 1)
    for start in range(1, STORM + 1, 50):
        batch = range(start, start + 50)
        fresh = SOURCE.replace("compute", f"compute_{start}")  # never asked about before
        server.send(*(did_open(n, fresh) for n in range(10)))
        server.send(*(inline(n % 10, n) for n in batch))
        server.send(*(call("$/cancelRequest", {"id": n}) for n in (*batch, *batch)))
    became = outcomes(server, ids)
    assert became.total() == STORM
    counts = counted(server)
    assert counts["asked"] == STORM
    assert counts["cancelled"] >= became["cancelled"] > STORM / 2
    server.send(did_open(99), inline(99, STORM + 1))
    assert server.answer(STORM + 1)["result"]["items"]
    assert server.popups() == []
