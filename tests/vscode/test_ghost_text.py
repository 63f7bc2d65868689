"""Ghost text from the real server in a real VS Code, and what the ledger says became of it."""

from __future__ import annotations

from conftest import PICTURES
from ledger_view import episodes, silences, wait_for
from suggestions import TEXT, begin, prepare, take
from workbench import Workbench, until

from falcon_lsp.completion.features import NAMES
from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.tracking import VISIBLE_SECONDS


def test_the_gate_of_proposed_api_is_closed_as_in_the_desktop_editor(editor: Workbench) -> None:
    assert (editor.folder / "gate").read_text() == "closed"


def test_tab_accepts(editor: Workbench) -> None:
    shown = begin(editor, "ham")
    editor.press("Tab")
    editor.wait_for_line("return ham.first + ham.second")
    episode = wait_for(editor, "ham.py", Outcome.ACCEPTED)
    assert not episode.inferred
    assert (episode.suggestion.text, episode.chars_kept) == (shown, len(shown))


def test_the_status_bar_opens_a_menu(editor: Workbench) -> None:
    editor.status().click()
    entry = editor.page.locator(".quick-input-list .monaco-list-row", has_text="Train now")
    entry.wait_for()
    editor.shot(PICTURES / "status-bar.png")
    editor.press("Escape")
    entry.wait_for(state="hidden")
    editor.focus()


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


def test_a_line_is_taken_and_the_rest_let_go(editor: Workbench) -> None:
    body = "    {0}_one = x\n    {0}_two = {0}_one"
    begin(editor, "jam", f"def {{0}}_sum(x):\n{body}\n\n\ndef {{0}}_again(x):\n", body)
    editor.press("Control+Alt+ArrowRight")
    editor.wait_for_line("jam_one = x")
    episode = wait_for(editor, "jam.py", Outcome.PARTIAL)
    taken = episode.suggestion.text[: episode.chars_kept]
    assert (episode.inferred, taken) == (False, "    jam_one = x\n")
    editor.press("Escape")
    editor.wait_without_ghost()
    assert [one.outcome for one in episodes(editor, "jam.py")] == [Outcome.PARTIAL]


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
    editor.page.wait_for_timeout(VISIBLE_SECONDS * 1000)  # before, nobody could have read it
    editor.type("e = 1")
    assert wait_for(editor, "pea.py", Outcome.REJECTED).inferred


def test_what_another_extension_finds_belongs_to_what_was_taken(editor: Workbench) -> None:
    old = "def rum(x):\n    total = legacy_sum(x)\n\n\ndef again(x):\n    tot"
    begin(editor, "rum", old, "al = legacy_sum(x)")
    editor.press("Tab")
    wait_for(editor, "rum.py", Outcome.ACCEPTED)
    until(lambda: editor.squiggle().count() == 2, "another squiggle")
    (finding,) = until(
        lambda: [each for one in episodes(editor, "rum.py") for each in one.diagnostics_added],
        "finding in the ledger",
    )
    assert (finding.source, finding.line) == ("house-rules", 5)


def test_nothing_is_suggested_inside_a_selection(editor: Workbench) -> None:
    shown = begin(editor, "yam")
    editor.press("Shift+ArrowLeft")
    editor.wait_without_ghost()
    editor.command("falcon-lsp: Suggest Here")
    editor.wait_for_focus()
    assert editor.ghost() == ""
    editor.press("ArrowRight", "Alt+\\")  # nothing is selected any more
    editor.wait_for_ghost(shown)
    editor.press("Tab")
    wait_for(editor, "yam.py", Outcome.ACCEPTED)


def test_what_is_typed_over_a_selection_is_gone_on_from(editor: Workbench) -> None:
    shown = begin(editor, "nori")
    editor.press("Shift+ArrowLeft")
    editor.wait_without_ghost()
    editor.type("r")
    editor.wait_for_ghost(shown)
    editor.press("Tab")
    wait_for(editor, "nori.py", Outcome.ACCEPTED)


def test_a_suggestion_comes_when_it_is_asked_for(editor: Workbench) -> None:
    last = prepare(editor, "kiwi", TEXT + "s")
    editor.press("Alt+\\")
    editor.wait_for_ghost(f"{last}t + kiwi.second")
    editor.press("Tab")
    episode = wait_for(editor, "kiwi.py", Outcome.ACCEPTED)
    assert episode.suggestion.features[NAMES.index("invoked")] == 1.0


def test_while_it_snoozes_it_answers_only_when_it_is_asked(editor: Workbench) -> None:
    editor.command("falcon-lsp: Snooze for Half an Hour, or End It")
    editor.status().locator(".codicon-bell-slash").wait_for()
    editor.type(prepare(editor, "date"))
    until(lambda: "snoozed" in silences(editor), "silence with its reason")
    assert (editor.ghost(), episodes(editor, "date.py")) == ("", [])
    editor.press("Alt+\\")
    editor.wait_for_ghost("st + date.second")
    editor.press("Tab")
    wait_for(editor, "date.py", Outcome.ACCEPTED)
    editor.command("falcon-lsp: Snooze for Half an Hour, or End It")
    editor.wait_until_ready()
    begin(editor, "plum")


def test_while_it_is_paused_nothing_is_suggested_or_recorded(editor: Workbench) -> None:
    editor.command("falcon-lsp: Pause or Resume")
    editor.status().locator(".codicon-debug-pause").wait_for()
    editor.type(prepare(editor, "lime"))
    until(lambda: "paused" in silences(editor), "silence with its reason")
    editor.press("Alt+\\")
    editor.type("st = 1\n")
    assert editor.ghost() == ""
    editor.command("falcon-lsp: Pause or Resume")
    editor.wait_until_ready()
    take(editor, "pear")
    assert episodes(editor, "lime.py") == []


def test_a_rejection_that_nobody_handles_would_be_seen(editor: Workbench) -> None:
    editor.write("unhandled.py", "")
    editor.open("unhandled.py")  # our neighbour fails to handle one
    (error, *_) = until(editor.errors, "line in the log of the extension host")
    assert "nobody handles this" in error
    editor.foreseen.append("nobody handles this")
