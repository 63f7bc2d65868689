"""A browser for the session, and editors that each have their own folders."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from workbench import ENTRY, HERE, Workbench

from falcon_lsp import __version__

ROOT = HERE.parent.parent
PICTURES = ROOT / "build" / "pictures"
"""Where the scenarios leave pictures; `make pictures` takes them over into the extension."""
SCENARIOS = PICTURES / "scenarios"
"""How the windows looked at the end of each scenario."""
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
PATIENT = 30_000
"""Milliseconds that an answer may take: what is proven here is not speed."""
Start = Callable[..., Workbench]
RUNNING: list[Workbench] = []


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert ENTRY.is_file(), "run `make test-vscode`, which installs what these tests need"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ours as it is shipped, and a linter of somebody else."""
    ours = ROOT / f"falcon-lsp-{__version__}.vsix"
    assert ours.is_file(), "run `make vsix` first"
    linter = tmp_path_factory.mktemp("linter") / "house-rules.vsix"
    pack = ["npx", "vsce", "package", "--no-dependencies", "--skip-license"]
    subprocess.run(
        [*pack, "--allow-missing-repository", "--out", str(linter)],
        cwd=HERE / "linter", check=True, capture_output=True,
    )  # fmt: skip
    return [ours, linter]


@pytest.fixture(scope="module")
def start(
    browser: Browser, extensions: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Start an editor on folders of its own; what it was shown stays where pytest keeps things."""

    def begin(environment: Mapping[str, str] | None = None, **settings: Any) -> Workbench:
        folder = tmp_path_factory.mktemp("vscode")
        falcon = {
            "falcon.completion.deadlineMs": PATIENT,
            "falcon.completion.coldDeadlineMs": PATIENT,
            "falcon.completion.threshold": 0.0,
            "falcon.dataDir": str(folder / "data"),
            "falcon.cacheDir": str(folder / "cache"),
            "falcon.interpreter": sys.executable,
            **{f"falcon.{name.replace('__', '.')}": value for name, value in settings.items()},
        }
        RUNNING.append(Workbench(browser, folder, extensions, falcon, environment))
        return RUNNING[-1]

    yield begin
    while RUNNING:
        RUNNING.pop().stop()


@pytest.fixture(scope="module")
def editor(start: Start) -> Workbench:
    """An editor whose server has no weights, and says what followed the same text before."""
    workbench = start(engine="fake")
    workbench.write("empty.py", "")
    workbench.open("empty.py")
    workbench.wait_for_server()
    workbench.wait_until_ready()
    return workbench


@pytest.fixture(autouse=True)
def _without_errors() -> Iterator[None]:
    """No scenario may leave an error, or a rejection that nobody handles, in a log."""
    yield
    for workbench in RUNNING:
        assert workbench.errors() == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take a picture of every window when a scenario has ended, however it did."""
    report = yield
    if report.when == "call" or report.failed:
        for number, workbench in enumerate(RUNNING):
            workbench.shot(SCENARIOS / f"{item.name}-{number}.png")
    return report
