"""The trainer is killed wherever it can be: nothing is lost, nothing is learned twice."""

from __future__ import annotations

import multiprocessing
import sys
from collections import Counter
from contextlib import closing
from itertools import product
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest

from crashing_worker import run
from episodes_factory import episode, events_of
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import BASE, AdapterManifest, AdapterRegistry
from falcon_lsp.model.tokenizer import CodeTokenizer
from tiny_model import build_tiny_model

BATCH = 8
LLAMA = "transformers.models.llama.modeling_llama"
EARLY = ("lease", "load", "score", "train", "gate")
LATE = ("save", "publish", "swap", "prune", "ack")
KILLS = [
    *zip(product(EARLY, ("before", "after")), product(LATE, ("before", "after")), strict=True),
    *zip(product(LATE, ("after", "before")), product(EARLY, ("before", "after")), strict=True),
]
"""Two kills for each batch: a job's third lease is its last."""


@pytest.fixture(scope="module")
def nursery() -> BaseContext:
    """Processes that start with torch loaded already, where the platform can do that."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["falcon_lsp.learning.background.worker", LLAMA])
    return context


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def record(ledger: Ledger, tokenizer: CodeTokenizer, batch: int) -> None:
    """Append eight finished episodes: four accepted, four rejected with other text instead."""
    for number in range(BATCH):
        good = number % 2 == 0
        text = "a + b" if good else "os.path"
        told = episode(
            f"cmp-{batch}-{number}",
            text,
            what=Outcome.ACCEPTED if good else Outcome.REJECTED,
            stands=None if good else "a - b",
            time=1000.0 + BATCH * batch + number,
            token_ids=tuple(tokenizer.encode(text)),
            model_id="tiny",
        )
        ledger.append(events_of(told))


@pytest.mark.slow
def test_kills_lose_nothing_and_teach_nothing_twice(nursery, model, tmp_path) -> None:
    store = Store(tmp_path / "data", tmp_path / "cache")
    registry = AdapterRegistry(store.adapters)
    tokenizer = CodeTokenizer.from_folder(model)

    def work(*death: str) -> int:
        given = (str(store.data), str(store.cache), str(model), *death)
        process = nursery.Process(target=run, args=given)
        process.start()
        process.join(60)
        assert process.exitcode is not None
        return process.exitcode

    died: Counter[str] = Counter()
    with closing(Ledger(store.ledger)) as ledger:
        for batch, deaths in enumerate(KILLS[:15]):
            record(ledger, tokenizer, batch)
            for point, when in deaths:
                if work(point, when) != 0:
                    died[point] += 1
                current = registry.current()
                assert current == BASE or registry.verify(current, None).id == current
            assert work() == 0
        counts = ledger.counts()
        results = {one.completion_id: one.outcome for one in ledger.episodes(with_outcome=True)}
    assert set(died) == {*EARLY, *LATE}
    assert counts["done"] == len(results) == 15 * BATCH
    assert counts["waiting"] == counts["leased"] == counts["set_aside"] == 0
    hidden = {entry.name for entry in store.adapters.iterdir() if entry.name[0] == "."}
    assert hidden - {".ancestors"} == {".lock"}
    versions = lineage(registry)
    assert versions
    known: set[str] = set()
    for manifest in reversed(versions):  # a few come along again, and are not counted as used
        new = set(manifest.completion_ids) - known
        assert manifest.metrics["used"] <= len(new)
        known |= new


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "kills"), [("policy", 3), ("on-policy", 6)])
def test_an_update_killed_after_each_step_ends_in_the_same_bytes(
    nursery, model, tmp_path, objective, kills
) -> None:
    """Three steps, on policy after a round of answers each: killed after each; then it is done."""
    tokenizer = CodeTokenizer.from_folder(model)
    codes, weights = {}, {}
    for name, deaths in {"whole": [], "killed": [("step", "after")] * kills}.items():
        store = Store(tmp_path / name / "data", tmp_path / name / "cache")
        with closing(Ledger(store.ledger)) as ledger:
            record(ledger, tokenizer, 0)
            record(ledger, tokenizer, 1)
        codes[name] = []
        for death in [*deaths, ("", "")]:
            given = (str(store.data), str(store.cache), str(model), *death, objective)
            process = nursery.Process(target=run, args=given)
            process.start()
            process.join(240)
            codes[name].append(process.exitcode)
        registry = AdapterRegistry(store.adapters)
        file = registry.folder / registry.current() / "adapter_model.safetensors"
        weights[name] = file.read_bytes()
        assert not (store.training / "journal").exists()
    assert codes["whole"] == [0]
    assert codes["killed"][-1] == 0
    assert 0 not in codes["killed"][:-1]
    assert weights["killed"] == weights["whole"]


def lineage(registry: AdapterRegistry) -> list[AdapterManifest]:
    """Return the current version and those of its ancestors that are kept, the newest first."""
    found: list[AdapterManifest] = []
    version = registry.current()
    while version != BASE and version in {one.id for one in registry.list()}:
        found.append(registry.show(version))
        version = found[-1].parent
    return found
