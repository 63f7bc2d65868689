"""What the quiet policy learns from a ledger: bounded, in order, the same after a restart."""

import dataclasses
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episodes_factory import suggestion
from falcon_lsp.completion import experience, features
from falcon_lsp.completion.belief import MOST_SHIFT, Belief, logistic, usual
from falcon_lsp.completion.evidence import (
    MOST_PER_DOCUMENT,
    MOST_PER_WORKSPACE,
    RECOVERY_SECONDS,
    Allowance,
    evidence,
)
from falcon_lsp.completion.experience import Experience
from falcon_lsp.core.types import Outcome
from falcon_lsp.memory import events
from falcon_lsp.memory.events import Event, Place
from falcon_lsp.memory.ledger import Ledger

USUAL = tuple(1.0 if name == "one" else 0.3 for name in features.NAMES)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        yield ledger


def told(
    number: int,
    *outcomes: Outcome,
    path: str = "a.py",
    workspace: str = "file:///w",
    inferred: bool = False,
    vector: Sequence[object] = USUAL,
    version: int = features.VERSION,
    time: float = 1000.0,
) -> list[Event]:
    place = Place(f"cmp-{number}", workspace, path, "python")
    offered = suggestion(place.completion_id, features=tuple(vector), features_version=version)
    found = [events.suggested(place, offered)]
    found += [
        events.outcome(place, what, chars_kept=0, elapsed_ms=0.0, inferred=inferred)
        for what in outcomes
    ]
    return [dataclasses.replace(event, time=time) for event in found]


def after(ledger: Ledger, tmp_path: Path) -> Experience:
    learned = Experience(tmp_path / "quiet.json")
    learned.catch_up(ledger)
    return learned


def chance(learned: Experience) -> float:
    return learned.belief.probability(USUAL)


@pytest.mark.parametrize(
    ("what", "inferred", "expected"),
    [
        (Outcome.ACCEPTED, False, (1.0, 1.0)),
        (Outcome.ACCEPTED, True, (1.0, 0.7)),
        (Outcome.PARTIAL, False, (1.0, 1.0)),
        (Outcome.TYPED_THROUGH, True, (1.0, 0.35)),
        (Outcome.REJECTED, False, (0.0, 1.0)),
        (Outcome.REJECTED, True, (0.0, 0.7)),
        (Outcome.UNDONE, False, (0.0, 1.0)),
        (Outcome.IGNORED, False, (0.0, 0.1)),
        (Outcome.SHOWN, False, None),
        (Outcome.SUPERSEDED, True, None),
    ],
)
def test_what_outcomes_are_worth(
    what: Outcome, inferred: bool, expected: tuple[float, float] | None
) -> None:
    found = evidence({"outcome": what.value, "inferred": inferred})
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("what", "direction"),
    [(Outcome.ACCEPTED, 1), (Outcome.REJECTED, -1), (Outcome.SUPERSEDED, 0), (Outcome.SHOWN, 0)],
)
def test_the_next_suggestion_knows(
    ledger: Ledger, tmp_path: Path, what: Outcome, direction: int
) -> None:
    ledger.append(told(1, what))
    moved = chance(after(ledger, tmp_path)) - usual().probability(USUAL)
    assert (moved > 0) - (moved < 0) == direction


def test_what_is_said_twice_counts_once_and_a_change_of_mind_counts(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.append(told(1, Outcome.PARTIAL, Outcome.PARTIAL, Outcome.ACCEPTED))
    assert after(ledger, tmp_path).status()["outcomes"] == 1
    ledger.append(told(1, Outcome.UNDONE)[1:])
    assert after(ledger, tmp_path).status()["outcomes"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"version": features.VERSION + 1},
        {"vector": ()},
        {"vector": (*USUAL, 1.0)},
        {"vector": ("much", *USUAL[1:])},
        {"vector": (1e9, *USUAL[1:])},
        {"vector": (float("nan"), *USUAL[1:])},
    ],
    ids=["other version", "none", "too many", "text", "huge", "no number"],
)
def test_features_that_cannot_be_any_teach_nothing(
    ledger: Ledger, tmp_path: Path, change: dict[str, object]
) -> None:
    ledger.append(told(1, Outcome.ACCEPTED, **change))
    assert after(ledger, tmp_path).belief == usual()


@given(
    worths=st.lists(st.floats(0, 1), max_size=400),
    paths=st.integers(1, 30),
)
@settings(deadline=None)
def test_no_document_and_no_workspace_passes_its_bound(worths: list[float], paths: int) -> None:
    allowance = Allowance()
    granted = [
        (n % paths, allowance.grant("w", f"{n % paths}.py", worth, 5.0))
        for n, worth in enumerate(worths)
    ]
    assert sum(amount for _, amount in granted) <= MOST_PER_WORKSPACE
    for path in range(paths):
        assert sum(amount for at, amount in granted if at == path) <= MOST_PER_DOCUMENT


def test_time_gives_an_allowance_back() -> None:
    allowance = Allowance()
    for _ in range(1000):
        allowance.grant("w", "a.py", 1.0, 0.0)
    assert allowance.grant("w", "a.py", 1.0, 0.0) < 0.01
    assert allowance.grant("w", "a.py", 1.0, RECOVERY_SECONDS) == pytest.approx(0.5, abs=0.02)


def test_a_flood_from_one_file_never_moves_past_the_bound() -> None:
    allowance, belief = Allowance(), usual()
    granted = [allowance.grant("w", "a.py", 1.0, n * 0.1) for n in range(10_000)]
    assert sum(granted[200:]) < 0.2  # what comes after the first 200 adds next to nothing
    for worth in granted[:200]:
        belief = belief.learned(USUAL, 1.0, worth)
    bound = logistic(usual().prior.score(USUAL) + MOST_SHIFT)
    assert usual().probability(USUAL) < belief.probability(USUAL) <= bound + 1e-9


def test_after_a_flood_others_are_still_heard() -> None:
    allowance, belief = Allowance(), usual()
    for _ in range(300):
        belief = belief.learned(USUAL, 1.0, allowance.grant("w", "flood.py", 1.0, 0.0))
    flooded = belief.probability(USUAL)
    for n in range(60):
        worth = allowance.grant("w", f"{n % 12}.py", 1.0, 0.0)
        belief = belief.learned(USUAL, 0.0, worth)
    assert belief.probability(USUAL) < flooded - 0.1


def history(seed: int, count: int) -> list[Event]:
    rng = random.Random(seed)
    found: list[Event] = []
    for n in range(count):
        vector = tuple(round(rng.uniform(-1, 2), 4) for _ in features.NAMES)
        what = rng.choice([Outcome.ACCEPTED, Outcome.REJECTED, Outcome.IGNORED, Outcome.UNDONE])
        path, guess = f"{rng.randrange(5)}.py", rng.random() < 0.5
        found += told(n, what, path=path, vector=vector, inferred=guess, time=1e9 + 60 * n)
    return found


def test_a_restart_gives_the_same_weights_with_and_without_the_file(
    ledger: Ledger, tmp_path: Path
) -> None:
    everything = history(1, 60)
    ledger.append(everything[:80])
    first = after(ledger, tmp_path)
    first.save()
    ledger.append(everything[80:])
    first.catch_up(ledger)
    restarted = after(ledger, tmp_path)
    anew = Experience(tmp_path / "elsewhere.json")
    anew.catch_up(ledger)
    assert first.belief == restarted.belief == anew.belief
    assert anew.belief != usual()


def test_batches_do_not_matter(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(history(2, 30))
    whole = after(ledger, tmp_path).belief
    monkeypatch.setattr(experience, "BATCH", 3)
    assert Experience(tmp_path / "b.json").belief == usual()
    small = Experience(tmp_path / "b.json")
    small.catch_up(ledger)
    assert small.belief == whole


def test_what_is_forgotten_is_unlearned(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(told(1, Outcome.REJECTED, path="kept.py"))
    kept = after(ledger, tmp_path).belief
    ledger.append(told(2, Outcome.ACCEPTED, path="secret.py"))
    learned = after(ledger, tmp_path)
    learned.save()
    ledger.forget(path="secret.py")
    learned.catch_up(ledger)
    assert learned.belief == kept
    assert len(json.loads((tmp_path / "quiet.json").read_text())["waiting"]) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', "\x00"])
def test_a_damaged_file_is_made_anew(ledger: Ledger, tmp_path: Path, content: str) -> None:
    ledger.append(told(1, Outcome.ACCEPTED))
    expected = after(ledger, tmp_path).belief
    (tmp_path / "quiet.json").write_text(content)
    assert after(ledger, tmp_path).belief == expected


def test_the_file_of_another_ledger_is_not_believed(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(history(3, 20))
    learned = after(ledger, tmp_path)
    learned.save()
    with closing(Ledger(tmp_path / "other.sqlite3")) as other:
        other.append(history(4, 20))
        assert after(other, tmp_path).belief != learned.belief
        fresh = Experience(tmp_path / "none.json")
        fresh.catch_up(other)
        assert after(other, tmp_path).belief == fresh.belief


def test_the_file_holds_no_text(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(told(1, Outcome.ACCEPTED, path="src/private_name.py"))
    after(ledger, tmp_path).save()
    content = (tmp_path / "quiet.json").read_text()
    assert "private_name" not in content
    assert "file:" not in content


def test_a_belief_is_never_changed_in_place() -> None:
    before = usual()
    before.learned(USUAL, 1.0, 1.0)
    assert before == usual() == Belief.fresh(before.prior)
