"""Servers come and go, windows too: what was recorded stays, and is there for all of them."""

from __future__ import annotations

from ledger_view import episodes, wait_for
from suggestions import begin, take
from workbench import Workbench, until

from falcon_lsp.core.types import Outcome


def await_start(editor: Workbench, number: int) -> None:
    """Wait until a server has come up for that many times, and answers."""
    editor.wait_for_server(starts=number)
    editor.wait_until_ready()


def test_after_a_restart_it_goes_on(editor: Workbench) -> None:
    before = {one.completion_id for one in episodes(editor)}
    (old,) = editor.servers()
    editor.command("falcon-lsp: Restart Server")
    until(lambda: [one for one in editor.servers() if one.pid != old.pid], "another server")
    await_start(editor, 2)
    take(editor, "nut")
    assert before < {one.completion_id for one in episodes(editor)}
    assert not old.is_running()


def test_a_server_that_was_killed_comes_back(editor: Workbench) -> None:
    (server,) = editor.servers()
    editor.foreseen.append("Connection to server got closed")
    server.kill()
    await_start(editor, 3)
    take(editor, "soy")


def test_a_new_window_finds_everything_again(editor: Workbench) -> None:
    editor.reload()
    editor.open("empty.py")
    await_start(editor, 4)
    take(editor, "rye")


def test_two_windows_share_what_is_recorded(editor: Workbench) -> None:
    mine = take(editor, "oat")
    with editor.another_window("elsewhere") as other:
        other.write("empty.py", "")
        other.open("empty.py")
        await_start(other, 5)
        assert len(editor.servers()) == 2
        begin(other, "oat")
        other.press("Escape")
        theirs = wait_for(other, "oat.py", Outcome.REJECTED)
        assert mine.workspace != theirs.workspace
        assert theirs.workspace.endswith("elsewhere")

        take(editor, "bean")  # while the other one is open
        other.command("falcon-lsp: Show What Was Learned")
        for path in ("oat.py", "bean.py"):
            other.webview().locator("tr", has_text=path).first.wait_for()
    until(lambda: len(editor.servers()) == 1, "end of the other window's server")
