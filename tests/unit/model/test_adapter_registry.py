"""Versions are published whole or not at all, and what is current always verifies."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapter_samples import BASE_SHA256, manifest, publish, write

from falcon_lsp.core import paths
from falcon_lsp.model import adapters, pointers
from falcon_lsp.model.adapters import BASE, SET_ASIDE, AdapterRefused, AdapterRegistry, Superseded


@pytest.fixture
def registry(tmp_path: Path) -> AdapterRegistry:
    return AdapterRegistry(tmp_path / "adapters")


def ids(registry: AdapterRegistry) -> list[str]:
    return [version.id for version in registry.list()]


def test_an_empty_registry_serves_the_base_without_a_word(registry: AdapterRegistry) -> None:
    assert (registry.current(), registry.notice, list(registry.list())) == (BASE, "", [])


def test_a_promoted_version_becomes_current_and_keeps_its_manifest(
    registry: AdapterRegistry,
) -> None:
    written = publish(
        registry, "adp-1", completion_ids=("cmp-1", "cmp-2"), metrics={"gain": 0.5}, reasons=("ok",)
    )
    assert registry.current(BASE_SHA256) == "adp-1"
    assert registry.show("adp-1") == written
    assert len(written.sha256) == 64
    assert registry.verify("adp-1", BASE_SHA256).path == registry.folder / "adp-1"
    assert registry.clean_temporaries() == 0


def test_a_version_that_was_set_aside_is_listed_and_never_served(registry: AdapterRegistry) -> None:
    publish(registry, "adp-1", status=SET_ASIDE, reasons=("held-out loss rose",))
    assert ids(registry) == ["adp-1"]
    assert (registry.current(), registry.notice) == (BASE, "")
    for serve in (
        lambda: registry.verify("adp-1", BASE_SHA256),
        lambda: registry.rollback("adp-1"),
    ):
        with pytest.raises(AdapterRefused, match="gate"):
            serve()


def test_an_id_is_published_once(registry: AdapterRegistry) -> None:
    publish(registry, "adp-1")
    with pytest.raises(AdapterRefused, match="already"):
        publish(registry, "adp-1")


def test_a_rollback_goes_to_the_parent_to_a_named_version_or_to_the_base(
    registry: AdapterRegistry,
) -> None:
    publish(registry, "adp-1", created=1.0)
    publish(registry, "adp-2", parent="adp-1", created=2.0)
    assert registry.rollback() == registry.current() == "adp-1"
    assert registry.rollback() == registry.current() == BASE
    assert registry.notice == ""
    assert registry.rollback("adp-2") == registry.current() == "adp-2"
    assert registry.rollback(BASE) == registry.current() == BASE
    assert registry.rollback() == BASE


def test_a_rollback_to_nothing_changes_nothing(registry: AdapterRegistry) -> None:
    publish(registry, "adp-1")
    with pytest.raises(AdapterRefused):
        registry.rollback("adp-9")
    assert registry.current() == "adp-1"


def test_pruning_keeps_the_newest_the_current_and_its_parent(registry: AdapterRegistry) -> None:
    for number in range(1, 7):
        publish(registry, f"adp-{number}", parent=f"adp-{number - 1}", created=float(number))
    registry.rollback("adp-3")
    assert registry.prune(2) == ["adp-1", "adp-4"]
    assert ids(registry) == ["adp-2", "adp-3", "adp-5", "adp-6"]
    assert registry.rollback() == "adp-2"
    assert registry.clean_temporaries() == 0


def test_versions_that_were_refused_push_out_none_that_could_be_served(
    registry: AdapterRegistry,
) -> None:
    publish(registry, "adp-1", created=1.0)
    publish(registry, "adp-2", parent="adp-1", created=2.0)
    publish(registry, "adp-3", parent="adp-2", created=3.0)
    for number in range(4, 9):
        name = f"adp-{number}"
        publish(registry, name, parent="adp-3", created=float(number), status=SET_ASIDE)
    assert registry.prune(2) == ["adp-1", "adp-4", "adp-5", "adp-6"]
    assert [registry.rollback(), registry.rollback()] == ["adp-2", BASE]


def test_a_rollback_passes_over_ancestors_that_are_gone_or_spoilt(
    registry: AdapterRegistry,
) -> None:
    for number in range(1, 5):
        publish(registry, f"adp-{number}", parent=f"adp-{number - 1}", created=float(number))
    shutil.rmtree(registry.folder / "adp-3")
    registry._lineage.remember("adp-3", "adp-2", [])
    (registry.folder / "adp-2" / "adapter_model.safetensors").write_bytes(b"spoilt")
    assert registry.rollback() == registry.current() == "adp-1"


def test_a_version_whose_place_was_given_to_another_is_not_published(
    registry: AdapterRegistry,
) -> None:
    publish(registry, "adp-1", created=1.0)
    publish(registry, "adp-2", parent="adp-1", created=2.0)
    registry.rollback("adp-1")
    with pytest.raises(Superseded):
        publish(registry, "adp-3", parent="adp-2", created=3.0, replacing="adp-2")
    with pytest.raises(Superseded):
        publish(registry, "adp-3", parent="adp-2", created=3.0, replacing="adp-1")
    assert ids(registry) == ["adp-1", "adp-2"]
    publish(registry, "adp-3", parent="adp-1", created=3.0, replacing="adp-1")
    assert registry.current() == "adp-3"


@pytest.mark.parametrize(
    "damage", [None, b"", b"{", b"[]", b'{"id": 7}', b'{"id": "../x"}', b"\0\xff"]
)
def test_a_lost_or_damaged_pointer_falls_back_to_the_newest_promoted_version_and_says_so(
    registry: AdapterRegistry, damage: bytes | None
) -> None:
    publish(registry, "adp-1", created=1.0)
    publish(registry, "adp-2", created=2.0)
    publish(registry, "adp-3", created=3.0, status=SET_ASIDE)
    pointer = registry.folder / "current.json"
    pointer.unlink() if damage is None else pointer.write_bytes(damage)
    assert registry.current() == "adp-2"
    assert "adp-2 is used" in registry.notice


def test_a_damaged_current_version_falls_back_past_every_version_that_does_not_verify(
    registry: AdapterRegistry,
) -> None:
    publish(registry, "adp-1", created=1.0)
    publish(registry, "adp-2", created=2.0, base_sha256="c" * 64)
    publish(registry, "adp-3", created=3.0)
    weights = registry.folder / "adp-3" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x07")
    assert registry.current(BASE_SHA256) == "adp-1"
    assert "changed since" in registry.notice
    assert registry.current("d" * 64) == BASE


@pytest.mark.parametrize("position", range(0, 400, 23))
def test_a_flipped_byte_in_a_manifest_never_crashes(
    registry: AdapterRegistry, position: int
) -> None:
    publish(registry, "adp-1")
    file = registry.folder / "adp-1" / "manifest.json"
    raw = bytearray(file.read_bytes())
    raw[position % len(raw)] ^= 0x15
    file.write_bytes(raw)
    assert registry.current() in ("adp-1", BASE)
    assert ids(registry) in (["adp-1"], [])


class Killed(BaseException):
    """Stands for the end of the process."""


STEPS = [
    (adapters, "sha256_file"), (adapters, "check_content"), (adapters, "fsync_file"),
    (adapters, "fsync_folder"), (pointers, "atomic_write"), (paths, "fsync_folder"),
    (Path, "rename"), (Path, "replace"), (Path, "write_bytes"),
]  # fmt: skip


def kill_at(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int, *, after: bool
) -> None:
    """Make the ``call``-th use of ``owner.name`` the last thing that happens."""
    genuine: Callable[..., Any] = getattr(owner, name)
    calls = itertools.count()

    def step(*arguments: Any, **options: Any) -> Any:
        if next(calls) != call:
            return genuine(*arguments, **options)
        if after:
            genuine(*arguments, **options)
        raise Killed

    monkeypatch.setattr(owner, name, step)


@pytest.mark.parametrize(
    ("owner", "name"), STEPS, ids=lambda value: getattr(value, "__name__", value)
)
@pytest.mark.parametrize("after", [False, True])
def test_a_publication_killed_at_any_step_leaves_a_current_version_that_verifies(
    tmp_path: Path, owner: Any, name: str, after: bool
) -> None:
    killed = 0
    for call in itertools.count():
        registry = AdapterRegistry(tmp_path / str(call))
        publish(registry, "adp-1", created=1.0)
        temporary = write(registry.new_temporary())
        with pytest.MonkeyPatch.context() as monkeypatch:
            kill_at(monkeypatch, owner, name, call, after=after)
            try:
                registry.publish(temporary, manifest("adp-2", parent="adp-1", created=2.0))
            except Killed:
                killed += 1
            else:
                break
        current = registry.current(BASE_SHA256)
        assert (current, registry.notice) in (("adp-1", ""), ("adp-2", ""))
        assert registry.verify(current, BASE_SHA256).id == current
        registry.clean_temporaries()
        left = {entry.name for entry in registry.folder.iterdir()} - {".lock"}
        assert left in ({"adp-1", "current.json"}, {"adp-1", "adp-2", "current.json"})
    assert killed > 0


def test_temporaries_of_killed_writers_are_cleaned_and_nothing_else(
    registry: AdapterRegistry,
) -> None:
    publish(registry, "adp-1")
    write(registry.new_temporary())
    (registry.folder / ".current.json.x.tmp").write_bytes(b"{")
    (registry.folder / ".trash-1").mkdir()
    assert registry.clean_temporaries() == 3
    assert registry.current() == "adp-1"


def test_a_writer_waits_for_its_turn_and_gives_up_with_a_sentence(
    registry: AdapterRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(registry, "adp-1")
    monkeypatch.setattr(adapters, "LOCK_SECONDS", 0.0)
    with paths.locked(registry.folder / ".lock"), pytest.raises(AdapterRefused, match="try again"):
        registry.rollback(BASE)
    assert json.loads((registry.folder / "current.json").read_bytes()) == {"id": "adp-1"}
