"""The server without a transport: counting, logging, flushing, registering."""

import logging

import pytest
from pygls.exceptions import FeatureRequestError

from falcon_lsp.lsp import base
from falcon_lsp.lsp.base import FalconServer


def test_many_problems_make_one_line_per_interval(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(base.time, "monotonic", lambda: now[0])
    server = FalconServer()
    with caplog.at_level(logging.WARNING):
        for _ in range(5000):
            server.report("parse_error", "detail")
        now[0] += base.LOG_INTERVAL_S
        server.report("other")
    assert server.counters == {"parse_error": 5000, "other": 1}
    assert len(caplog.records) == 2
    assert "'parse_error': 4999" in caplog.records[1].getMessage()


def test_an_error_of_pygls_is_counted_and_sent_nowhere() -> None:
    server = FalconServer()
    sent: list[bytes] = []
    server.protocol.set_writer(type("Writer", (), {"write": sent.append, "close": None})())
    server.report_server_error(ValueError("source text"), FeatureRequestError)
    assert (server.counters["server_error"], sent) == (1, [])


def test_a_failing_flush_does_not_keep_the_next_from_running() -> None:
    server, ran = FalconServer(), []
    server.on_flush += [lambda: 1 / 0, lambda: ran.append("second")]
    server.flush()
    assert ran == ["second"]
    assert server.counters["flush_failed"] == 1


def test_thread_handlers_are_refused() -> None:
    with pytest.raises(TypeError, match="coroutine"):
        FalconServer().thread()


def test_libraries_that_log_messages_are_quiet_even_when_everything_is_logged() -> None:
    FalconServer()
    for name in ("pygls", "pygls.protocol.json_rpc", "websockets.server"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
