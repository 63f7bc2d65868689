"""What happened lately, as the prompt, the filter and the quiet policy see it."""

from __future__ import annotations

import threading

import pytest

from falcon_lsp.core.text import TextSnapshot
from falcon_lsp.core.types import Diagnostic, Outcome, Prompt, Suggestion, TextEdit
from falcon_lsp.memory import events, short_term
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.events import Place
from falcon_lsp.memory.short_term import Edit, ShortTermMemory

HERE, THERE = "file:///here", "file:///there"


def episode(
    number: int,
    outcome: Outcome | None,
    *,
    workspace: str = HERE,
    prefix: str = "def f(a):\n    ",
    text: str = "return a",
    inferred: bool = True,
) -> Episode:
    name = f"#{number}"
    suggestion = Suggestion(name, text, 0, Prompt("a.py", prefix, ""), "model", "m", "base")
    return Episode(
        name, workspace, "a.py", "python", float(number), suggestion, outcome, inferred=inferred
    )


def observed(memory: ShortTermMemory, found: Episode) -> None:
    place = Place(found.completion_id, found.workspace, found.path, found.language)
    memory.observe(events.suggested(place, found.suggestion))
    if found.outcome is not None:
        memory.observe(
            events.outcome(
                place, found.outcome, chars_kept=0, elapsed_ms=1.0, inferred=found.inferred
            )
        )


def edited(memory: ShortTermMemory, text: str, *steps: tuple[float, int, int, str]) -> str:
    for now, start, end, new in steps:
        before = TextSnapshot("file:///here/a.py", "python", 1, text)
        memory.edited(HERE, "a.py", before, (TextEdit(start, end, new),), now)
        text = text[:start] + new + text[end:]
    return text


EDITS = [
    pytest.param([(1, 4, 4, "a"), (2, 5, 5, "b")], [("", "ab")], id="typed on"),
    pytest.param([(1, 4, 4, "a"), (9, 5, 5, "b")], [("", "b"), ("", "a")], id="typed on later"),
    pytest.param([(1, 4, 4, "ab"), (2, 0, 0, "z")], [("", "z"), ("", "ab")], id="elsewhere"),
    pytest.param([(1, 4, 4, "ab"), (2, 5, 6, "")], [("", "a")], id="the end deleted again"),
    pytest.param([(1, 4, 4, "ab"), (2, 4, 6, "")], [], id="all of it deleted again"),
    pytest.param([(1, 4, 5, "a"), (2, 5, 5, "b")], [("1", "ab")], id="replaced and typed on"),
    pytest.param([(1, 0, 5, "z = 3")], [("x = 1", "z = 3")], id="replaced"),
    pytest.param([(1, 4, 4, "a" * 500)], [], id="too long to say anything"),
    pytest.param([(1, 0, 1, "x")], [], id="nothing changed"),
]


@pytest.mark.parametrize(("steps", "expected"), EDITS)
def test_recent_edits_are_merged_where_they_are_one(
    steps: list[tuple[float, int, int, str]], expected: list[tuple[str, str]]
) -> None:
    memory = ShortTermMemory()
    edited(memory, "x = 1\ny = 2\n", *steps)
    found = [(edit.removed, edit.added) for edit in memory.recent_edits(HERE, 10)]
    assert found == expected


def test_a_recent_edit_is_a_snippet_of_the_lines_that_it_left() -> None:
    memory = ShortTermMemory()
    edited(memory, "one = 1\ntwo = 2\n", (1, 14, 15, "f("), (2, 16, 16, "x)"))
    (edit,) = memory.recent_edits(HERE, 10)
    assert edit == Edit("a.py", "two = f(x)", 14, "2", "f(x)", 2)


def test_recent_edits_are_bounded_and_the_latest_comes_first() -> None:
    memory = ShortTermMemory()
    edited(memory, "", *((10.0 * n, 0, 0, f"{n}\n") for n in range(short_term.MAX_EDITS + 5)))
    found = memory.recent_edits(HERE, 1000)
    assert len(found) == short_term.MAX_EDITS
    assert found[0].added == f"{short_term.MAX_EDITS + 4}\n"
    assert len(memory.recent_edits(HERE, 3)) == 3
    assert memory.recent_edits(HERE, 0) == memory.recent_edits(THERE, 3) == ()


REJECTIONS = [
    pytest.param([(Outcome.REJECTED, False)], True, id="said once"),
    pytest.param([(Outcome.REJECTED, True)], False, id="guessed once"),
    pytest.param([(Outcome.REJECTED, True)] * 2, True, id="guessed twice"),
    pytest.param([(Outcome.REJECTED, True), (Outcome.UNDONE, True)], True, id="undone later"),
    pytest.param([(Outcome.IGNORED, True)] * 5, False, id="ignored"),
    pytest.param([(Outcome.SUPERSEDED, True)] * 5, False, id="superseded"),
    pytest.param([(Outcome.REJECTED, False), (Outcome.ACCEPTED, True)], False, id="taken later"),
    pytest.param([(Outcome.ACCEPTED, True), (Outcome.REJECTED, False)], True, id="no longer"),
]


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize(("outcomes", "expected"), REJECTIONS)
def test_what_was_rejected_before(
    outcomes: list[tuple[Outcome, bool]], expected: bool, restored: bool
) -> None:
    memory = ShortTermMemory()
    found = [episode(n, what, inferred=guess) for n, (what, guess) in enumerate(outcomes)]
    if restored:
        memory.restore(reversed(found))
    else:
        for each in found:
            observed(memory, each)
    assert memory.rejected_before(HERE, "def f(a):\n    ", "return a") is expected


SAME_LINE = [
    ("    ", "return f(a, b)", True),
    ("other()\n\t", "return f(a,b) ", True),
    ("x\r\n    ret", "urn f( a, b )", True),
    ("x\r    ", "return f(a, b)", True),
    ("    ", "return f(a, c)", False),
    ("    x = ", "return f(a, b)", False),
    ("    ", "return f(a, b) + 1", False),
    ("    ", "", False),
]


@pytest.mark.parametrize(("tail", "text", "expected"), SAME_LINE)
def test_rejections_hold_for_the_line_that_would_result(
    tail: str, text: str, expected: bool
) -> None:
    memory = ShortTermMemory()
    observed(memory, episode(1, Outcome.REJECTED, text="return f(a, b)", inferred=False))
    assert memory.rejected_before(HERE, tail, text) is expected


def test_rejections_stay_in_their_workspace() -> None:
    memory = ShortTermMemory()
    observed(memory, episode(1, Outcome.REJECTED, inferred=False))
    assert not memory.rejected_before(THERE, "    ", "return a")


def test_one_suggestion_first_guessed_then_said_to_be_rejected_counts_as_said() -> None:
    memory = ShortTermMemory()
    for inferred in (True, False):
        observed(memory, episode(1, Outcome.REJECTED, inferred=inferred))
    assert memory.rejected_before(HERE, "    ", "return a")
    memory = ShortTermMemory()
    for _ in range(3):
        observed(memory, episode(1, Outcome.REJECTED))
    assert not memory.rejected_before(HERE, "    ", "return a")


def test_a_guess_that_a_report_corrects_no_longer_counts() -> None:
    memory = ShortTermMemory()
    observed(memory, episode(1, Outcome.REJECTED))
    observed(memory, episode(1, Outcome.IGNORED, inferred=False))
    observed(memory, episode(2, Outcome.REJECTED))
    assert not memory.rejected_before(HERE, "    ", "return a")


def test_acceptance_starts_as_usual_and_follows_what_happens() -> None:
    memory = ShortTermMemory()
    assert memory.acceptance(HERE) == pytest.approx(short_term.USUAL_RATE)
    for number in range(100):
        observed(memory, episode(number, Outcome.REJECTED, workspace=THERE))
        observed(memory, episode(number, Outcome.TYPED_THROUGH))
    assert memory.acceptance(HERE) > 0.9
    assert memory.acceptance(THERE) < 0.1
    for number in range(100, 100 + short_term.RATE_WINDOW):
        observed(memory, episode(number, Outcome.IGNORED))
    assert memory.acceptance(HERE) < 0.1


def test_what_has_no_verdict_does_not_count() -> None:
    memory = ShortTermMemory()
    for number, outcome in enumerate((None, Outcome.SHOWN, Outcome.SUPERSEDED)):
        observed(memory, episode(number, outcome))
    assert memory.acceptance(HERE) == pytest.approx(short_term.USUAL_RATE)


def test_episodes_are_bounded_and_the_latest_comes_first() -> None:
    memory = ShortTermMemory()
    for number in range(short_term.MAX_EPISODES + 5):
        observed(memory, episode(number, Outcome.IGNORED))
    found = memory.recent_episodes(HERE, 1000)
    assert len(found) == short_term.MAX_EPISODES
    assert found[0].completion_id == f"#{short_term.MAX_EPISODES + 4}"
    assert memory.recent_episodes(THERE, 5) == ()


def test_an_outcome_of_a_restored_episode_is_understood() -> None:
    memory = ShortTermMemory()
    memory.restore([episode(1, None)])
    place = Place("#1", HERE, "a.py", "python")
    memory.observe(
        events.outcome(place, Outcome.REJECTED, chars_kept=0, elapsed_ms=1.0, inferred=False)
    )
    assert memory.rejected_before(HERE, "    ", "return a")


def test_an_outcome_without_its_suggestion_means_nothing() -> None:
    memory = ShortTermMemory()
    place = Place("#1", HERE, "a.py", "python")
    memory.observe(
        events.outcome(place, Outcome.REJECTED, chars_kept=0, elapsed_ms=1.0, inferred=False)
    )
    assert memory.recent_episodes(HERE, 5) == ()


def test_restoring_keeps_what_was_seen_meanwhile() -> None:
    memory = ShortTermMemory()
    observed(memory, episode(2, Outcome.ACCEPTED, inferred=False))
    edited(memory, "", (1, 0, 0, "x"))
    memory.restore([episode(1, Outcome.REJECTED, inferred=False)])
    assert not memory.rejected_before(HERE, "    ", "return a")  # the accept came later
    assert len(memory.recent_edits(HERE, 5)) == 1
    assert len(memory.recent_episodes(HERE, 5)) == 2


def test_findings_of_each_source_are_kept_apart_and_the_nearest_comes_first() -> None:
    memory = ShortTermMemory()
    uri = "file:///a.py"
    near, far, other = (Diagnostic(line, 1, f"at {line}") for line in (6, 3, 40))
    memory.diagnosed(uri, "falcon", [far])
    memory.diagnosed(uri, "editor", [other, near, far])
    assert memory.diagnostics_near(uri, 5, 10) == (near, far)
    memory.diagnosed(uri, "editor", [])
    assert memory.diagnostics_near(uri, 5, 10) == (far,)
    memory.diagnosed(uri, "falcon", [])
    assert memory.diagnostics_near(uri, 5, 10) == ()


def test_findings_and_workspaces_are_bounded() -> None:
    memory = ShortTermMemory()
    for number in range(short_term.MAX_URIS + 1):
        memory.diagnosed(f"file:///{number}", "falcon", [Diagnostic(0, 1, "bad")] * 999)
    assert memory.diagnostics_near("file:///0", 0, 1) == ()
    assert len(memory._findings) == short_term.MAX_URIS
    for number in range(short_term.MAX_WORKSPACES + 1):
        observed(memory, episode(1, Outcome.IGNORED, workspace=f"file:///{number}"))
    assert memory.recent_episodes("file:///0", 5) == ()
    assert len(memory._workspaces) == short_term.MAX_WORKSPACES


def test_threads_may_write_and_read_at_once() -> None:
    memory = ShortTermMemory()
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for number in range(100):
                observed(memory, episode(worker * 1000 + number, Outcome.REJECTED))
                edited(memory, "", (float(number * 10), 0, 0, "x\n"))
                memory.rejected_before(HERE, "    ", "return a")
                memory.acceptance(HERE)
                memory.recent_edits(HERE, 5)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(memory.recent_episodes(HERE, 1000)) == short_term.MAX_EPISODES
    assert memory.rejected_before(HERE, "    ", "return a")
