"""The report's figures are those of the ledger and the registry, read once."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.judging.verdicts import FILE, VerdictLog
from falcon_lsp.memory.events import Event
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import AdapterRegistry
from falcon_lsp.report.gather import GROUP, MOST_ENTRIES, Report, gather, this_week
from falcon_lsp.report.periods import MOST_DAYS
from report_samples import DAY, NOW, episode, fill, history, verdict
from unit.model import adapter_samples


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", tmp_path / "cache")


@pytest.fixture
def ledger(store: Store) -> Iterator[Ledger]:
    opened = Ledger(store.ledger)
    yield opened
    opened.close()


def recorded(store: Store, ledger: Ledger, *events: list[Event], search: str = "") -> Report:
    for each in events:
        ledger.append(each)
    return gather(store, ledger, search=search, now=NOW)


def test_an_empty_store_has_an_empty_report(store: Store, ledger: Ledger) -> None:
    report = recorded(store, ledger)
    assert (report.periods, report.rewards, report.versions, report.entries) == ([], [], [], [])
    assert (report.this_week.shown, report.this_week.acceptance) == (0, None)
    assert report.current == "base"


def test_the_week_counts_what_became_known_of_its_suggestions(store: Store, ledger: Ledger) -> None:
    report = recorded(
        store,
        ledger,
        episode("a", NOW - 1 * DAY, "return total", Outcome.ACCEPTED),
        episode("b", NOW - 2 * DAY, "return total", Outcome.PARTIAL, kept=6),
        episode("c", NOW - 3 * DAY, "return", Outcome.REJECTED),
        episode("d", NOW - 3 * DAY, "return", Outcome.UNDONE),
        episode("e", NOW - 3 * DAY, "return", Outcome.SUPERSEDED),
        episode("f", NOW - 8 * DAY, "return", Outcome.REJECTED),
    )
    week = report.this_week
    assert (week.shown, week.taken, week.declined) == (4, 2, 2)
    assert (week.kept_chars, week.offered_chars) == (12 + 6, 12 + 12 + 6 + 6)
    assert week.acceptance == 0.5
    assert report.last_week.shown == 1
    assert this_week(ledger, NOW) == week


def test_a_short_history_is_told_by_day_and_a_long_one_by_week_from_monday(
    store: Store, ledger: Ledger
) -> None:
    by_day = recorded(store, ledger, history(MOST_DAYS - 1)).periods
    assert len(by_day) == MOST_DAYS
    by_week = recorded(store, ledger, history(70, seed=4)).periods
    starts = [dt.datetime.fromtimestamp(each.start).astimezone() for each in by_week]
    assert {(start.weekday(), start.hour) for start in starts} == {(0, 0)}
    assert all(a.end == b.start for a, b in itertools.pairwise(by_week))
    assert by_week[-1].start <= NOW < by_week[-1].end


def test_every_judged_suggestion_lies_in_one_period(store: Store, ledger: Ledger) -> None:
    report = recorded(store, ledger, history(70))
    assert sum(each.shown for each in report.periods) == report.counts["suggestions"]


def test_rewards_are_grouped_from_the_newest_back(store: Store, ledger: Ledger) -> None:
    report = recorded(store, ledger, history(5, per_day=GROUP // 2))
    assert [group.count for group in report.rewards] == [GROUP // 2, GROUP, GROUP]
    assert {"compiler", "error_lines", "developer"} <= set(report.rewards[-1].terms)
    assert report.rewards[0].time < report.rewards[-1].time


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", {"a", "b"}),
        ("ACCOUNT", {"a"}),
        ("shop rejected", {"b"}),
        ("account rejected", set()),
        ("cart.py", {"b"}),
    ],
)
def test_a_search_asks_for_all_its_words(
    store: Store, ledger: Ledger, search: str, found: set[str]
) -> None:
    report = recorded(
        store,
        ledger,
        episode("a", NOW - DAY, "self.account", Outcome.ACCEPTED, path="bank.py"),
        episode("b", NOW - DAY, "self.price", Outcome.REJECTED, path="shop/cart.py"),
        search=search,
    )
    assert {each.completion_id for each in report.entries} == found
    assert report.found == len(found)


def test_of_many_suggestions_the_latest_are_listed_first(store: Store, ledger: Ledger) -> None:
    report = recorded(store, ledger, history(40))
    times = [each.time for each in report.entries]
    assert len(times) == MOST_ENTRIES
    assert times == sorted(times, reverse=True)
    assert report.found == 360


def test_files_are_counted_in_their_workspaces(store: Store, ledger: Ledger) -> None:
    report = recorded(
        store,
        ledger,
        episode("a", NOW - DAY, "x = 1", Outcome.ACCEPTED, path="a.py"),
        episode("b", NOW - DAY, "x = 1", Outcome.REJECTED, path="a.py"),
        episode("c", NOW - DAY, "x = 1", Outcome.REJECTED, path="a.py", workspace="file:///b"),
    )
    rows = [(each.workspace, each.suggestions, each.taken) for each in report.files]
    assert rows == [("file:///code/shop", 2, 1), ("file:///b", 1, 0)]


def test_what_a_clock_put_into_the_future_is_left_out(store: Store, ledger: Ledger) -> None:
    far = episode("far", 1e17, "x = 1", Outcome.ACCEPTED)
    assert recorded(store, ledger, far).periods == []


def test_a_damaged_payload_is_left_out(store: Store, ledger: Ledger) -> None:
    ledger.append(episode("a", NOW - DAY, "x = 1", Outcome.ACCEPTED))
    ledger.append(episode("b", NOW - DAY, "y = 2", Outcome.ACCEPTED))
    with ledger._transaction() as db:
        db.execute("UPDATE events SET payload = '{broken' WHERE completion_id = 'a'")
    assert [each.completion_id for each in ledger.outlines(0)] == ["b"]


def test_outlines_have_all_but_the_prompt(store: Store, ledger: Ledger) -> None:
    ledger.append(history(100))  # more than one batch
    whole, outlines = ledger.episodes(), ledger.outlines(0)
    assert len(outlines) == len(whole) == 900
    for full, light in zip(whole, outlines, strict=True):
        assert light.suggestion.prompt.prefix == ""
        assert (light.outcome, light.settled, light.event_ids) == (
            full.outcome, full.settled, full.event_ids,
        )  # fmt: skip
        assert light.suggestion.text == full.suggestion.text


def test_adapters_come_newest_first_with_their_verdicts(store: Store, ledger: Ledger) -> None:
    fill(store)
    report = recorded(store, ledger)
    assert report.current == "adp-30f3a6b"
    assert [each.current for each in report.versions] == [True, False, False, False]
    assert [each.promoted for each in report.versions] == [True, True, False, True]
    aside = report.versions[2]
    assert (aside.gain, aside.bound, aside.learned) == (0.008, -0.02, 24)
    assert aside.reasons


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"verdict": None},
        {"verdict": "fine"},
        verdict(float("nan"), float("inf")),
        {"verdict": {"liked_gain": "0.1", "liked_gain_bound": [1], "regression": True}},
    ],
)
def test_odd_metrics_of_a_manifest_are_no_numbers(
    store: Store, ledger: Ledger, metrics: dict[str, object]
) -> None:
    adapter_samples.publish(AdapterRegistry(store.adapters), "adp-1", metrics=metrics)
    (version,) = recorded(store, ledger).versions
    assert (version.gain, version.bound) == (None, None)


def test_decisions_come_newest_first_also_about_versions_that_are_gone(
    store: Store, ledger: Ledger
) -> None:
    fill(store)
    VerdictLog(store.adapters).add_rollback("adp-gone", "adp-00f3a6b", "")
    with (store.adapters / FILE).open("a") as file:
        file.write('{"reasons": 3, "time": "now", "what": null}\n{"cut sho')
    odd, back, *others = recorded(store, ledger).decisions
    assert (odd.time, odd.reasons, odd.adapter) == (0.0, (), "")
    assert (back.what, back.adapter, back.to) == ("rolled_back", "adp-gone", "adp-00f3a6b")
    assert back.reasons == ("by hand",)
    assert [each.what for each in others] == ["promoted", "promoted", "set_aside", "promoted"]


def test_storage_counts_the_bytes_of_each_kind(store: Store, ledger: Ledger) -> None:
    for folder, size in ((store.chroma / "deep", 700), (store.models, 40)):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * size)
    sizes = {each.name: each.size for each in recorded(store, ledger).storage}
    assert (sizes["Long-term memory"], sizes["Models"], sizes["Adapters"]) == (700, 40, 0)
    assert sizes["Ledger"] >= store.ledger.stat().st_size > 0
