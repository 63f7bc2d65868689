"""Two processes that train together arrive where one does, and only the first publishes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from episodes_factory import episode, events_of
from falcon_lsp.config import Config, from_client_options
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.crew import ALONE, Crew, join
from falcon_lsp.learning.report import TrainingReport, train_from_logs
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import AdapterRegistry
from stub_judge import Stub, says

HELP = (
    "import sys; from pathlib import Path; from falcon_lsp.core.paths import Store;"
    "from falcon_lsp.config import from_client_options;"
    "from falcon_lsp.learning.report import train_from_logs;"
    "config, _ = from_client_options({'model': sys.argv[3], 'judgeServer': sys.argv[4],"
    " 'learning': {'batchEpisodes': 16}});"
    "store = Store(Path(sys.argv[1]), Path(sys.argv[2]));"
    "assert train_from_logs(store, config, None, print) is None"
)


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


def settings(model: Path, judge: str) -> Config:
    config, problems = from_client_options(
        {"model": str(model), "judgeServer": judge, "learning": {"batchEpisodes": 16}}
    )
    assert problems == []
    return config


def weights(store: Store, report: TrainingReport | None) -> dict[str, torch.Tensor]:
    assert report is not None
    (update,) = report.updates
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
    config, silent = settings(tiny_model, judge.url), lambda *_: None
    alone = Store(tmp_path / "one" / "data", tmp_path / "one" / "cache")
    both = Store(tmp_path / "two" / "data", tmp_path / "two" / "cache")
    for store in (alone, both):
        fill(store, encoding, tiny_model.name)
    expected = train_from_logs(alone, config, None, silent)
    assert len(judge.asked) == 1  # what was accepted is the same text in the same place each time
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    folders = (str(both.data), str(tmp_path / "other"), str(tiny_model), judge.url)
    with subprocess.Popen(
        [sys.executable, "-c", HELP, *folders], env=os.environ | world | {"RANK": "1"}
    ) as other:
        for name, value in {**world, "RANK": "0"}.items():
            monkeypatch.setenv(name, value)
        found = train_from_logs(both, config, None, silent)
        assert other.wait(60) == 0
    assert len(judge.asked) == 2
    one, two = weights(alone, expected), weights(both, found)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.allclose(two[name], tensor, atol=2e-3), name
    assert found is not None
    assert expected is not None
    for left, right in zip(found.updates[0].steps, expected.updates[0].steps, strict=True):
        assert left.loss == pytest.approx(right.loss, abs=2e-3)
        assert left.tokens == right.tokens
    assert found.updates[0].terms == expected.updates[0].terms
    assert "instruction" in found.updates[0].terms
    assert len(AdapterRegistry(both.adapters).list()) == len(AdapterRegistry(alone.adapters).list())


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
