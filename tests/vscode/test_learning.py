"""The real model in a real VS Code: suggestions taken and declined, training, the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from conftest import PICTURES, Start
from ledger_view import adapters, answers, episodes, is_training, verdicts, wait_for
from workbench import WINDOW, Workbench, until

from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.model.adapters import PROMOTED
from falcon_lsp.report import words

BATCH = 8
TRAINING = 900.0
"""Seconds that one update may take: half a minute of one processor, which all others get first."""
DECLINED = {1, 4, 7}
"""Places where Escape is pressed: early, so that what the gate hears of later was mostly taken."""
BASKET = '''class Basket:
    """What a customer is about to buy."""

    def __init__(self) -> None:
        self.prices: list[float] = []

    def add(self, price: float) -> None:
        """Put something in."""
        self.prices.append(price)

    def average(self) -> float:
        """Return the mean of all prices."""
        r'''
PLACES = (
    "def area(width, height):\n    return wid",
    "import json\n\n\ndef load(path):\n    with open(path) as file:\n        return json.lo",
    "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n"
    "        self.items.app",
    "names = ['a', 'b']\nfor name in na",
    "import os\n\n\ndef size(path):\n    return os.path.get",
    "def first(values):\n    if not values:\n        return No",
    "total = 0\nprices = [1, 2, 3]\nfor price in prices:\n    total += pri",
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = sel",
    "def longest(words):\n    return max(words, key=le",
    "from pathlib import Path\n\n\ndef read(path: Path) -> str:\n    return path.read_te",
    "def squares(numbers):\n    return [number * number for number in num",
    "import time\n\nstarted = time.time()\nprint(time.ti",
    "def even(numbers):\n    return [number for number in numbers if number % 2 =",
    "class Queue:\n    def __init__(self):\n        self.waiting = []\n\n    def size(self):\n"
    "        return len(self.wai",
    "import re\n\n\ndef words(text):\n    return re.fin",
    "def swap(first, second):\n    return second, fir",
    "lines = []\nfor line in open('notes.txt'):\n    lines.append(li",
    "def maximum(values):\n    largest = values[0]\n    for value in val",
    "def greet(name):\n    print(f'Hello, {na",
    "numbers = [3, 1, 2]\nnumbers.so",
)


@pytest.fixture(scope="module")
def editor(start: Start) -> Workbench:
    workbench = start(
        learning__batchEpisodes=BATCH,
        learning__idleSeconds=3600,
        learning__mostBusy=1.0,  # else it waits as long as anything else runs on this machine
    )
    store = Store.default()
    for folder in (store.models, store.quantised):  # `make model` has put it there
        link = workbench.folder / "cache" / folder.name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(folder, target_is_directory=True)
    workbench.write("empty.py", "")
    workbench.open("empty.py")
    workbench.wait_for_server()
    workbench.wait_until_ready(patience=240)  # another run may load it as well
    return workbench


def test_the_picture_of_ghost_text(editor: Workbench) -> None:
    editor.page.set_viewport_size({"width": 680, "height": 500})
    editor.press("Control+B")  # away with the side bar
    shown = complete(editor, "basket.py", BASKET)
    editor.shot(PICTURES / "ghost-text.png", editor.page.locator(".editor-group-container"))
    assert shown.endswith("len(self.prices)")
    editor.press("Tab")
    wait_for(editor, "basket.py", Outcome.ACCEPTED)
    editor.press("Control+B")
    editor.page.set_viewport_size(WINDOW)


def complete(editor: Workbench, name: str, text: str) -> str:
    """Type the last letter of a file, wait for an answer, and return the ghost text."""
    editor.write(name, text[:-1])
    editor.open(name)
    asked = answers(editor)
    editor.type(text[-1])
    until(lambda: editor.ghost() or answers(editor) > asked, "answer of the server")
    return editor.ghost()


def test_what_the_real_model_says_is_taken_and_declined(editor: Workbench) -> None:
    for number, text in enumerate(PLACES):
        if shown := complete(editor, f"place{number}.py", text):
            editor.press("Escape" if number in DECLINED else "Tab")
            outcome = Outcome.REJECTED if number in DECLINED else Outcome.ACCEPTED
            episode = wait_for(editor, f"place{number}.py", outcome)
            assert (episode.suggestion.text, episode.inferred) == (shown, False)
    said = [one.suggestion for one in episodes(editor)]
    assert len(said) >= 2 * BATCH
    assert any(one.outcome is Outcome.REJECTED for one in episodes(editor))
    assert {one.source for one in said} >= {"model"}
    assert all(one.model_id.startswith("smollm2") for one in said)


def test_the_report_lists_what_was_taken(editor: Workbench) -> None:
    taken = next(one for one in episodes(editor) if one.outcome is Outcome.ACCEPTED)
    editor.command("falcon-lsp: Show What Was Learned")
    row = editor.webview().locator("tr", has_text=taken.path).first
    row.wait_for()
    assert taken.suggestion.text in str(row.text_content())


@pytest.mark.timeout(TRAINING + 300)
def test_training_ends_with_verdicts_that_the_report_shows(editor: Workbench) -> None:
    editor.command("falcon-lsp: Train Now")
    editor.notification("has started").wait_for()
    until(lambda: verdicts(editor) and not is_training(editor), "end of training", TRAINING)
    versions = {one.id: one for one in adapters(editor)}
    assert versions.keys() == {row["adapter"] for row in verdicts(editor)}
    recorded = {one.completion_id for one in episodes(editor)}
    editor.command("falcon-lsp: Show What Was Learned")
    editor.webview().get_by_text("Every decision", exact=True).click()
    for verdict in verdicts(editor):
        version = versions[verdict["adapter"]]
        assert (version.status == PROMOTED) is verdict["promoted"]
        assert {*version.completion_ids} <= recorded
        assert_shown(editor, verdict)
    editor.webview().get_by_role("table", name="Adapters").scroll_into_view_if_needed()


def assert_shown(editor: Workbench, verdict: Mapping[str, Any]) -> None:
    """The report tells of a version what the log of verdicts does, with every reason."""
    by_id = f"tr:has(code[title='{verdict['adapter']}'])"
    table = editor.webview().get_by_role("table", name="Adapters, newest first")
    row = table.locator(by_id)
    row.wait_for()
    told = str(row.locator("strong").text_content())
    assert ("set aside" not in told) is verdict["promoted"], told
    assert ("in one workspace" in told) is bool(verdict["scope"])
    assert row.locator("li").all_text_contents() == verdict["reasons"]
    gains = [words.signed(verdict[name]) for name in ("liked_gain", "liked_gain_bound")]
    assert [cell for cell in row.locator("td").all_text_contents() if cell in gains] == gains
    decision = editor.webview().get_by_role("table", name="Every decision").locator(by_id)
    assert str(decision.text_content()).endswith("; ".join(verdict["reasons"]))
