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
