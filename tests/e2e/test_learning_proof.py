"""The proof that learning pays, whole, on a scripted repository through real servers."""

from __future__ import annotations

import argparse
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

import learning
from episodes_factory import episode, events_of
from evaluation import phases
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.dataset import Encoding
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model import fim
from falcon_lsp.model.adapters import BASE, PROMOTED, AdapterManifest, AdapterRegistry
from falcon_lsp.model.fake import FakeEngine
from falcon_lsp.model.tokenizer import CodeTokenizer
from falcon_lsp.replay.git import Git
from falcon_lsp.replay.sources import History
from replay_samples import Made, repository
from tiny_model import build_tiny_model, train_nothing

COMMITS = 5
FED = 16
"""Episodes of the tiny model that are added: something to train on, and to judge by."""


def scripted() -> list[Made]:
    """Every commit adds a file that much repeats and is marked with the commit's number."""
    body = "def price_{n}(items):\n    log(items)\n    {bird} = sum(items)\n    return {bird}\n"
    rest = [
        Made({f"shop/part_{n}.py": body.format(n=n, bird=f"canary_{n}_bird")})
        for n in range(2, COMMITS + 1)
    ]
    return [Made({"log.py": "def log(text):\n    print(text)\n"}), *rest]


def birds(text: str) -> set[int]:
    return {int(number) for number in re.findall(r"canary_(\d)_bird", text)}


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[phases.Trial]:
    model = build_tiny_model(tmp_path / "tiny")
    settings = ["engine=fake", f"model={model}", "learning.batchEpisodes=8"]
    arguments = argparse.Namespace(practice=6.0, minutes=6.0, set=settings)
    with Git(repository(tmp_path / "repo", scripted())) as git:
        yield learning.trial_of(arguments, tmp_path / "cache", History(git), 1)


def feed(ledger: Path, model: Path) -> None:
    encoding = Encoding(CodeTokenizer.from_folder(model), fim.FALCON, model.name, 256)
    with closing(Ledger(ledger)) as opened:
        for number in range(FED):
            text = "a + b" if number % 2 else "os.path"
            made = episode(
                f"cmp-{number:02}", text, time=float(number), model_id=model.name,
                what=Outcome.ACCEPTED if number % 2 else Outcome.REJECTED,
                token_ids=tuple(encoding.tokenizer.encode(text)),
            )  # fmt: skip
            opened.append(events_of(made))


def recorded(store: Path) -> str:
    file = io.StringIO()
    with closing(Ledger(store / "ledger.sqlite3")) as ledger:
        ledger.export_jsonl(file)
    return file.getvalue()


def ids_in(store: Path) -> set[str]:
    return {json.loads(line)["completion_id"] for line in recorded(store).splitlines()}


def quiet(_phase: str) -> phases.Say:
    return lambda _message, _share: None


def interrupting(chosen: str) -> Callable[[str], phases.Say]:
    """Interrupt a phase: the trainer as it starts, the examination in its first commit."""

    def say(phase: str, message: str, share: float) -> None:
        if phase == chosen and share < 1 and not message.startswith("loading"):
            raise KeyboardInterrupt

    return lambda phase: partial(say, phase)


def serve_one(registry: AdapterRegistry, model: Path) -> None:
    """Let an adapter through that changes nothing, for the engine of the examination."""
    manifest = AdapterManifest("adp-served", FakeEngine().base_sha256, status=PROMOTED)
    temporary = registry.new_temporary()
    train_nothing(model, temporary, [1], 0)
    (temporary / "README.md").unlink()
    registry.publish(temporary, manifest)


def test_the_four_arms_begin_with_what_was_learned_before_and_nothing_later(trial, tmp_path):
    """Training with a verdict and the examination are interrupted, and go on."""
    practice = phases.practise(trial, quiet("practice"))
    end = practice.begun  # commits are counted from 1, steps from 0
    assert 0 < end < COMMITS
    feed(trial.store.ledger, tmp_path / "tiny")
    told = recorded(trial.store.data)
    assert birds(told) == set(range(2, end + 1))

    assert not (trial.folder / "training.json").exists()
    with pytest.raises(KeyboardInterrupt):
        phases.tried(trial, interrupting("training"))
    phases.train(trial, quiet("training"))
    judged = (trial.folder / "training.json").read_bytes()
    serve_one(AdapterRegistry(trial.store.adapters), tmp_path / "tiny")
    with pytest.raises(KeyboardInterrupt):
        phases.tried(trial, interrupting("examination"))
    assert recorded(trial.store.data) == told  # the trainer saw this; nothing came afterwards
    found = phases.tried(trial, quiet)
    assert (trial.folder / "training.json").read_bytes() == judged
    for file in trial.store.data.rglob("*"):
        if file.is_file():
            assert max(birds(file.read_bytes().decode("latin-1")), default=0) <= end, file.name

    steps = trial.source.steps
    assert found["practice"]["last"] == steps[end - 1]
    assert found["commits"] == steps[end + 1 :]  # the one in which it was interrupted is left out
    assert all(list(pair) == list(phases.ARMS) for pair in found["pairs"])

    training = found["training"]
    assert sum(training["outcomes"].values()) >= FED
    assert training["learned_from"] > 0
    assert {"liked_gain", "regression", "kl", "reasons"} <= training["verdicts"][0].keys()
    versions = set(AdapterRegistry(trial.store.adapters).names())
    arms = {arm: trial.folder / "examination" / arm for arm in phases.ARMS}
    kept = {arm: set(AdapterRegistry(store / "adapters").names()) for arm, store in arms.items()}
    assert kept == {"frozen": set(), "instant": set(), "slow": versions, "both": versions}
    known = {arm: ids_in(store) for arm, store in arms.items()}
    assert known["frozen"] == known["slow"] == set()
    assert known["instant"] > ids_in(trial.store.data) < known["both"]

    registry = AdapterRegistry(trial.store.adapters)
    registry.rollback(to=BASE)
    assert list(phases.terms(trial)) == ["frozen", "instant"]
    unchanged = phases.typed_as(trial)
    assert unchanged == {"frozen": "frozen", "instant": "instant"} | phases.WITHOUT_VERSION

    run = {"project": "a/b", "seed": 1, **learning.summary(found)}
    body = {"runs": {"b 1": run}}
    learning.write(body, tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail)
    rows = written["runs"]["b 1"]["by_commit"]
    sums = [sum(row["both"][2] for row in rows), sum(row["both"][0] for row in rows)]
    counts = written["together"]["counts"]["both"]
    assert [counts["kept_chars"], counts["shown"]] == sums
    assert sum(written["together"]["versions"].values()) >= len(training["verdicts"])
