"""What happened lately, as the prompt, the filter and the quiet policy see it."""

from __future__ import annotations

import threading

import pytest

from falcon_lsp.core.text import TextSnapshot
from falcon_lsp.core.types import Diagnostic, Outcome, Prompt, Suggestion, TextEdit
from falcon_lsp.memory import events, short_term
from falcon_lsp.memory.edits import Edit
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.events import Place
from falcon_lsp.memory.short_term import ShortTermMemory

HERE, THERE = "file:///here", "file:///there"


def clock() -> float:
    return 1000.0


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
    pytest.param([(1, 4, 4, "a"), (99, 5, 5, "b")], [("", "b"), ("", "a")], id="typed on later"),
    pytest.param([(1, 4, 4, "ab"), (2, 0, 0, "z")], [("", "z"), ("", "ab")], id="elsewhere"),
    pytest.param([(1, 4, 4, "ab"), (2, 5, 6, "")], [("", "a")], id="the end deleted again"),
    pytest.param([(1, 4, 4, "ab"), (2, 4, 6, "")], [], id="all of it deleted again"),
    pytest.param([(1, 4, 5, "a"), (2, 5, 5, "b")], [("1", "ab")], id="replaced and typed on"),
    pytest.param([(1, 4, 5, ""), (2, 2, 4, ""), (3, 2, 2, "a")], [("= 1", "a")], id="backspaced"),
    pytest.param([(1, 0, 1, ""), (2, 0, 2, "")], [("x =", "")], id="deleted forwards"),
    pytest.param([(1, 4, 5, "\n"), (2, 4, 4, "a")], [("1", "a\n")], id="a line opened and filled"),
    pytest.param([(1, 4, 4, "abcd"), (2, 5, 7, "x")], [("", "axd")], id="inside of it"),
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
    left, right = "one = 1\ntwo = ", "\n"
    assert edit == Edit("a.py", "two = f(x)", 14, "2", "f(x)", 2, left, right)


def test_recent_edits_are_bounded_and_the_latest_comes_first() -> None:
    memory = ShortTermMemory()
    edited(memory, "", *((100.0 * n, 0, 0, f"{n}\n") for n in range(short_term.MAX_EDITS + 5)))
    found = memory.recent_edits(HERE, 1000)
    assert len(found) == short_term.MAX_EDITS
    assert found[0].added == f"{short_term.MAX_EDITS + 4}\n"
    assert len(memory.recent_edits(HERE, 3)) == 3
    assert memory.recent_edits(HERE, 0) == memory.recent_edits(THERE, 3) == ()


def test_what_was_declined_is_known_at_once_and_after_a_restart() -> None:
    found = episode(1, Outcome.REJECTED, inferred=False)
    seen, restored = ShortTermMemory(clock=clock), ShortTermMemory(clock=clock)
    observed(seen, found)
    restored.restore([found])
    for memory in (seen, restored):
        assert memory.rejected_before(HERE, "def f(a):\n    ", "return a")
        assert not memory.rejected_before(THERE, "def f(a):\n    ", "return a")


def test_settled_text_alone_does_not_bring_back_a_rejection_that_was_forgotten() -> None:
    memory = ShortTermMemory(clock=clock)
    observed(memory, episode(1, Outcome.REJECTED, inferred=False))
    memory.rejections.clear()
    memory.observe(events.settled(Place("#1", HERE, "a.py", "python"), 30, "pass"))
    assert not memory.rejected_before(HERE, "def f(a):\n    ", "return a")


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


def test_episodes_are_bounded_and_the_latest_stay() -> None:
    memory = ShortTermMemory()
    for number in range(short_term.MAX_EPISODES + 5):
        observed(memory, episode(number, Outcome.IGNORED))
    found = list(memory._workspaces[HERE].episodes)
    assert len(found) == short_term.MAX_EPISODES
    assert found[-1] == f"#{short_term.MAX_EPISODES + 4}"


def test_an_outcome_of_a_restored_episode_is_understood() -> None:
    memory = ShortTermMemory(clock=clock)
    memory.restore([episode(1, None)])
    place = Place("#1", HERE, "a.py", "python")
    memory.observe(
        events.outcome(place, Outcome.REJECTED, chars_kept=0, elapsed_ms=1.0, inferred=False)
    )
    assert memory.rejected_before(HERE, "def f(a):\n    ", "return a")


def test_an_outcome_without_its_suggestion_means_nothing() -> None:
    memory = ShortTermMemory()
    place = Place("#1", HERE, "a.py", "python")
    memory.observe(
        events.outcome(place, Outcome.REJECTED, chars_kept=0, elapsed_ms=1.0, inferred=False)
    )
    assert not memory.rejected_before(HERE, "def f(a):\n    ", "return a")


def test_restoring_keeps_what_was_seen_meanwhile() -> None:
    memory = ShortTermMemory()
    observed(memory, episode(2, Outcome.ACCEPTED, inferred=False))
    edited(memory, "", (1, 0, 0, "x"))
    memory.restore([episode(1, Outcome.REJECTED, inferred=False)])
    assert not memory.rejected_before(HERE, "def f(a):\n    ", "return a")  # the accept came later
    assert len(memory.recent_edits(HERE, 5)) == 1
    assert set(memory._workspaces[HERE].episodes) == {"#1", "#2"}


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
    assert "file:///0" not in memory._workspaces
    assert len(memory._workspaces) == short_term.MAX_WORKSPACES


def test_threads_may_write_and_read_at_once() -> None:
    memory = ShortTermMemory()
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for number in range(100):
                observed(memory, episode(worker * 1000 + number, Outcome.REJECTED))
                edited(memory, "", (float(number * 10), 0, 0, "x\n"))
                memory.rejected_before(HERE, "def f(a):\n    ", "return a")
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
    assert len(memory._workspaces[HERE].episodes) == short_term.MAX_EPISODES
    assert memory.rejected_before(HERE, "def f(a):\n    ", "return a")


@pytest.mark.parametrize(
    ("outcomes", "share"),
    [
        ([], 0.1),
        ([(Outcome.REJECTED, False)] * 10, 0.55),
        ([(Outcome.REJECTED, True)] * 10, 0.05),
        ([(Outcome.ACCEPTED, False)] * 10, 0.1),
        ([(Outcome.IGNORED, True)] * 5 + [(Outcome.REJECTED, False)] * 5, 0.3),
    ],
)
def test_who_dismisses_by_hand_is_known(outcomes: list[tuple[Outcome, bool]], share: float) -> None:
    found = [
        episode(number, outcome, inferred=inferred)
        for number, (outcome, inferred) in enumerate(outcomes)
    ]
    assert short_term.share_dismissed(found) == pytest.approx(share)
