"""Files in which the suggestion of a server without weights can be foreseen.

The fake engine continues with what followed the same text before, so every scenario has a file of
its own, whose second function begins like its first.
"""

from __future__ import annotations

from ledger_view import wait_for
from workbench import Workbench

from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.episodes import Episode

TEXT = (
    "def {0}_sum({0}):\n    return {0}.first + {0}.second\n\n\n"
    "def {0}_again({0}):\n    return {0}.fir"
)
REST = "st + {0}.second"


def prepare(editor: Workbench, name: str, text: str = TEXT) -> str:
    """Open a file that lacks its last letter; returns that letter."""
    text = text.format(name)
    editor.write(f"{name}.py", text[:-1])
    editor.open(f"{name}.py")
    return text[-1]


def begin(editor: Workbench, name: str, text: str = TEXT, rest: str = REST) -> str:
    """Open a file of its own, type its last letter, and wait for the ghost text, its rest."""
    rest = rest.format(name)
    editor.type(prepare(editor, name, text))
    editor.wait_for_ghost(rest)
    return rest


def take(editor: Workbench, name: str) -> Episode:
    """Open a file of its own, take its suggestion with Tab, and wait until that is recorded."""
    begin(editor, name)
    editor.press("Tab")
    return wait_for(editor, f"{name}.py", Outcome.ACCEPTED)
