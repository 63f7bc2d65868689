"""Two processes that train together arrive where one does, and only the first publishes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from episodes_factory import episode, events_of
from falcon_lsp.config import from_client_options
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.background.report import train_from_logs
from falcon_lsp.learning.crew import ALONE, Crew, join
from falcon_lsp.learning.practice.rollouts import Asked, Sampler
from falcon_lsp.learning.update_report import UpdateReport
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import AdapterRegistry
from stub_judge import Stub, says

HELP = """
import json, sys
from pathlib import Path
from falcon_lsp.config import from_client_options
from falcon_lsp.core.paths import Store
from falcon_lsp.learning.background.report import train_from_logs
from falcon_lsp.learning.practice.rollouts import Sampler

asked, sample = [], Sampler.sample
Sampler.sample = lambda self, places, *rest: (asked.extend(places), sample(self, places, *rest))[1]
config, _ = from_client_options(json.loads(sys.argv[3]))
store = Store(Path(sys.argv[1]), Path(sys.argv[2]))
assert train_from_logs(store, config, None, print) is None
print(len(asked))
"""
"""The second process; says in how many places it has asked for fresh answers."""


def fill(store: Store, encoding, model_id: str) -> None:
    with closing(Ledger(store.ledger)) as ledger:
        for number in range(32):
            text = "a + b" if number % 2 else "os.path"
            told = episode(
                f"cmp-{number:02}",
                text,
                what=Outcome.ACCEPTED if number % 2 else Outcome.REJECTED,
                time=float(number),
                token_ids=tuple(encoding.tokenizer.encode(text)),
                model_id=model_id,
            )
            ledger.append(events_of(told))


def settings(model: Path, judge: str = "", **learning: str) -> dict[str, Any]:
    chosen = {"batchEpisodes": 16} | learning
    return {"model": str(model), "judgeServer": judge, "learning": chosen}


def train(store: Store, raw: dict[str, Any]) -> UpdateReport:
    config, problems = from_client_options(raw)
    assert problems == []
    report = train_from_logs(store, config, None, lambda *_: None)
    assert report is not None
    (update,) = report.updates
    return update


def train_together(
    store: Store, raw: dict[str, Any], other_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[UpdateReport, str]:
    """Lead while another process helps; returns what it printed, too."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    given = (str(store.data), str(other_cache), json.dumps(raw))
    with subprocess.Popen(
        [sys.executable, "-c", HELP, *given],
        env=os.environ | world | {"RANK": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        for name, value in {**world, "RANK": "0"}.items():
            monkeypatch.setenv(name, value)
        found = train(store, raw)
        said, _ = other.communicate(timeout=60)
        assert other.returncode == 0
    return found, said


def weights(store: Store, update: UpdateReport) -> dict[str, torch.Tensor]:
    folder = AdapterRegistry(store.adapters).folder / update.adapter_id
    return load_file(folder / "adapter_model.safetensors")


@pytest.fixture
def judge() -> Iterator[Stub]:
    stub = Stub(says('{"score": 9}'))
    yield stub
    stub.close()


@pytest.mark.slow
def test_two_processes_arrive_where_one_does(
    tiny_model, encoding, tmp_path, monkeypatch, judge
) -> None:
    """The second has a cache of its own, so that it would have to ask the judge again."""
    raw = settings(tiny_model, judge.url)
    alone = Store(tmp_path / "one" / "data", tmp_path / "one" / "cache")
    both = Store(tmp_path / "two" / "data", tmp_path / "two" / "cache")
    for store in (alone, both):
        fill(store, encoding, tiny_model.name)
    expected = train(alone, raw)
    assert len(judge.asked) == 1  # what was accepted is the same text in the same place each time
    found, _ = train_together(both, raw, tmp_path / "other", monkeypatch)
    assert len(judge.asked) == 2
    one, two = weights(alone, expected), weights(both, found)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.allclose(two[name], tensor, atol=2e-3), name
    for left, right in zip(found.steps, expected.steps, strict=True):
        assert left.loss == pytest.approx(right.loss, abs=2e-3)
        assert left.tokens == right.tokens
    assert found.terms == expected.terms
    assert "instruction" in found.terms
    assert len(AdapterRegistry(both.adapters).list()) == len(AdapterRegistry(alone.adapters).list())


@pytest.mark.slow
def test_on_policy_two_processes_share_the_asking_and_take_the_same_steps(
    tiny_model, encoding, tmp_path, monkeypatch
) -> None:
    """Only the leader judges: here it finds every group worth learning from, the other none."""
    store = Store(tmp_path / "data", tmp_path / "cache")
    fill(store, encoding, tiny_model.name)
    asked: list[Asked] = []
    sample = Sampler.sample

    def noting(self: Sampler, places: Sequence[Asked], *rest: Any) -> Any:
        asked.extend(places)
        return sample(self, places, *rest)

    monkeypatch.setattr(Sampler, "sample", noting)
    monkeypatch.setattr("falcon_lsp.learning.practice.rounds.teaches", lambda *_: True)
    raw = settings(tiny_model, objective="on-policy")
    found, said = train_together(store, raw, tmp_path / "other", monkeypatch)
    assert found.steps
    assert all(isfinite(step.loss) and step.tokens > 0 for step in found.steps)
    assert found.used > 0
    assert len(AdapterRegistry(store.adapters).list()) >= 1
    assert 0 <= len(asked) - int(said) <= len(found.steps) + 1  # an odd one is the leader's


def test_alone_nothing_is_shared(monkeypatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    crew = join()
    assert crew == ALONE
    tensor = torch.ones(2)
    crew.add_up([tensor])
    crew.follow([tensor])
    assert tensor.tolist() == [1.0, 1.0]
    assert (crew.tell({"a": 1}), list(crew.share([1, 2, 3]))) == ({"a": 1}, [1, 2, 3])


def test_each_process_has_a_share_of_its_own() -> None:
    items = list(range(7))
    shares = [list(Crew(rank, 3).share(items)) for rank in range(3)]
    assert sorted(item for share in shares for item in share) == items
    assert [Crew(rank, 3).leads for rank in range(3)] == [True, False, False]
