"""``falcon-lsp evaluate-policy`` over ledgers that are known."""

import json
import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from episodes_factory import suggestion
from falcon_lsp import cli
from falcon_lsp.completion import features, policy
from falcon_lsp.completion.belief import usual
from falcon_lsp.config import CompletionOptions
from falcon_lsp.core.types import Outcome
from falcon_lsp.memory import events
from falcon_lsp.memory.events import Event, Kind, Place
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.policy_report import cases, logged

IN_USE = policy.threshold(CompletionOptions())
TOTAL = features.NAMES.index("total doubt")


def vector(doubt: float) -> tuple[float, ...]:
    given = [0.0] * len(features.NAMES)
    given[0], given[TOTAL] = 1.0, doubt
    return tuple(given)


def history(count: int, seed: int = 1, share: float = 1.0) -> list[Event]:
    """Return what a server would have recorded that shows by the prior."""
    rng = random.Random(seed)
    found: list[Event] = []
    for n in range(count):
        given = vector(round(rng.uniform(0, 2.5), 4))
        chance = usual().probability(given)
        propensity = policy.show_share(chance, IN_USE)
        place = Place(f"cmp-{n}", "file:///w", f"{n % 30}.py", "python")
        offered = suggestion(
            place.completion_id, propensity=propensity, features=given,
            features_version=features.VERSION,
        )  # fmt: skip
        if rng.random() < propensity:
            taken = rng.random() < chance * share
            what = Outcome.ACCEPTED if taken else Outcome.REJECTED
            kept = len(offered.text) if taken else 0
            told = events.outcome(place, what, chars_kept=kept, elapsed_ms=0.0, inferred=False)
            found += [events.suggested(place, offered), told]
        elif propensity > 0:
            found.append(events.held(place, offered))
    return found


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    return fill(tmp_path, history(800))


def fill(folder: Path, recorded: Sequence[Event]) -> Path:
    with closing(Ledger(folder / "ledger.sqlite3")) as ledger:
        ledger.append(recorded)
    return folder


def evaluate(folder: Path, *arguments: str) -> int:
    return cli.main(["evaluate-policy", "--data-dir", str(folder), *arguments])


def test_a_quieter_policy_is_estimated(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(filled, "--aggressiveness", "quiet", "--json") == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["threshold"], body["in_use"]) == (2 * IN_USE, IN_USE)
    assert 0 < body["share_shown"]["value"] < 1
    for way in ("ips", "snips", "doubly_robust"):
        assert body[way]["low"] <= body[way]["value"] <= body[way]["high"]


def test_people_read_one_line_per_estimate(
    filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(filled, "--threshold", str(IN_USE)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["threshold", "worth", "IPS", "SNIPS", "DR"]


@pytest.mark.parametrize(
    ("count", "arguments", "sentence"),
    [
        (30, ("--aggressiveness", "quiet"), "50 are needed"),
        (0, (), "only 0 suggestions speak for that policy"),
        (800, ("--threshold", "0.01"), "is ever shown"),
    ],
    ids=["few", "none", "never shown"],
)
def test_what_the_log_cannot_say_is_refused_in_one_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    count: int,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    assert evaluate(fill(tmp_path, history(count)), *arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("threshold", ["2", "-0.1", "much"])
def test_a_threshold_is_a_share(tmp_path: Path, threshold: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        evaluate(tmp_path, "--threshold", threshold)
    assert stopped.value.code == 2


def test_a_chance_never_knows_its_own_outcome(tmp_path: Path) -> None:
    """Only what was recorded before a suggestion may change what is predicted of it."""
    recorded = history(200)
    last = max(n for n, event in enumerate(recorded) if event.kind is Kind.OUTCOME)
    place = Place(recorded[last].completion_id, "file:///w", recorded[last].path, "python")
    undone = events.outcome(place, Outcome.UNDONE, chars_kept=0, elapsed_ms=0.0, inferred=False)
    recorded, changed = recorded[: last + 1], [*recorded[:last], undone]
    predictions = []
    for name, found in (("one", recorded), ("two", changed)):
        folder = tmp_path / name
        folder.mkdir()
        with closing(Ledger(fill(folder, found) / "ledger.sqlite3")) as ledger:
            predictions.append(
                [row.predicted for row in logged(cases(ledger), CompletionOptions(threshold=0.2))]
            )
    assert predictions[0] == predictions[1]


def test_held_back_ones_count_and_are_worth_nothing(filled: Path) -> None:
    with closing(Ledger(filled / "ledger.sqlite3")) as ledger:
        rows = logged(cases(ledger), CompletionOptions())
    held = [row for row in rows if not row.shown]
    assert held
    assert {row.reward for row in held} == {0.0}
    assert {row.propensity for row in held} == {policy.EXPLORE_SHARE}


def declining(count: int, *, inferred: bool = False) -> list[Event]:
    """Return a history whose developer wants nothing: sends it away by hand, or types on."""
    given = vector(0.0)
    found: list[Event] = []
    for n in range(count):
        place = Place(f"cmp-{n}", "file:///w", f"{n % 30}.py", "python")
        offered = suggestion(
            place.completion_id, propensity=1.0, features=given, features_version=features.VERSION
        )
        what = Outcome.REJECTED
        told = events.outcome(place, what, chars_kept=0, elapsed_ms=0.0, inferred=inferred)
        found += [events.suggested(place, offered), told]
    return found


def test_the_other_policy_too_is_quieter_with_who_dismisses_much(tmp_path: Path) -> None:
    with closing(Ledger(fill(tmp_path, declining(60)) / "ledger.sqlite3")) as ledger:
        found, frozen = cases(ledger), cases(ledger, instant=False)
    shares = [case.lately.dismissed for case in found]
    assert shares[0] == policy.UNKNOWN.dismissed
    assert shares == sorted(shares)
    other = CompletionOptions(threshold=found[-1].chance / 1.3)
    last = logged(found, other)[-1]
    assert (last.propensity, last.target) == (1.0, 0.0)
    assert {case.lately for case in frozen} == {policy.UNKNOWN}
    assert {case.chance for case in frozen} == {usual().probability(vector(0.0))}


@pytest.mark.parametrize("by_hand", [False, True])
def test_what_is_never_shown_to_who_dismisses_much_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], by_hand: bool
) -> None:
    """At the usual threshold there is just enough exploring, at the raised one there is not."""
    least = str(IN_USE - 0.9 * policy.EXPLORE_BAND)
    evaluate(fill(tmp_path, declining(60, inferred=not by_hand)), "--threshold", least)
    assert ("is ever shown" in capsys.readouterr().err) is by_hand
