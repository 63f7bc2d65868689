"""Timings and reasons, bounded."""

from falcon_lsp.completion.latency import LatencyLog


def test_percentiles_are_of_the_latest_answers_only() -> None:
    log = LatencyLog(timings=100)
    for value in range(1, 301):
        log.add(float(value))
    assert (log.percentile(50), log.percentile(95), log.percentile(100)) == (250, 295, 300)


def test_before_the_first_answer_there_is_no_percentile() -> None:
    assert LatencyLog().percentile(50) is None


def test_the_last_reasons_are_kept_in_order() -> None:
    log = LatencyLog(reasons=2)
    for reason in ("loading", "", "quiet", "timed out"):
        log.add(1.0, reason)
    assert [each.reason for each in log.reasons()] == ["quiet", "timed out"]
    assert log.reasons()[0].time <= log.reasons()[1].time


def test_each_request_is_counted_once_by_what_became_of_it() -> None:
    log = LatencyLog()
    for origin in ("engine", "joined", "cache", "cache", "ahead"):
        log.add(1.0, origin=origin)
    for reason in ("cancelled", "superseded", "timed out", "quiet"):
        log.add(1.0, reason)
    assert log.counts.pop("asked") == log.counts.total() == 9
    assert log.counts == {
        "engine": 1, "joined": 1, "cache": 2, "ahead": 1, "cancelled": 2, "deadline": 1, "silent": 1
    }  # fmt: skip


def test_the_same_reason_in_the_same_document_is_one_row() -> None:
    log = LatencyLog()
    for uri in ("file:///a.py", "file:///a.py", "file:///b.py", "file:///a.py"):
        log.add(0.0, "quiet", detail="chance 8 %", language="python", uri=uri)
    rows = log.reasons()
    assert [row.times for row in rows] == [2, 1, 1]
    assert rows[0].file == rows[2].file != rows[1].file
    assert log.silences == {"quiet": 4}


def test_a_row_says_what_to_do_and_nothing_of_the_document() -> None:
    log = LatencyLog()
    log.add(0.0, "timed out", language="python", uri="file:///home/user/secret_plan.py")
    (row,) = log.reasons()
    assert "falcon.completion.deadlineMs" in row.advice
    assert "secret_plan" not in str(row)
    other = LatencyLog()
    other.add(0.0, "timed out", uri="file:///home/user/secret_plan.py")
    assert other.reasons()[0].file != row.file, "marks of two sessions cannot be compared"


def test_fifty_rows_are_kept() -> None:
    log = LatencyLog()
    for number in range(80):
        log.add(0.0, "quiet", uri=f"file:///{number}.py")
    assert len(log.reasons()) == 50
    assert log.silences["quiet"] == 80
