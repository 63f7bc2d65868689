"""A new user's first minutes with nothing prepared: every package and the model are fetched.

No part of the suite, for it downloads a gigabyte: ``make trial``, which tells how long it took.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from conftest import ROOT, Start
from newcomer import agree, lone_python
from workbench import Workbench, until

from falcon_lsp.config import Config

HOUR = 3600.0
pytestmark = [
    pytest.mark.skipif("FALCON_TRIAL" not in os.environ, reason="asked for: make trial"),
    pytest.mark.timeout(HOUR),
]


@pytest.fixture
def editor(start: Start, tmp_path: Path) -> Workbench:
    environment = {
        "PATH": lone_python(tmp_path),
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
    }
    usual = Config().completion
    return start(
        environment,
        interpreter="",
        completion__deadlineMs=usual.deadline_ms,
        completion__coldDeadlineMs=usual.cold_deadline_ms,
        completion__threshold=usual.threshold,
    )


def test_from_nothing_to_the_models_first_word(editor: Workbench) -> None:
    editor.write("shop.py", "def total(prices):\n    return sum(prices)\n\n\n")
    editor.open("shop.py")
    agree(editor)
    begun = time.monotonic()
    editor.wait_for_server(patience=HOUR)
    installed = time.monotonic()
    editor.focus()
    editor.type("def average(prices):\n    ")
    while not editor.ghost():
        editor.type("return sum(")
        try:
            until(editor.ghost, "ghost text", 5.0)
        except AssertionError:
            assert time.monotonic() < begun + HOUR, editor.server_log()[-2000:]
            editor.press(*["Backspace"] * len("return sum("))
    seen = time.monotonic()
    print(f"\ninstalled in {installed - begun:.0f} s, ghost text {seen - installed:.0f} s later:")
    print(repr(editor.ghost()))
    print(editor.server_log())
