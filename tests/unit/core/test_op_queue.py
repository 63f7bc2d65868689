"""One running, one waiting, each with a reason."""

from __future__ import annotations

import threading

from falcon_lsp.core.op_queue import OpQueue


def test_requests_during_a_run_collapse_into_one_more() -> None:
    reasons: list[str] = []
    started, release = threading.Event(), threading.Event()

    def job(reason: str) -> None:
        reasons.append(reason)
        started.set()
        release.wait(10)

    queue = OpQueue("test", job)
    queue.request("first")
    assert started.wait(10)
    for reason in ("second", "third", "fourth"):
        queue.request(reason)
    release.set()
    assert queue.wait_idle(10)
    assert reasons == ["first", "fourth"]
    queue.close()


def test_a_failing_job_is_counted_and_the_next_one_runs() -> None:
    done: list[str] = []

    def job(reason: str) -> None:
        if reason == "bad":
            raise ValueError(reason)
        done.append(reason)

    queue = OpQueue("test", job)
    queue.request("bad")
    assert queue.wait_idle(10)
    queue.request("good")
    assert queue.wait_idle(10)
    assert (queue.failures, done) == (1, ["good"])
    queue.close()


def test_nothing_runs_after_close() -> None:
    ran: list[str] = []
    queue = OpQueue("test", ran.append)
    queue.close()
    queue.request("late")
    assert queue.wait_idle(1)
    assert ran == []
