"""Other servers may ask the owner of the index, and nothing else, at an owner-only address."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import struct
import threading
import time
from pathlib import Path

import pytest

from falcon_lsp.memory import peers
from falcon_lsp.memory.peers import Answer, PeerServer, Question, ask_owner
from falcon_lsp.memory.records import Recalled, Record

RECORD = Record(
    "c1", "success", "file:///w", "python", "naïve.py", 1.5, "x = ", "1", None, "accepted", 1, "a"
)
QUESTION = Question("x = ", "file:///w", "python", 3, ("c9",))
UNIX = [True, False] if hasattr(socket, "AF_UNIX") else [False]


@pytest.fixture(params=UNIX, ids=lambda unix: "unix" if unix else "loopback")
def server(request, tmp_path: Path):
    asked: list[Question] = []

    def answer(question: Question) -> Answer:
        asked.append(question)
        return Answer(7, (Recalled(RECORD, 0.5),) if question.k else ())

    opened = PeerServer(tmp_path / "data", answer, unix=request.param)
    opened.asked = asked
    opened.folder = tmp_path / "data"
    yield opened
    opened.close()


def test_the_answer_arrives_as_it_was_given(server) -> None:
    assert ask_owner(server.folder, QUESTION, 5) == Answer(7, (Recalled(RECORD, 0.5),))
    assert server.asked == [QUESTION]


def test_questions_are_cut_to_their_bounds(server) -> None:
    ask_owner(server.folder, Question("a" * 5000 + "b", "w", "p", 10**6, ("e",) * 99), 5)
    (asked,) = server.asked
    assert (len(asked.text), asked.text[-1], asked.k, len(asked.exclude)) == (600, "b", 20, 32)


def test_only_the_user_may_open_the_address(server) -> None:
    if os.name == "nt":
        pytest.skip("no file modes")
    (file,) = server.folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def raw(server, content: bytes) -> bytes:
    """Send bytes as they are; returns all that comes back before the connection ends."""
    connection, token = peers._connect(server.folder, 5)
    with connection:
        connection.sendall(content.replace(b"<token>", token.encode()))
        parts = []
        while part := connection.recv(4096):
            parts.append(part)
    return b"".join(parts)


def frame(message: object) -> bytes:
    content = json.dumps(message).encode()
    return struct.pack(">I", len(content)) + content


GOOD = {"text": "", "workspace": "", "language": "", "k": 1, "exclude": []}


@pytest.mark.parametrize(
    "content",
    [
        struct.pack(">I", peers.MOST_QUESTION_BYTES + 1),
        struct.pack(">I", 4) + b"\xff{]}",
        frame([]),
        frame({}),
        frame({**GOOD, "token": "wrong"}),
        *(frame({**GOOD, "token": ""} | wrong) for wrong in ({"k": "1"}, {"k": True}, {"text": 1})),
        frame({**GOOD, "exclude": [1]}),
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
)
def test_what_is_no_question_gets_no_answer_and_the_next_one_does(server, content: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # closed with bytes of ours unread
        assert raw(server, content) == b""
    assert server.asked == []
    assert ask_owner(server.folder, QUESTION, 5).records == 7


def test_a_question_that_never_ends_holds_nobody_up_for_long(server, monkeypatch) -> None:
    monkeypatch.setattr(peers, "CONNECTION_SECONDS", 0.05)
    connection, _ = peers._connect(server.folder, 5)
    with connection:
        connection.sendall(struct.pack(">I", 1000) + b"x")
        assert connection.recv(1) == b""
    assert ask_owner(server.folder, QUESTION, 5).records == 7


def test_the_owner_takes_over_the_address_of_one_that_died(tmp_path: Path) -> None:
    died = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    died.bind(str(tmp_path / "recall.sock"))
    died.close()
    (tmp_path / "recall.json").write_text('{"port": 1, "token": "old"}')
    server = PeerServer(tmp_path, lambda _: Answer(1, ()))
    assert ask_owner(tmp_path, QUESTION, 5).records == 1
    server.close()
    with pytest.raises(FileNotFoundError):
        ask_owner(tmp_path, QUESTION, 5)
    assert list(tmp_path.iterdir()) == []


def test_a_path_too_long_for_a_socket_falls_back_to_loopback(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    server = PeerServer(folder, lambda _: Answer(1, ()))
    assert [file.name for file in folder.iterdir()] == ["recall.json"]
    assert ask_owner(folder, QUESTION, 5).records == 1
    server.close()


def test_who_asks_waits_no_longer_than_it_said(tmp_path: Path) -> None:
    release = threading.Event()

    def slow(_: Question) -> Answer:
        release.wait(10)
        return Answer(1, ())

    server = PeerServer(tmp_path, slow)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        ask_owner(tmp_path, QUESTION, 0.05)
    assert time.monotonic() - began < 5
    release.set()
    server.close()
