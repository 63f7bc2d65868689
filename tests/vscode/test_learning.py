"""The real model in a real VS Code: suggestions taken and declined, training, the report."""

from __future__ import annotations

import pytest
from conftest import PICTURES, Start
from ledger_view import adapters, answers, episodes, wait_for
from workbench import Workbench, until

from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.model.adapters import PROMOTED

BATCH = 8
TRAINING = 900.0
"""Seconds that one update may take: the trainer leaves the processor to all others."""
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


def complete(editor: Workbench, number: int, text: str) -> str:
    """Type the last letter of a file, wait for an answer, and return the ghost text."""
    name = f"place{number}.py"
    editor.write(name, text[:-1])
    editor.open(name)
    asked = answers(editor)
    editor.type(text[-1])
    until(lambda: editor.ghost() or answers(editor) > asked, "answer of the server")
    return editor.ghost()


def test_what_the_real_model_says_is_taken_and_declined(editor: Workbench) -> None:
    declined = 0
    for number, text in enumerate(PLACES):
        if shown := complete(editor, number, text):
            if number == 0:
                editor.shot(PICTURES / "ghost-text.png")
            declined += (decline := number % 5 == 4)
            editor.press("Escape" if decline else "Tab")
            outcome = Outcome.REJECTED if decline else Outcome.ACCEPTED
            episode = wait_for(editor, f"place{number}.py", outcome)
            assert (episode.suggestion.text, episode.inferred) == (shown, False)
    said = [one.suggestion for one in episodes(editor)]
    assert len(said) >= BATCH
    assert declined
    assert {one.source for one in said} >= {"model"}
    assert all(one.model_id.startswith("smollm2") for one in said)


def test_the_report_lists_what_was_taken(editor: Workbench) -> None:
    editor.command("falcon-lsp: Show What Was Learned")
    row = editor.webview().locator("tr", has_text="place0.py").first
    row.wait_for()
    assert "height" in str(row.text_content())
    editor.shot(PICTURES / "report.png")


@pytest.mark.timeout(TRAINING + 300)
def test_training_makes_an_adapter_that_the_report_shows(editor: Workbench) -> None:
    editor.command("falcon-lsp: Train Now")
    editor.notification("has started").wait_for()
    version = until(lambda: adapters(editor), "adapter", TRAINING)[-1]
    editor.command("falcon-lsp: Show What Was Learned")
    row = editor.webview().locator("tr", has_text=version.id[:12]).first
    row.wait_for()
    verdicts = ("served now", "promoted") if version.status == PROMOTED else ("set aside",)
    assert any(row.get_by_text(verdict).count() for verdict in verdicts)
    editor.shot(PICTURES / "adapter.png")
    assert editor.errors() == []
