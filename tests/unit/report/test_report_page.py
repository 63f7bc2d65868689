"""The page shows a report to anyone, and nothing in a user's code gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections import Counter
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pytest

from falcon_lsp import cli
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import SET_ASIDE, AdapterRegistry
from falcon_lsp.report import page
from falcon_lsp.report.gather import Report, gather
from report_samples import DAY, NOW, episode, fill, verdict
from unit.model import adapter_samples

VOID = {"meta", "input", "br", "hr"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</code></pre></td><iframe src=//evil.example>",
    "]]></style><svg onload=alert(1)>",
    "&lt;b&gt; &amp; &#60;script&#62;",
    "<!-- --!> --><form action=//evil.example>",
    "\x00\x07\u202e<\u2028script\u2029>",
]


class Reader(HTMLParser):
    """Every element with its attributes; fails where elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.in_chart: list[bool] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.in_chart.append("svg" in self.open)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name in names]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("report")
    store = Store(folder / "data", folder / "cache")
    fill(store)
    with closing(Ledger(store.ledger)) as ledger:
        return gather(store, ledger, now=NOW)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("actions", [True, False])
def test_no_text_of_a_user_becomes_an_element_or_an_attribute(
    tmp_path: Path, hostile: str, actions: bool
) -> None:
    """The same elements with the same attributes, whatever stands in code, names and manifests."""
    shapes = []
    for number, text in enumerate(("p" * len(hostile), hostile)):
        store = Store(tmp_path / f"{number}" / "data", tmp_path / "cache")
        given = {"path": text, "workspace": f"file:///{text}", "language": "text"}
        with closing(Ledger(store.ledger)) as ledger:
            ledger.append(episode(f"cmp-{text}", NOW - DAY, text, Outcome.REJECTED, **given))
            ledger.append(episode("cmp-2", NOW - DAY, text, Outcome.ACCEPTED, **given))
            registry = AdapterRegistry(store.adapters)
            adapter_samples.publish(
                registry, "adp-1", status=SET_ASIDE, reasons=(text,), verdict=text,
                parent=text, metrics=verdict(0.1, 0.1), created=NOW,
            )  # fmt: skip
            VerdictLog(store.adapters).add(text, text, text, {"reasons": [text], "to": text})
            made = gather(store, ledger, search="", now=NOW)
        read = Reader(page.fragment(made, actions=actions))
        shapes.append(
            [
                (name, sorted(attributes))
                for (name, attributes), drawn in zip(read.elements, read.in_chart, strict=True)
                if not drawn  # how many lines an axis has depends on the numbers
            ]
        )
        shown = "".join(read.text)
    assert shapes[0] == shapes[1]
    assert hostile.replace("\x00", "") in shown.replace("\x00", "")


def test_a_hostile_search_comes_back_as_the_fields_value(report: Report, tmp_path: Path) -> None:
    store = Store(tmp_path / "data", tmp_path / "cache")
    with closing(Ledger(store.ledger)) as ledger:
        made = gather(store, ledger, search='"><script>', now=NOW)
    read = Reader(page.fragment(made, actions=True))
    assert read.named("script") == []
    assert [each["value"] for each in read.named("input")] == ['"><script>']


def test_the_page_runs_no_script_and_loads_nothing(report: Report) -> None:
    text = page.page(report)
    read = Reader(text)
    assert read.named("script", "link", "img", "iframe", "form", "button", "object") == []
    assert not [key for _, given in read.elements for key in given if key.startswith("on")]
    assert not [given for _, given in read.elements if "style" in given or "src" in given]
    assert {each["href"][:1] for each in read.named("a") if each["href"]} == {"#"}
    assert not re.search(r"(https?:)?//|@import|url\(", page.style())
    (policy,) = [m["content"] or "" for m in read.named("meta") if "http-equiv" in m]
    digest = base64.b64encode(hashlib.sha256(page.style().encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert f"<style>{page.style()}</style>" in text


def test_ids_are_unique_and_every_reference_finds_its_target(report: Report) -> None:
    read = Reader(page.fragment(report, actions=True))
    ids = Counter(given["id"] for _, given in read.elements if "id" in given)
    assert set(ids.values()) == {1}
    for _, given in read.elements:
        for name in ("aria-labelledby", "for"):
            assert set((given.get(name) or "").split()) <= set(ids)
        if (given.get("href") or "").startswith("#"):
            assert (given["href"] or "")[1:] in ids


def test_every_chart_says_what_it_shows_and_has_its_numbers_in_a_table(report: Report) -> None:
    read = Reader(page.fragment(report, actions=False))
    charts, tables = read.named("svg"), read.named("table")
    assert len(charts) == 5
    assert all(each["role"] == "img" and each["aria-labelledby"] for each in charts)
    assert len(read.named("caption")) == len(tables) >= 6
    assert all(each["scope"] == "col" for each in read.named("th"))


def test_headings_go_down_by_one(report: Report) -> None:
    read = Reader(page.fragment(report, actions=True))
    levels = [int(name[1]) for name, _ in read.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_buttons_carry_what_they_are_about(report: Report) -> None:
    read = Reader(page.fragment(report, actions=True))
    by_action: dict[str, list[dict[str, str | None]]] = {}
    for button in read.named("button"):
        if action := button.get("data-action"):
            by_action.setdefault(action, []).append(button)
    assert set(by_action) == {
        "train", "rollback", "forget", "forgetFile", "forgive", "export", "save",
    }  # fmt: skip
    promoted = {each.id for each in report.versions if each.promoted and not each.current}
    assert {each.get("data-id") for each in by_action["rollback"]} == {*promoted, "base", None}
    assert [each["data-id"] for each in by_action["forget"]] == [
        each.completion_id for each in report.entries
    ]
    assert {(each["data-workspace"], each["data-path"]) for each in by_action["forgetFile"]} == {
        (each.workspace, each.path) for each in report.files
    }
    assert all(each.get("aria-label") for each in by_action["forget"] + by_action["forgive"])


def test_an_empty_store_makes_a_page_that_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "data", tmp_path / "cache")
    with closing(Ledger(store.ledger)) as ledger:
        text = " ".join(Reader(page.page(gather(store, ledger, now=NOW))).text)
    for sentence in (
        "Nothing was suggested yet.",
        "Nothing was trained yet",
        "the model as it came",
    ):
        assert sentence in text


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    folders = ["--data-dir", str(tmp_path / "d"), "--cache-dir", str(tmp_path / "c")]
    assert cli.main(["report", "--out", str(out), "--json", *folders]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(out)}
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>\n<html lang=")


def test_a_file_that_cannot_be_written_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--data-dir", str(tmp_path / "d"), "--cache-dir", str(tmp_path / "c")]
    assert cli.main(["report", "--out", str(tmp_path), *folders]) == 1
    assert "cannot be written" in capsys.readouterr().err
