"""What holds for any sequence of edits, offers, reports and waits, sensible or not."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from falcon_lsp.core.text import TextSnapshot
from falcon_lsp.core.types import Diagnostic, Outcome, Prompt, Suggestion, TextEdit
from falcon_lsp.memory.diagnostics import difference
from falcon_lsp.memory.events import Event, Kind, Place
from falcon_lsp.memory.observer import EpisodeObserver
from falcon_lsp.memory.regions import Growth, Region, anchored, minimal, moved

TEXT = st.text("ab( )\n\r\t😀'.", max_size=12)
OFFSET = st.integers(0, 40)
URIS = ("file:///a.py", "file:///b.py")
OFFER = st.tuples(st.just("offer"), OFFSET, st.text("ab( )\n😀'.", min_size=1, max_size=12))
TAKE = st.tuples(st.just("take"), st.integers(1, 12))
STEPS = st.lists(
    st.one_of(
        OFFER,
        TAKE,
        OFFER,
        TAKE,
        st.tuples(
            st.just("edit"), st.lists(st.tuples(OFFSET, st.integers(0, 6), TEXT), max_size=3)
        ),
        st.tuples(st.just("revert")),
        st.tuples(st.just("slip")),
        st.tuples(st.just("wait"), st.floats(0, 200)),
        st.tuples(st.just("find"), st.integers(0, 5)),
        st.tuples(st.just("close")),
        st.tuples(st.just("switch")),
    ),
    min_size=6,
    max_size=25,
)
FINDINGS = st.lists(
    st.builds(Diagnostic, st.integers(0, 9), st.just(1), st.sampled_from("xy")), max_size=8
)


class Run:
    """Plays steps against an observer and checks what must hold after each of them."""

    def __init__(self) -> None:
        self.observer = EpisodeObserver()
        self.texts = dict.fromkeys(URIS, "a b\n(a)\n")
        self.uri = URIS[0]
        self.now = 100.0
        self.version = 0
        self.before = ""
        self.last: tuple[int, str] = (0, "")
        self.events: list[Event] = []
        self.offers = 0

    def play(self, steps: list[tuple[object, ...]]) -> None:
        for verb, *arguments in steps:
            self.now += 0.2
            self.tick_if_due()
            self.events += getattr(self, str(verb))(*arguments)
            self.check()

    def tick_if_due(self) -> None:
        """Let time speak as the server does; steps such as a switch say nothing themselves."""
        due = self.observer.next_due()
        if due is not None and due <= self.now:
            self.events += self.observer.tick(self.now)

    def snapshot(self) -> TextSnapshot:
        return TextSnapshot(self.uri, "python", self.version, self.texts[self.uri])

    def apply(self, edits: list[TextEdit]) -> list[Event]:
        before = self.snapshot()
        self.version += 1
        after = before.apply(tuple(edits), self.version)
        self.texts[self.uri], self.before = after.text, before.text
        return self.observer.changed(before, after, tuple(edits), self.now)

    def edit(self, wanted: list[tuple[int, int, str]]) -> list[Event]:
        edits, text = [], self.texts[self.uri]
        for at, length, new in wanted:
            start = min(at, len(text))
            end = min(start + length, len(text))
            edits.append(TextEdit(start, end, new))
            text = text[:start] + new + text[end:]
        return self.apply(edits)

    def take(self, length: int) -> list[Event]:
        """Insert the next ``length`` characters of the latest suggestion at its place."""
        at, text = self.last
        at = min(at, len(self.texts[self.uri]))
        self.last = (at + len(text[:length]), text[length:])
        return self.apply([TextEdit(at, at, text[:length])])

    def slip(self) -> list[Event]:
        at = min(self.last[0], len(self.texts[self.uri]))
        return self.apply([TextEdit(at, at, "z")])

    def revert(self) -> list[Event]:
        """Take back whatever the last change was."""
        return self.apply([TextEdit(0, len(self.texts[self.uri]), self.before)])

    def offer(self, at: int, text: str) -> list[Event]:
        self.offers += 1
        snapshot = self.snapshot()
        at = min(at, len(snapshot.text))
        self.last = (at, text)
        place = Place(f"#{self.offers}", "w", "a.py", "python")
        suggestion = Suggestion(place.completion_id, text, at, Prompt("", "", ""), "m", "m", "b")
        return self.observer.offered(suggestion, place, self.uri, snapshot, self.now)

    def wait(self, seconds: float) -> list[Event]:
        self.now += seconds
        return self.observer.tick(self.now)

    def find(self, line: int) -> list[Event]:
        found = [Diagnostic(line, 1, "bad")]
        return self.observer.diagnostics_changed(self.uri, found, (), self.now)

    def close(self) -> list[Event]:
        return self.observer.closed(self.uri, self.now)

    def switch(self) -> list[Event]:
        self.uri = URIS[1] if self.uri == URIS[0] else URIS[0]
        return []

    def check(self) -> None:
        for uri, document in self.observer._documents.items():
            assert document.text == self.texts[uri]
            for track in document.tracks:
                assert 0 <= track.region.start <= track.region.end <= len(document.text)
        due = self.observer.next_due()
        assert due is None or due > self.now - 0.3


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_every_suggestion_ends_once_whatever_is_done(steps: list[tuple[object, ...]]) -> None:
    run = Run()
    run.play(steps)
    for uri in URIS:
        run.events += run.observer.closed(uri, run.now + 1)
    said = [
        (event.completion_id, Outcome(event.payload["outcome"]))
        for event in run.events
        if event.kind is Kind.OUTCOME
    ]
    verdicts = Counter(name for name, what in said if what not in (Outcome.SHOWN, Outcome.UNDONE))
    assert verdicts == {f"#{number + 1}": 1 for number in range(run.offers)}
    undone = Counter(name for name, what in said if what is Outcome.UNDONE)
    assert all(count == 1 for count in undone.values())
    assert run.observer.next_due() is None


@settings(max_examples=200, deadline=None)
@given(STEPS, st.lists(st.tuples(st.integers(1, 9), st.sampled_from(Outcome))))
def test_reports_in_any_order_never_bring_a_guess_back(
    steps: list[tuple[object, ...]], reports: list[tuple[int, Outcome]]
) -> None:
    run = Run()
    reported: set[str] = set()
    for index, step in enumerate(steps):
        run.play([step])
        if index < len(reports):
            number, outcome = reports[index]
            found = run.observer.reported(f"#{number}", outcome, 3, run.now, f"e{index}")
            reported |= {e.completion_id for e in found if e.event_id == f"e{index}"}
            again = run.observer.reported(f"#{number}", outcome, 3, run.now, f"e{index}")
            assert again == []
            run.check()
        later = [e for e in run.observer.tick(run.now + 0.01) if e.kind is Kind.OUTCOME]
        guesses = [e for e in later if e.completion_id in reported]
        assert all(e.payload["outcome"] == "undone" for e in guesses)


EDITS = st.tuples(st.text("ab\n ", max_size=30), st.text("ab\n ", max_size=30), OFFSET, OFFSET)


@settings(max_examples=300, deadline=None)
@given(EDITS)
def test_minimal_edits_do_what_the_edit_does(given_: tuple[str, str, int, int]) -> None:
    text, new, one, other = given_
    start, end = sorted((min(one, len(text)), min(other, len(text))))
    edit = TextEdit(start, end, new)
    before = TextSnapshot("u", "python", 1, text)
    assert before.apply(minimal(edit, text[start:end]), 2) == before.apply((edit,), 2)


@settings(max_examples=300, deadline=None)
@given(EDITS, OFFSET, st.text("ab\n ", max_size=5))
def test_an_anchored_edit_does_what_the_edit_does(
    given_: tuple[str, str, int, int], anchor: int, expected: str
) -> None:
    text, new, one, other = given_
    start, end = sorted((min(one, len(text)), min(other, len(text))))
    edit = TextEdit(start, end, new)
    before = TextSnapshot("u", "python", 1, text)
    small = anchored(edit, text[start:end], anchor, expected)
    assert before.apply((small,), 2) == before.apply((edit,), 2)


@settings(max_examples=300, deadline=None)
@given(EDITS, OFFSET, OFFSET, st.sampled_from(Growth))
def test_a_region_never_leaves_the_document(
    given_: tuple[str, str, int, int], left: int, right: int, growth: Growth
) -> None:
    text, new, one, other = given_
    start, end = sorted((min(one, len(text)), min(other, len(text))))
    left, right = sorted((min(left, len(text)), min(right, len(text))))
    after = len(text) + len(new) - (end - start)
    region = moved(Region(left, right, growth), TextEdit(start, end, new))
    assert 0 <= region.start <= region.end <= after


@given(FINDINGS, FINDINGS)
def test_a_difference_of_findings_leads_from_one_to_the_other(
    before: list[Diagnostic], after: list[Diagnostic]
) -> None:
    added, removed = difference(before, after)
    counts = Counter(f.message for f in before)
    counts.subtract(f.message for f in removed)
    counts.update(f.message for f in added)
    assert +counts == Counter(f.message for f in after)
    assert not {f.message for f in added} & {f.message for f in removed}
