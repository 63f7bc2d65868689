"""What a new user has and does: a Python and nothing else, and the button that installs."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Locator
from workbench import Workbench


def lone_python(folder: Path) -> str:
    """Return a search path on which the only Python is one without our packages."""
    (folder / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    return f"{folder}:/usr/bin:/bin"


def offer(editor: Workbench) -> Locator:
    """Wait until the extension offers to install the server; returns the offer."""
    found = editor.notification("The falcon-lsp server is not installed yet.")
    found.wait_for()
    return found


def agree(editor: Workbench) -> None:
    """Take the offer, and confirm what it says."""
    offer(editor).get_by_role("button", name="Install the server").click()
    dialog = editor.page.locator(".monaco-dialog-box")
    dialog.get_by_role("button", name="Install", exact=True).click()
