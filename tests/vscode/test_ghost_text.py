"""Ghost text from the real server in a real VS Code, and what the ledger says became of it.

The fake engine continues with what followed the same text before, so every scenario has a file of
its own in which its suggestion can be foreseen.
"""

from __future__ import annotations

import pytest
from conftest import PICTURES, Start
from ledger_view import episodes, silences, wait_for
from workbench import Workbench, until

from falcon_lsp.core.types import Outcome

TEXT = (
    "def {0}_sum({0}):\n    return {0}.first + {0}.second\n\n\n"
    "def {0}_again({0}):\n    return {0}.fir"
)
REST = "st + {0}.second"


@pytest.fixture(scope="module")
def editor(start: Start) -> Workbench:
    workbench = start(engine="fake")
    workbench.write("empty.py", "")
    workbench.open("empty.py")
    workbench.wait_for_server()
    workbench.wait_until_ready()
    return workbench


@pytest.fixture(autouse=True)
def _no_errors(editor: Workbench) -> None:
    yield
    assert editor.errors() == []


def begin(editor: Workbench, name: str, text: str = TEXT, rest: str = REST) -> str:
    """Open a file of its own, type its last letter, and wait for the ghost text, its rest."""
    text, rest = text.format(name), rest.format(name)
    editor.write(f"{name}.py", text[:-1])
    editor.open(f"{name}.py")
    editor.type(text[-1])
    editor.wait_for_ghost(rest)
    return rest


def test_the_gate_of_proposed_api_is_closed_as_in_the_desktop_editor(editor: Workbench) -> None:
    assert (editor.folder / "gate").read_text() == "closed"


def test_tab_accepts(editor: Workbench) -> None:
    shown = begin(editor, "ham")
    editor.press("Tab")
    editor.wait_for_line("return ham.first + ham.second")
    episode = wait_for(editor, "ham.py", Outcome.ACCEPTED)
    assert not episode.inferred
    assert (episode.suggestion.text, episode.chars_kept) == (shown, len(shown))


def test_escape_rejects_and_what_was_rejected_does_not_come_back(editor: Workbench) -> None:
    begin(editor, "egg")
    editor.press("Escape")
    editor.wait_without_ghost()
    episode = wait_for(editor, "egg.py", Outcome.REJECTED)
    assert not episode.inferred
    editor.press("Backspace")
    editor.type("r")
    until(lambda: "rejected before" in silences(editor), "silence with its reason")
    assert editor.ghost() == ""


def test_a_word_is_taken_and_the_rest_let_go(editor: Workbench) -> None:
    begin(editor, "tea")
    editor.press("Control+ArrowRight")
    editor.wait_for_ghost(" + tea.second")
    episode = wait_for(editor, "tea.py", Outcome.PARTIAL)
    assert (episode.inferred, episode.chars_kept) == (False, len("st"))
    editor.press("Escape")
    editor.wait_without_ghost()
    assert [one.outcome for one in episodes(editor, "tea.py")] == [Outcome.PARTIAL]


def test_undo_takes_an_accept_back(editor: Workbench) -> None:
    begin(editor, "oil")
    editor.press("Tab")
    editor.wait_for_line("return oil.first + oil.second")
    wait_for(editor, "oil.py", Outcome.ACCEPTED)
    editor.press("Control+Z")
    editor.wait_for_line("return oil.fir")
    episode = wait_for(editor, "oil.py", Outcome.UNDONE)
    assert (episode.inferred, episode.chars_kept) == (False, 0)


def test_typing_a_suggestion_out_is_noticed(editor: Workbench) -> None:
    shown = begin(editor, "fig")
    editor.type(shown)
    editor.wait_for_line("return fig.first + fig.second")
    assert wait_for(editor, "fig.py", Outcome.TYPED_THROUGH).inferred


def test_typing_something_else_is_an_inferred_rejection(editor: Workbench) -> None:
    begin(editor, "pea")
    editor.page.wait_for_timeout(500)  # nobody's verdict counts before the text could be read
    editor.type("e = 1")
    assert wait_for(editor, "pea.py", Outcome.REJECTED).inferred


def test_what_another_extension_finds_belongs_to_what_was_taken(editor: Workbench) -> None:
    old = "def rum(x):\n    total = legacy_sum(x)\n\n\ndef again(x):\n    tot"
    begin(editor, "rum", old, "al = legacy_sum(x)")
    editor.press("Tab")
    wait_for(editor, "rum.py", Outcome.ACCEPTED)
    until(lambda: editor.squiggle().count() == 2, "another squiggle")
    episode = until(
        lambda: next((one for one in episodes(editor, "rum.py") if one.diagnostics_added), None),
        "finding in the ledger",
    )
    (finding,) = episode.diagnostics_added
    assert (finding.source, finding.line) == ("house-rules", 5)


def test_the_status_bar_opens_a_menu(editor: Workbench) -> None:
    editor.status().click()
    entry = editor.page.locator(".quick-input-list .monaco-list-row", has_text="Train now")
    entry.wait_for()
    editor.shot(PICTURES / "status-bar.png")
    editor.press("Escape")
    entry.wait_for(state="hidden")
    editor.focus()


def test_after_a_restart_it_goes_on(editor: Workbench) -> None:
    before = {one.completion_id for one in episodes(editor)}
    (old,) = editor.servers()
    editor.command("falcon-lsp: Restart Server")
    until(lambda: [one for one in editor.servers() if one.pid != old.pid], "another server")
    editor.wait_for_server(starts=2)
    editor.wait_until_ready()
    begin(editor, "nut")
    editor.press("Tab")
    wait_for(editor, "nut.py", Outcome.ACCEPTED)
    assert before < {one.completion_id for one in episodes(editor)}
    assert not old.is_running()


def test_a_server_that_was_killed_comes_back(editor: Workbench) -> None:
    (server,) = editor.servers()
    editor.foreseen.append("Connection to server got closed")
    server.kill()
    editor.wait_for_server(starts=3)
    editor.wait_until_ready()
    begin(editor, "soy")
    editor.press("Tab")
    wait_for(editor, "soy.py", Outcome.ACCEPTED)


def test_a_new_window_finds_everything_again(editor: Workbench) -> None:
    editor.reload()
    editor.open("empty.py")
    editor.wait_for_server(starts=4)
    editor.wait_until_ready()
    begin(editor, "rye")
    editor.press("Tab")
    wait_for(editor, "rye.py", Outcome.ACCEPTED)
