"""What is typed adds up to the file as it was, for any two texts; it follows the seed alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falcon_lsp.replay.sampling import STEPS_PER_MINUTE, STRETCHES, stretches
from falcon_lsp.replay.sources import Change
from falcon_lsp.replay.strokes import LINES_PER_STEP, RUN_LINES, Work, hunks, plan

LINES = st.lists(st.sampled_from(["a = 1\n", "b = 2\r\n", "\n", "    return c\n", "d"]), max_size=8)


def changed(before: str, after: str, path: str = "a.py") -> Change:
    return Change(path, "python", before, after)


def numbered(count: int) -> str:
    return "".join(f"value_{n} = compute({n})\n" for n in range(count))


@given(LINES, LINES)
@settings(deadline=None)
def test_hunks_turn_one_text_into_the_other(old, new):
    before, after = "".join(old), "".join(new)
    text = before
    for hunk in hunks(before, after):
        text = text[: hunk.at] + hunk.text + hunk.ending + text[hunk.at + hunk.removed :]
    assert text == after


def test_a_hunk_is_no_larger_than_the_change():
    (hunk,) = hunks("a\nb\nc\n", "a\nx\nc\n")
    assert (hunk.at, hunk.removed, hunk.text, hunk.ending) == (2, 2, "x", "\n")


def typed(works: list[Work]) -> list[str]:
    return [
        hunk.text[run.start : run.end]
        for work in works for hunk in work.hunks for run in hunk.runs
    ]  # fmt: skip


def test_a_small_change_is_typed_whole():
    assert "".join(typed(plan([changed("", "x = 1\ny = 2\n")], "seed"))) == "x = 1\ny = 2"


def test_of_a_large_change_only_some_runs_are_typed_and_the_seed_says_which():
    works = [plan([changed("", numbered(300))], seed) for seed in ("1", "1", "2")]
    lines = [sum(work.lines for work in found) for found in works]
    assert all(LINES_PER_STEP - RUN_LINES < count <= LINES_PER_STEP for count in lines)
    assert works[0] == works[1]
    assert typed(works[0]) != typed(works[2])


@pytest.mark.parametrize(
    ("line", "why"),
    [("x", "short"), ("y" * 200, "long"), ("    moved = 1", "moved from elsewhere")],
)
def test_lines_that_nobody_types_are_pasted(line, why):
    removed = changed("moved = 1\n", "", path="old.py")
    assert typed(plan([changed("", line + "\n"), removed], "seed")) == [], why


def test_hands_rest_at_the_start_of_each_line_and_where_words_begin():
    text = "total = add(first, second)\n    return total\n"
    starts = (0, text.index("return"))
    words = {text.index(word) for word in ("=", "add", "first", "second", "total\n")}
    seen: set[int] = set()
    for seed in range(40):
        (work,) = plan([changed("", text)], str(seed))
        (run,) = work.hunks[0].runs
        assert run.stops >= set(starts)
        seen |= run.stops
    assert seen == {*starts, *words}


@pytest.mark.parametrize("steps", [1, 2, 7, 96, 1000])
def test_stretches_lie_in_order_and_a_short_history_is_typed_whole(steps):
    found = stretches(steps, 8.0, seed=1)
    places = [step for stretch in found for step in range(stretch.start, stretch.end)]
    assert places == sorted(set(places))
    assert [stretch.share for stretch in found][-1] == 1.0
    if steps <= STRETCHES * (8 * STEPS_PER_MINUTE // STRETCHES):
        assert places == list(range(steps))
    else:
        assert all(s.end - s.start >= 8 * STEPS_PER_MINUTE / STRETCHES for s in found)
        assert found == stretches(steps, 8.0, seed=1) != stretches(steps, 8.0, seed=2)
