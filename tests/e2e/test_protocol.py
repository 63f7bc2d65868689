"""What a server process does with what no well-behaved client sends, and with what one does."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.raw_peer import STDIO_SERVERS, TINY, ServerProcess, call, encode, frame, initialize

URI = "file:///project/a.py"


@pytest.fixture(params=STDIO_SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """Each server, initialized."""
    with ServerProcess(STDIO_SERVERS[request.param], tmp_path) as process:
        yield process.start()


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[ServerProcess]:
    """The test server, initialized, with everything logged."""
    with ServerProcess([*TINY, "stdio", "--debug"], tmp_path) as process:
        yield process.start()


def inline(character: object = 0, uri: object = URI) -> dict[str, object]:
    position = {"line": 0, "character": character}
    return {"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 2}}


def did_open(text: object, uri: str = URI) -> dict[str, object]:
    document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
    return call("textDocument/didOpen", {"textDocument": document})


WRONG = [
    (call("textDocument/inlineCompletion", {"wrong": 1}), -32602),
    (call("textDocument/inlineCompletion", inline("3")), -32602),
    (call("textDocument/inlineCompletion", inline(-1)), -32602),
    (call("textDocument/inlineCompletion", inline(2.5)), -32602),
    (call("textDocument/inlineCompletion", inline(10**30)), -32602),
    (call("textDocument/inlineCompletion", inline(uri={"a": 1})), -32602),
    (call("textDocument/inlineCompletion", [1, 2]), -32602),
    (call("textDocument/inlineCompletion", None), -32602),
    (call("textDocument/inlineCompletion", "text"), -32602),
    (call("workspace/executeCommand", {"command": "no such"}), -32602),
    (call("no/such/method", {}), -32601),
    (call("$/no/such/method", {}), -32601),
    (call("window/showMessage", {"type": 1, "message": "x"}), -32601),
    (call("textDocument/didOpen", {}), -32600),
    (call("$/cancelRequest", {"id": 1}), -32600),
    (call("exit", None), -32600),
    (initialize(), -32600),
    ({"jsonrpc": "2.0", "method": 7}, -32600),
    ({"jsonrpc": "2.0"}, -32600),
    ({"jsonrpc": "1.0", "method": "shutdown"}, -32600),
    ({"method": "shutdown"}, -32600),
]


def test_a_wrong_request_is_answered_once_with_its_code(server: ServerProcess) -> None:
    for i, (message, _code) in enumerate(WRONG, 1):
        server.send({**message, "id": i})
    server.ask("no/such/method", {}, "last")
    answered = {m["id"]: m["error"]["code"] for m in server.messages if m["id"] not in (0, "last")}
    assert answered == {i: code for i, (_message, code) in enumerate(WRONG, 1)}
    assert len(server.messages) == len(WRONG) + 2
    assert server.popups() == []


NAMELESS = [
    (b"", -32700),
    (b"not json", -32700),
    (b'\xff\xfe{"jsonrpc":"2.0"}', -32700),
    (b'{"jsonrpc":"2.0","method":"shutdown","id":NaN}', -32700),
    (b'{"jsonrpc":"2.0","method":"shutdown","id":' + b"9" * 5000 + b"}", -32700),
    (b"[" * 200_000, -32700),
    (b'{"a":' * 50_000, -32700),
    (b"[]", -32600),
    (encode([call("shutdown", None, 5), call("shutdown", None, 6)]), -32600),
    (b"17", -32600),
    *((b'{"jsonrpc":"2.0","method":"shutdown","id":%s}' % odd, -32600) for odd in (
        b"null", b"1.5", b"1.0", b"true", b"{}", b"[5]"
    )),
]  # fmt: skip


def test_what_has_no_usable_id_is_answered_without_one_and_survived(server: ServerProcess) -> None:
    for body, _code in NAMELESS:
        server.send_body(body)
    server.ask("no/such/method")
    codes = [message["error"]["code"] for message in server.answers(None)]
    assert codes == [code for _body, code in NAMELESS]
    assert server.popups() == []


def test_wrong_notifications_and_replies_are_silent_and_change_nothing(tiny: ServerProcess) -> None:
    tiny.send(
        call("textDocument/didOpen", {"textDocument": 3}),
        did_open(None),
        call("no/such/notification"),
        call("textDocument/inlineCompletion", inline()),
        call("shutdown"),
        call("test/fail", {"text": "x"}),
        {"jsonrpc": "2.0", "id": 99, "result": None},
        {"jsonrpc": "2.0", "id": "unknown", "error": {"code": 1, "message": "x"}},
        {"jsonrpc": "2.0", "id": [], "result": None},
    )
    counters = tiny.ask("test/counters")["result"]
    assert counters == {
        "invalid_params": 2,
        "method_not_found": 1,
        "invalid_request": 3,
        "notification_failed": 1,
        "unknown_reply": 2,
    }
    assert len(tiny.messages) == 2


def test_the_number_and_the_text_of_a_number_are_two_ids(tiny: ServerProcess) -> None:
    tiny.send(call("test/echo", {"a": 1}, 1), call("test/echo", {"a": 2}, "1"))
    assert tiny.answer(1)["result"] == {"a": 1}
    assert tiny.answer("1")["result"] == {"a": 2}


def test_an_id_that_is_in_use_is_refused_without_stealing_its_answer(tiny: ServerProcess) -> None:
    tiny.send(call("test/wait", {}, 7), call("test/echo", {"a": 1}, 7))
    assert tiny.wait_until(lambda: tiny.answers(None))[0]["error"]["code"] == -32600
    assert tiny.answers(7) == []
    tiny.send(call("$/cancelRequest", {"id": 7}))
    assert tiny.answer(7)["error"]["code"] == -32800
    tiny.send(call("test/echo", {"a": 2}, 7))
    assert tiny.wait_until(lambda: tiny.answers(7)[1:])[0]["result"] == {"a": 2}


def test_a_failing_handler_is_answered_shortly_and_without_the_text(tiny: ServerProcess) -> None:
    for method, code, message in [
        ("test/fail", -32603, "test/fail failed (ValueError)"),
        ("test/failLater", -32603, "test/failLater failed (ValueError)"),
        ("test/object", -32603, "test/object failed (AttributeError)"),
        ("test/infinity", -32603, "test/infinity failed (ValueError)"),
        ("test/refuse", -32602, "outcome must be one of a, b"),
        ("test/withdrawn", -32800, "cancelled"),
    ]:
        answer = tiny.ask(method, {"text": "text of a document"})
        assert answer["error"] == {"code": code, "message": message}
    assert tiny.popups() == []


def test_a_running_coroutine_is_cancelled(tiny: ServerProcess) -> None:
    for msg_id, method, params in [
        (1, "test/wait", {}),
        (2, "workspace/executeCommand", {"command": "tiny.wait"}),
    ]:
        tiny.send(call(method, params, msg_id), call("$/cancelRequest", {"id": msg_id}))
        assert tiny.answer(msg_id)["error"]["code"] == -32800


def test_a_storm_of_cancels_answers_every_request_once(tiny: ServerProcess) -> None:
    for start in range(1, 1001, 50):
        ids = range(start, start + 50)
        tiny.send(*(call("test/wait", {}, i) for i in ids))
        tiny.send(*(call("$/cancelRequest", {"id": i}) for i in (*ids, *ids, 5000)))
    tiny.wait_until(lambda: len(tiny.messages) >= 1001)
    tiny.ask("test/echo", {}, "last")
    answered = Counter(m["id"] for m in tiny.messages if m["id"] not in (0, "last"))
    assert answered == Counter(range(1, 1001))
    assert {m["error"]["code"] for m in tiny.messages[1:-1]} == {-32800}


def test_cancelled_completions_are_all_answered_once(server: ServerProcess) -> None:
    server.send(did_open("import os\nimport "))
    for i in range(1, 101):
        server.send(call("textDocument/inlineCompletion", inline(3), i))
        server.send(call("$/cancelRequest", {"id": i}))
    for i in range(1, 101):
        answer = server.answer(i)
        assert "result" in answer or answer["error"]["code"] == -32800
    server.ask("no/such/method")
    assert all(len(server.answers(i)) == 1 for i in range(1, 101))


def test_blocked_pool_threads_do_not_keep_messages_from_being_read(tiny: ServerProcess) -> None:
    tiny.send(*(call("test/block", {}, i) for i in range(1, 41)))
    tiny.send(did_open("abc"))
    answer = tiny.ask("textDocument/inlineCompletion", inline())
    assert answer["result"]["items"][0]["insertText"] == "3"
    assert all(tiny.answers(i) == [] for i in range(1, 41))


def test_a_request_sees_the_changes_before_it_and_none_after_it(tiny: ServerProcess) -> None:
    change = {
        "textDocument": {"uri": URI, "version": 2},
        "contentChanges": [{"text": "much longer text"}],
    }
    tiny.send(
        did_open("ab"),
        call("textDocument/inlineCompletion", inline(), 1),
        call("textDocument/didChange", change),
        call("textDocument/inlineCompletion", inline(), 2),
    )
    texts = [tiny.answer(i)["result"]["items"][0]["insertText"] for i in (1, 2)]
    assert texts == ["2", "16"]


def test_documents_are_followed_over_the_wire(tiny: ServerProcess) -> None:
    def edit(version: int, start: tuple[int, int], end: tuple[int, int], text: str) -> dict:
        places = [dict(zip(("line", "character"), place, strict=True)) for place in (start, end)]
        change = {"range": {"start": places[0], "end": places[1]}, "text": text}
        document = {"uri": URI, "version": version}
        params = {"textDocument": document, "contentChanges": [change]}
        return call("textDocument/didChange", params)

    tiny.send(
        did_open("a😀b\r\nc\u2028d\r"), edit(2, (0, 3), (0, 4), "B"), edit(3, (1, 2), (1, 3), "D")
    )
    expected = {"version": 3, "text": "a😀B\r\nc\u2028D\r"}
    assert tiny.ask("test/document", {"uri": URI})["result"] == expected
    tiny.send(call("textDocument/didSave", {"textDocument": {"uri": URI}}))
    tiny.send(call("textDocument/didClose", {"textDocument": {"uri": URI}}))
    assert tiny.ask("test/document", {"uri": URI})["result"] is None
    assert tiny.ask("test/counters")["result"] == {}


def test_a_message_too_large_is_skipped_and_one_far_too_large_ends_the_process(
    tiny: ServerProcess,
) -> None:
    tiny.send_bytes(b"Content-Length: %d\r\n\r\n" % (17 << 20))
    for _ in range(17):
        tiny.send_bytes(b"x" * (1 << 20))
    refused = tiny.wait_until(lambda: tiny.answers(None))[0]["error"]
    assert (refused["code"], "too large" in refused["message"]) == (-32600, True)
    assert tiny.ask("test/echo", {"a": 1})["result"] == {"a": 1}
    tiny.send_bytes(b"Content-Length: 99999999999999\r\n\r\n{}")
    assert tiny.exit_code() == 1
    assert "Traceback" not in tiny.log()


def test_what_handlers_print_goes_to_standard_error(tiny: ServerProcess) -> None:
    assert tiny.ask("test/shout")["result"] == "shouted"
    assert tiny.ask("test/echo", {"a": 1})["result"] == {"a": 1}
    assert "this must not reach the client" in tiny.log()
    assert "nor this" in tiny.log()


def test_the_client_can_be_asked_and_may_answer_badly(tiny: ServerProcess) -> None:
    answers = [
        ({"result": [{"a": 1}]}, {"result": [{"a": 1}]}),
        ({"error": {"code": -32601, "message": "no"}}, -32601),
        ({"error": "nonsense"}, -32603),
        ({"result": 17}, -32603),
    ]
    for msg_id, (reply, expected) in enumerate(answers, 1):
        asked_before = sum("method" in m for m in tiny.messages)
        tiny.send(call("test/configuration", {}, msg_id))
        asked = tiny.wait_until(
            lambda n=asked_before: [m for m in tiny.messages if "method" in m][n:]
        )
        tiny.send({"jsonrpc": "2.0", "id": asked[0]["id"], **reply})
        answer = tiny.answer(msg_id)
        if isinstance(expected, int):
            assert answer["error"]["code"] == expected
        else:
            assert answer["result"] == expected["result"]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([], "utf-16"),
        (["utf-8", "utf-16"], "utf-8"),
        (["utf-7", "utf-32", "utf-8"], "utf-32"),
    ],
)
def test_the_encoding_that_the_client_offers_first_is_chosen(
    tmp_path: Path, offered: list[str] | None, chosen: str
) -> None:
    hello = initialize()
    hello["params"]["capabilities"] = {"general": {"positionEncodings": offered}} if offered else {}
    place = {"line": 0, "character": {"utf-8": 5, "utf-16": 3, "utf-32": 2}[chosen]}
    change = {"range": {"start": place, "end": place}, "text": "X"}
    params = {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [change]}
    with ServerProcess([*TINY, "stdio"], tmp_path) as server:
        server.send(hello)
        assert server.answer(0)["result"]["capabilities"]["positionEncoding"] == chosen
        server.send(did_open("a😀b"), call("textDocument/didChange", params))
        assert server.ask("test/document", {"uri": URI})["result"]["text"] == "a😀Xb"


def test_capabilities_are_what_editors_need(server: ServerProcess) -> None:
    capabilities = server.answer(0)["result"]["capabilities"]
    assert capabilities["inlineCompletionProvider"] is not None
    sync = capabilities["textDocumentSync"]
    assert (sync["openClose"], sync["change"], bool(sync["save"])) == (True, 2, True)
    folders = capabilities["workspace"]["workspaceFolders"]
    assert folders == {"supported": True, "changeNotifications": True}
    assert "notebookDocumentSync" not in capabilities


def test_logs_never_hold_what_documents_or_messages_hold(tiny: ServerProcess) -> None:
    canary = "".join(chr(ord("a") + int(digit)) for digit in str(time.time_ns()))
    tiny.send(
        did_open(f"{canary} = 1"),
        did_open({"text": canary}),
        call("test/fail", {"text": canary}, 1),
        call("test/fail", {"text": canary}),
        call("textDocument/inlineCompletion", inline(canary), 2),
        call("textDocument/inlineCompletion", inline(0, canary), 3),
        call("workspace/executeCommand", {"command": "tiny.wait", "arguments": {canary: 1}}, 4),
        {"jsonrpc": "2.0", "id": canary, "result": {canary: canary}},
        call("test/object", {"text": canary}, 5),
    )
    tiny.send_body(f'{{"{canary}'.encode())
    tiny.send(call("shutdown", None, 6), call("exit"))
    tiny.exit_code()
    assert "problems" in tiny.log()
    assert canary not in tiny.log()


def test_a_client_that_reads_nothing_does_not_stop_the_server(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    with ServerProcess([*TINY, "stdio"], tmp_path, TINY_MARKED=str(marks)) as server:
        with server._news:  # the collecting thread stops at its next message
            data = {"a": "x" * 100_000}
            server.send(initialize(), *(call("test/echo", data, i) for i in range(1, 101)))
            server.send(call("test/mark"))
            deadline = time.monotonic() + 30
            while not marks.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert marks.exists()
        assert server.answer(100)["result"] == data


def test_ten_thousand_wrong_messages_make_few_log_lines_and_no_popup(tmp_path: Path) -> None:
    with ServerProcess([*TINY, "stdio"], tmp_path) as server:
        server.start()
        began = time.monotonic()
        for _ in range(100):
            server.send_bytes(frame(b"{broken") * 100)
        counters = server.ask("test/counters")["result"]
        elapsed = time.monotonic() - began
        assert counters == {"parse_error": 10_000}
        assert server.popups() == []
        assert server.log().count("\n") <= 1 + elapsed / 10
