"""A new user: the extension is installed, a folder is opened, and there is no server yet.

What the server needs is on the machine already, as it is for who has put wheels there: pip is told
not to ask any index. The environment, the installation and the start are real.
"""

from __future__ import annotations

import re
import site
from pathlib import Path

import pytest
from conftest import PICTURES, Start
from newcomer import agree, lone_python, offer
from workbench import Workbench

SERVER = re.compile(r"_?_?(editable_+impl_)?falcon_lsp.*|distutils-precedence.pth")
"""What makes up the server in this checkout's environment: it must come from the VSIX."""


@pytest.fixture(scope="module")
def editor(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    packages = tmp_path_factory.mktemp("packages")
    for entry in Path(site.getsitepackages()[0]).iterdir():
        if not SERVER.fullmatch(entry.name):
            (packages / entry.name).symlink_to(entry)
    wheels = tmp_path_factory.mktemp("wheels")
    (wheels / "placeholder-1-py3-none-any.whl").touch()
    programs = tmp_path_factory.mktemp("programs")
    return start(
        {
            "PATH": lone_python(programs),
            "PYTHONPATH": str(packages),
            "FALCON_WHEELS": str(wheels),
            "PIP_NO_BUILD_ISOLATION": "1",
        },
        engine="fake",
        interpreter="",
    )


def test_from_nothing_to_ghost_text(editor: Workbench) -> None:
    editor.write(
        "shop.py", "def total(prices):\n    return sum(prices)\n\n\ndef again(prices):\n    r"
    )
    editor.open("shop.py")
    offer(editor)
    editor.page.locator(".pane-header", has_text="falcon-lsp").click()
    welcome = editor.page.locator(
        ".welcome-view-content", has_text="goes into a Python environment"
    )
    welcome.wait_for()
    editor.shot(PICTURES / "install.png")
    assert editor.servers() == []

    agree(editor)
    editor.notification("Installing the falcon-lsp server").wait_for()
    editor.wait_for_server(patience=180)
    welcome.wait_for(state="detached")

    editor.focus()
    editor.type("eturn su")
    editor.wait_for_ghost("m(prices)")
    (server,) = editor.servers()
    storage = editor.data / "User" / "globalStorage" / "falcon-lsp.falcon-lsp"
    assert Path(server.cmdline()[0]).is_relative_to(storage / "venv")
    assert "Installing from the wheels on this machine" in editor.server_log()


def test_the_walkthrough_opens(editor: Workbench) -> None:
    editor.command("Welcome: Open Walkthrough...")
    field = editor.page.locator(".quick-input-widget input.input")
    field.fill("Get started with falcon-lsp")
    field.press("Enter")
    editor.page.locator(".getting-started-step", has_text="Install the server").wait_for()
    pictures = editor.page.locator(".getting-started-media img")
    pictures.first.wait_for(state="attached")  # a narrow window hides it
