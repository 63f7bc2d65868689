"""Who is answered by which version: a lone workspace by its own, all others by everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.lsp import server
from falcon_lsp.lsp.served import ServedAdapter
from falcon_lsp.model import fim
from falcon_lsp.model.adapters import BASE, PROMOTED, AdapterManifest, AdapterRegistry, scope_of
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.files import ModelFiles
from tiny_model import build_tiny_model, train_nothing
from unit.model.adapter_samples import BASE_SHA256, publish

A, B = "file:///code/a", "file:///code/b"


@dataclass
class Engine:
    """Loads names instead of weights; those in ``poison`` it refuses."""

    adapter_id: str = BASE
    base_sha256: str = BASE_SHA256
    poison: set[str] = field(default_factory=set)

    def load_adapter(self, _folder: Path | None, adapter_id: str) -> None:
        if adapter_id in self.poison:
            raise EngineError("it does not fit")
        self.adapter_id = adapter_id


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    registry = AdapterRegistry(tmp_path / "adapters")
    publish(registry, "all-1", created=1.0)
    publish(registry, "a-1", created=2.0, parent="all-1", scope=scope_of(A))
    publish(registry, "b-1", created=3.0, parent="all-1", scope=scope_of(B))
    return registry


def window(*folders: str) -> Any:
    return SimpleNamespace(folders=list(folders))


@pytest.fixture
def told() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def served(registry: AdapterRegistry, told: list[dict[str, Any]]) -> Iterator[ServedAdapter]:
    host: Any = SimpleNamespace(engine=Engine(), message="")
    served = ServedAdapter(host, told.append)
    served.registry = registry
    yield served
    served.close()


def follow(served: ServedAdapter) -> str:
    """Let what is to be served be swapped in; return its id."""
    served.follow()
    assert served._swaps.wait_idle(10)
    engine: Any = served._host.engine
    return str(engine.adapter_id)


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([], "all-1"),
        ([()], "all-1"),
        ([(A,)], "a-1"),
        ([(A,), (A,)], "a-1"),
        ([(A,), ()], "a-1"),
        ([("file:///code/c",)], "all-1"),
        ([(A, B)], "all-1"),
        ([(A,), (B,)], "all-1"),
    ],
)
def test_a_workspaces_own_version_serves_while_it_is_open_alone(served, windows, expected) -> None:
    served.windows += [window(*folders) for folders in windows]
    assert follow(served) == expected
    assert served.may_answer()


def test_a_swap_is_told_once_and_only_when_there_is_one(served, told) -> None:
    served.windows.append(window(A))
    assert [follow(served), follow(served)] == ["a-1", "a-1"]
    assert told == [{"event": "served", "adapter": "a-1"}]


def test_what_one_workspace_taught_is_not_said_while_another_is_open(served) -> None:
    """Until the swap is done nothing is said at all."""
    served.windows.append(window(A))
    follow(served)
    served.windows.append(window(B))
    assert not served.may_answer()
    assert follow(served) == "all-1"
    assert served.may_answer()
    served.windows.pop(0)
    assert served.may_answer()
    assert follow(served) == "b-1"


def test_an_adapter_that_the_engine_refuses_ends_in_the_base_and_not_in_anothers(served) -> None:
    served.windows.append(window(A))
    follow(served)
    served._host.engine.poison.add("all-1")
    served.windows.append(window(B))
    assert follow(served) == BASE
    assert "does not fit" in served._host.message
    assert served.may_answer()


def test_a_rollback_leaves_what_is_served_here_first_the_workspaces_then_everybodys(
    served, registry
) -> None:
    served.windows.append(window(A))
    assert follow(served) == "a-1"
    assert served.roll_back(None) == "Rolled back to all-1."
    assert follow(served) == "all-1"
    assert registry.current(scope=scope_of(B)) == "b-1"
    assert served.roll_back(None) == "Rolled back to base."
    assert follow(served) == BASE
    rows = VerdictLog(registry.folder).rows()
    assert [(row["adapter"], row["to"], row["by"]) for row in rows] == [
        ("a-1", "all-1", "hand"), ("all-1", "base", "hand"),
    ]  # fmt: skip
    assert registry.current(scope=scope_of(B)) == BASE


def test_a_version_chosen_by_name_takes_the_place_of_the_workspaces_own(served, registry) -> None:
    publish(registry, "all-2", created=4.0, parent="all-1")
    served.windows.append(window(A))
    assert follow(served) == "a-1"
    assert served.roll_back("all-1") == "Rolled back to all-1."
    assert follow(served) == "all-1"
    assert registry.current() == "all-2"
    assert registry.current(scope=scope_of(B)) == "b-1"


def test_a_refused_rollback_is_a_sentence(served) -> None:
    assert "no adapter" in served.roll_back("none")


def test_two_levels_on_a_real_engine(tmp_path: Path) -> None:
    """Workspace A is answered by its own weights, B by everybody's; neither by the base's."""
    from falcon_lsp.model.torch_engine import TorchEngine

    base = build_tiny_model(tmp_path / "tiny")
    registry = AdapterRegistry(tmp_path / "adapters")
    for seed, (name, scope) in enumerate((("all-1", ""), ("a-1", scope_of(A)))):
        temporary = registry.new_temporary()
        train_nothing(base, temporary, [1], seed)
        (temporary / "README.md").unlink(missing_ok=True)
        parent = "all-1" if scope else BASE
        registry.publish(
            temporary, AdapterManifest(name, "sha", parent, status=PROMOTED, scope=scope)
        )
    engine = TorchEngine(ModelFiles(base, "tiny", fim.FALCON, "sha"), threads=1, device="cpu")
    host: Any = SimpleNamespace(engine=engine, message="")
    served = ServedAdapter(host, lambda _event: None)
    served.registry = registry

    def score() -> tuple[float, ...]:
        return engine.score(Prompt("a.py", "x = ", "\n"), "a + b", CancellationToken())

    found = {"": score()}
    for home in (A, B):
        served.windows[:] = [window(home)]
        follow(served)
        found[home] = score()
        assert engine.adapter_id == registry.current("sha", scope_of(home))
    served.close()
    assert len(set(found.values())) == 3
    assert served.may_answer()


async def test_a_version_that_was_left_by_itself_is_told_of_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(server, "ProgressReporter", lambda *_: None)
    client: Any = SimpleNamespace(tell=said.append)
    listen = server.training_listener(client)
    await asyncio.to_thread(listen, {"event": "rolled_back", "adapter_id": "a", "to": "b"})
    await asyncio.sleep(0)
    assert said == [server.LEFT_BY_ITSELF]
