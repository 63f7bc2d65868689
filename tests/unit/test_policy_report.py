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
from falcon_lsp.policy_report import logged

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
            predictions.append([row.predicted for row in logged(ledger, 0.2)])
    assert predictions[0] == predictions[1]


def test_held_back_ones_count_and_are_worth_nothing(filled: Path) -> None:
    with closing(Ledger(filled / "ledger.sqlite3")) as ledger:
        rows = list(logged(ledger, IN_USE))
    held = [row for row in rows if not row.shown]
    assert held
    assert {row.reward for row in held} == {0.0}
    assert {row.propensity for row in held} == {policy.EXPLORE_SHARE}
