"""The learning report of a filled store, as it looks in the editor.

A chart that is meant to look otherwise takes the place of the one in `good`: it is left behind in
`build/pictures/charts`.
"""

from __future__ import annotations

import datetime as dt
from contextlib import closing

import pytest
from charts import assert_looks_like, difference, picture
from conftest import PICTURES, Start
from ledger_view import open_ledger, store_of
from playwright.sync_api import Locator
from workbench import HERE, Workbench

import report_samples

CHARTS = ("taken", "kept", "reward-terms", "gains")
"""Those whose shape follows from what was recorded alone; sizes of files do not."""
DAYS = 12
GOOD = HERE / "good"


@pytest.fixture(scope="module")
def editor(start: Start) -> Workbench:
    """An editor on a store with a history that ended yesterday at noon."""
    workbench = start(engine="fake")
    with pytest.MonkeyPatch.context() as patch:
        yesterday = dt.datetime.now().astimezone() - dt.timedelta(days=1)
        patch.setattr(report_samples, "NOW", yesterday.replace(hour=12, minute=0).timestamp())
        report_samples.fill(store_of(workbench), DAYS)
    workbench.write("empty.py", "")
    workbench.open("empty.py")
    workbench.wait_for_server()
    workbench.wait_until_ready()
    workbench.command("falcon-lsp: Show What Was Learned")
    chart(workbench, CHARTS[0]).wait_for()
    return workbench


def chart(editor: Workbench, name: str) -> Locator:
    return editor.webview().locator(f"svg[aria-labelledby^='{name}-title']")


def test_the_report_opens_on_what_was_recorded(editor: Workbench) -> None:
    with closing(open_ledger(editor)) as ledger:
        recorded = ledger.counts()["suggestions"]
    tile = editor.webview().locator(".tiles div", has_text="Remembered")
    assert f"{recorded}suggestions in all" in str(tile.text_content())
    editor.shot(PICTURES / "report.png")


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_looks_as_it_should(editor: Workbench, name: str) -> None:
    seen = picture(chart(editor, name))
    assert_looks_like(seen, GOOD / f"{name}.png", PICTURES / "charts" / f"{name}.png")


def test_a_chart_that_lacks_a_column_would_be_noticed(editor: Workbench) -> None:
    svg = chart(editor, "taken")
    whole = picture(svg)
    svg.evaluate("chart => chart.querySelector('rect.main').remove()")
    with pytest.raises(AssertionError, match="do not look like"):
        assert_looks_like(picture(svg), GOOD / "taken.png", PICTURES / "charts" / "broken.png")
    assert difference(picture(svg), whole) > 0
