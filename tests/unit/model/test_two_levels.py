"""Two levels of one registry: a workspace is served its own version, everybody else the global."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from adapter_samples import BASE_SHA256, publish

from falcon_lsp.model.adapters import (
    BASE,
    SET_ASIDE,
    AdapterRefused,
    AdapterRegistry,
    Superseded,
    scope_of,
)

A, B = scope_of("file:///code/a"), scope_of("file:///code/b")


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    """Two versions for everybody, one for workspace A on top of the second."""
    registry = AdapterRegistry(tmp_path / "adapters")
    publish(registry, "all-1", created=1.0)
    publish(registry, "all-2", created=2.0, parent="all-1")
    publish(registry, "a-1", created=3.0, parent="all-2", scope=A)
    return registry


def served(registry: AdapterRegistry) -> tuple[str, str, str]:
    """Return what is served to everybody, to A and to B."""
    return tuple(registry.current(BASE_SHA256, scope) for scope in ("", A, B))  # type: ignore[return-value]


def test_a_workspace_gets_its_own_version_and_all_others_the_global(registry) -> None:
    assert served(registry) == ("all-2", "a-1", "all-2")
    assert registry.notice == ""
    publish(registry, "all-3", created=4.0, parent="all-2")
    assert served(registry) == ("all-3", "a-1", "all-3")


def test_a_workspace_that_was_refused_its_version_is_served_the_global(registry) -> None:
    publish(registry, "b-1", created=5.0, parent="all-2", scope=B, status=SET_ASIDE)
    assert served(registry) == ("all-2", "a-1", "all-2")


@pytest.mark.parametrize(
    ("to", "scope", "expected"),
    [
        (None, A, ("all-2", "all-2", "all-2")),
        (None, B, ("all-2", "a-1", "all-2")),
        (None, "", ("all-1", "all-1", "all-1")),
        ("all-1", "", ("all-1", "all-1", "all-1")),
        ("all-1", B, ("all-2", "a-1", "all-1")),
        (BASE, A, ("all-2", BASE, "all-2")),
        (BASE, "", (BASE, BASE, BASE)),
        ("a-1", "", ("all-2", "a-1", "all-2")),
    ],
)
def test_a_rollback_leaves_a_version_and_what_comes_from_it(registry, to, scope, expected) -> None:
    """A version of a workspace that comes from what everybody has left is left as well."""
    assert registry.rollback(to, scope) in expected
    assert served(registry) == expected


def test_a_workspaces_version_may_come_from_what_everybody_is_served(registry) -> None:
    publish(registry, "a-2", created=4.0, parent="all-2", scope=A, replacing="a-1")
    assert served(registry) == ("all-2", "a-2", "all-2")


def test_a_workspaces_version_that_comes_from_what_was_left_is_not_published(registry) -> None:
    registry.rollback("all-1")
    with pytest.raises(Superseded):
        publish(registry, "a-2", created=4.0, parent="all-2", scope=A, replacing="all-1")
    assert served(registry) == ("all-1", "all-1", "all-1")


def test_going_forward_again_takes_no_workspace_along(registry) -> None:
    registry.rollback("all-1")
    registry.rollback("a-1")
    registry.rollback("all-2")
    assert served(registry) == ("all-2", "a-1", "all-2")


def test_no_workspace_is_ever_served_the_version_of_another(registry) -> None:
    body = {"id": "a-1", "workspaces": {B: "a-1"}}
    (registry.folder / "current.json").write_text(json.dumps(body))
    assert served(registry) == ("all-2", "all-2", "all-2")
    registry.current(BASE_SHA256, B)
    assert "another workspace" in registry.notice


def test_a_spoilt_version_of_a_workspace_falls_back_to_the_global(registry) -> None:
    (registry.folder / "a-1" / "adapter_model.safetensors").write_bytes(b"spoilt")
    assert served(registry) == ("all-2", "all-2", "all-2")
    registry.current(BASE_SHA256, A)
    assert "all-2 is used" in registry.notice


@pytest.mark.parametrize("content", ["[]", '{"id": 1}', '{"id": "all-2", "workspaces": {"x": 1}}'])
def test_a_damaged_pointer_ends_in_the_newest_global_version(registry, content) -> None:
    (registry.folder / "current.json").write_text(content)
    assert served(registry) == ("all-2", "all-2", "all-2")
    publish(registry, "b-1", created=6.0, parent="all-2", scope=B)
    assert served(registry) == ("all-2", "all-2", "b-1")


def test_pruning_spares_what_any_workspace_is_served(registry) -> None:
    for number in range(3, 7):
        publish(registry, f"all-{number}", created=float(number), parent=f"all-{number - 1}")
    publish(registry, "b-1", created=8.0, parent="all-6", scope=B)
    assert registry.prune(1) == ["all-1", "all-2", "all-3", "all-4"]
    assert served(registry) == ("all-6", "a-1", "b-1")


def test_forgetting_reaches_versions_of_workspaces_through_pruned_ancestors(registry) -> None:
    publish(registry, "all-3", created=4.0, parent="all-1", completion_ids=("cmp-3",))
    publish(registry, "b-1", created=5.0, parent="all-3", scope=B, completion_ids=("cmp-b",))
    assert registry.drop_descendants(["cmp-b"]) == ["b-1"]
    assert served(registry) == ("all-3", "a-1", "all-3")
    assert json.loads((registry.folder / "current.json").read_bytes())["workspaces"] == {A: "a-1"}
    registry.drop_descendants(["cmp-3"])
    assert served(registry) == ("all-1", "a-1", "all-1")


def test_what_cannot_be_served_is_not_gone_back_to(registry) -> None:
    with pytest.raises(AdapterRefused, match="no adapter"):
        registry.rollback("all-9", A)
    assert served(registry) == ("all-2", "a-1", "all-2")


def test_scopes_do_not_name_folders() -> None:
    assert scope_of("file:///code/a/") == A != B
    assert "code" not in A
