"""Training in the foreground: the same code, from the ledger or from a log, and what it tells."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from episodes_factory import episode, events_of
from falcon_lsp.config import Config, from_client_options
from falcon_lsp.core.paths import Store, locked
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.background import standing
from falcon_lsp.learning.background.report import TrainingError, TrainingReport, train_from_logs
from falcon_lsp.learning.background.report_files import report_folder, write_report
from falcon_lsp.learning.forgetting import trainer_lock
from falcon_lsp.learning.judging.gate import Verdict
from falcon_lsp.learning.update_report import UpdateReport
from falcon_lsp.learning.walk import StepStats
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import AdapterRegistry

VERDICT = Verdict(True, (), 8, 2, 0.2, 0.1, -0.1, 0.001, 0.01, finite=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", tmp_path / "cache")


@pytest.fixture
def config(tiny_model: Path) -> Config:
    chosen, problems = from_client_options(
        {"model": str(tiny_model), "learning": {"batchEpisodes": 8}}
    )
    assert problems == []
    return chosen


def fill(ledger: Ledger, encoding, model_id: str, count: int = 16) -> None:
    for number in range(count):
        text = "a + b" if number % 2 else "os.path"
        ledger.append(
            events_of(
                episode(
                    f"cmp-{number:02}",
                    text,
                    what=Outcome.ACCEPTED if number % 2 else Outcome.REJECTED,
                    time=float(number),
                    token_ids=() if number == 0 else tuple(encoding.tokenizer.encode(text)),
                    model_id=model_id,
                )
            )
        )


def test_the_report_says_what_was_used_what_not_and_why(
    store, config, encoding, tiny_model
) -> None:
    with closing(Ledger(store.ledger)) as ledger:
        fill(ledger, encoding, tiny_model.name)
    shares: list[tuple[str, float]] = []
    report = train_from_logs(store, config, None, lambda *told: shares.append(told))
    body = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert (body["episodes"], body["used"], body["waiting"]) == (16, 11, 0)
    assert body["skipped"] == {"held out for the gate": 4, "not sampled by a model": 1}
    assert body["broken"] == []
    update = body["updates"][0]
    assert len(update["steps"]) >= 1
    assert {"promoted", "reasons", "liked_gain", "kl", "regression"} <= update["verdict"].keys()
    kept = AdapterRegistry(store.adapters).show(update["adapter_id"]).metrics
    assert kept | update == kept
    assert shares[-1] == ("done", 1.0)
    assert [share for _, share in shares] == sorted(share for _, share in shares)
    text = "\n".join(report.lines())
    assert "16 episodes, 11 learned from" in text
    assert "1 not used: not sampled by a model" in text
    assert f"serving {body['current']}" in text


def test_only_the_own_ledger_says_how_versions_fare(
    store, config, encoding, tiny_model, tmp_path, monkeypatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(
        "falcon_lsp.learning.background.report.look_back",
        lambda _registry, ledger, _announce: asked.append(ledger.path),
    )
    with closing(Ledger(store.ledger)) as ledger, (tmp_path / "log.jsonl").open("w") as file:
        fill(ledger, encoding, tiny_model.name, 2)
        ledger.export_jsonl(file)
    train_from_logs(store, config, tmp_path / "log.jsonl", lambda *_: None)
    assert asked == []
    train_from_logs(store, config, None, lambda *_: None)
    assert asked == [store.ledger]


def test_what_a_killed_trainer_held_is_learned_from(store, config, encoding, tiny_model) -> None:
    with closing(Ledger(store.ledger)) as ledger:
        fill(ledger, encoding, tiny_model.name)
        ledger.lease("killed", 16, 600.0)
    assert train_from_logs(store, config, None, lambda *_: None).as_dict()["episodes"] == 16


def test_a_log_is_learned_from_without_touching_the_ledger(
    store, config, encoding, tiny_model, tmp_path
) -> None:
    log = tmp_path / "log.jsonl"
    with closing(Ledger(tmp_path / "other.sqlite3")) as other, log.open("w") as file:
        fill(other, encoding, tiny_model.name)
        other.export_jsonl(file)
    lines = log.read_text().splitlines()
    log.write_text("\n".join([lines[0], "{broken", *lines[1:]]) + "\n")
    report = train_from_logs(store, config, log, lambda *_: None)
    assert report.as_dict()["used"] == 11
    assert [place.rpartition(": ")[0] for place in report.broken] == [f"{log}:2"]
    assert f"left out {log}:2" in "\n".join(report.lines())
    assert not store.ledger.exists()
    assert list(store.cache.iterdir()) == []


def test_too_few_episodes_wait(store, config, encoding, tiny_model) -> None:
    with closing(Ledger(store.ledger)) as ledger:
        fill(ledger, encoding, tiny_model.name, count=5)
    report = train_from_logs(store, config, None, lambda *_: None)
    assert (report.updates, report.waiting) == ((), 5)
    assert "5 waiting: an update takes at least 8" in "\n".join(report.lines())
    with closing(Ledger(store.ledger)) as ledger:
        assert ledger.pending() == 5


def test_episodes_of_another_model_teach_nothing(store, config, encoding) -> None:
    with closing(Ledger(store.ledger)) as ledger:
        fill(ledger, encoding, "another-model")
    report = train_from_logs(store, config, None, lambda *_: None)
    assert report.skipped["sampled by another base model"] == 11
    assert report.as_dict()["current"] == "base"
    assert "no adapter: nothing to train on" in report.lines()


@pytest.mark.parametrize(
    ("model", "sentence"),
    [("default", "falcon-lsp setup"), ("no such model", "falcon.model")],
)
def test_a_missing_model_is_one_sentence(store, model, sentence) -> None:
    config, _ = from_client_options({"model": model})
    with pytest.raises(TrainingError, match=sentence):
        train_from_logs(store, config, None, lambda *_: None)


def test_a_running_trainer_is_one_sentence(store, config) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("nothing was to be done")

    with locked(trainer_lock(store)), pytest.raises(TrainingError, match="running already"):
        train_from_logs(store, config, None, refuse)


def test_the_report_on_disk_has_a_page_a_picture_and_numbers(tmp_path) -> None:
    steps = tuple(StepStats(n, 1.0 / (n + 1), 0.01 * n, 1.0, 0.0, 40) for n in range(4))
    update = UpdateReport({"cmp-1": "trained:adp-1"}, "adp-1", used=1, steps=steps, verdict=VERDICT)
    report = TrainingReport((update,), ("log.jsonl:2: broken",), 3, "adp-1")
    folder = report_folder(Store(tmp_path, tmp_path), datetime(2026, 11, 21, 7, 8, 9, tzinfo=UTC))
    page = write_report(report, folder)
    assert page == tmp_path / "reports" / "training-20261121-070809" / "report.md"
    text = page.read_text("utf-8")
    assert all(f"    {line}" in text for line in report.lines())
    assert text.count("\n| ") == 1 + 1 + len(steps)
    assert json.loads((folder / "report.json").read_text("utf-8"))["current"] == "adp-1"
    picture = ET.fromstring((folder / "steps.svg").read_text("utf-8"))
    dots = picture.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(dots) == 2 * len(steps)
    heights = [float(dot.attrib["cy"]) for dot in dots]
    assert heights[:4] == sorted(heights[:4])  # the loss falls
    assert heights[4:] == sorted(heights[4:], reverse=True)  # the KL rises


def test_a_report_of_nothing_has_no_picture_in_its_page(tmp_path) -> None:
    page = write_report(TrainingReport((), (), 3, "base"), tmp_path / "report")
    assert "3 waiting" in page.read_text("utf-8")
    assert "steps.svg" not in page.read_text("utf-8")
    ET.fromstring((tmp_path / "report" / "steps.svg").read_text("utf-8"))


def test_others_can_see_that_training_goes_on(store, config, encoding, tiny_model) -> None:
    with closing(Ledger(store.ledger)) as ledger:
        fill(ledger, encoding, tiny_model.name)
    seen = {""}
    train_from_logs(store, config, None, lambda *_: seen.add(standing.read(store)))
    assert {"loading", "training, 1 steps"} <= seen
    assert standing.read(store) == ""
