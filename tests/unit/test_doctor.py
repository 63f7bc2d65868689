"""The doctor finds what is wrong on a machine and says how to mend it."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import pytest

from episodes_factory import episode, events_of
from falcon_lsp import doctor
from falcon_lsp.config import Config, from_client_options
from falcon_lsp.core.paths import Store
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.sandbox import runner

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", tmp_path / "cache")


def config(**settings: object) -> Config:
    made, problems = from_client_options({"engine": "fake", **settings})
    assert problems == []
    return made


def found(store: Store, **settings: object) -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.examine(config(**settings), store)}


def record(store: Store) -> None:
    with closing(Ledger(store.ledger)) as ledger:
        ledger.append(events_of(episode("cmp-1", "alpha + beta")))


def test_a_new_machine_is_in_order_and_nothing_is_created(store: Store) -> None:
    checks = found(store)
    assert [name for name, check in checks.items() if not check.ok] == []
    assert not store.data.exists()
    assert not store.cache.exists()


def test_a_used_store_is_in_order(store: Store) -> None:
    record(store)
    check = found(store)["ledger"]
    assert check.ok
    assert "1 suggestions" in check.detail


@pytest.mark.parametrize(
    ("folder", "name", "option"),
    [("data", "data folder", "--data-dir"), ("cache", "cache folder", "--cache-dir")],
)
def test_a_folder_that_is_a_file_is_found(
    store: Store, folder: str, name: str, option: str
) -> None:
    path: Path = getattr(store, folder)
    path.write_text("")
    check = found(store)[name]
    assert not check.ok
    assert str(path) in check.detail
    assert option in check.detail


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user can write everywhere"
)
def test_a_folder_without_permission_is_found(store: Store) -> None:
    store.data.mkdir(mode=0o500)
    assert not found(store)["data folder"].ok


def test_a_full_disk_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 10**9, 10**6))
    check = found(store)["disk"]
    assert not check.ok
    assert "free some space" in check.detail


def test_a_missing_package_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("no_such_package",))
    check = found(store)["package no_such_package"]
    assert not check.ok
    assert "pip install" in check.detail


@pytest.mark.parametrize(
    ("model", "advice"),
    [("default", "falcon-lsp setup"), ("nowhere", "neither the whole path of a folder nor")],
)
def test_a_model_that_is_not_here_is_found(store: Store, model: str, advice: str) -> None:
    check = found(store, engine="auto", model=model)["model"]
    assert not check.ok
    assert advice in check.detail


def test_a_damaged_ledger_is_repaired_and_told_once(store: Store) -> None:
    record(store)
    content = bytearray(store.ledger.read_bytes())
    content[:64] = bytes(64)
    store.ledger.write_bytes(content)
    check = found(store)["ledger"]
    assert not check.ok
    assert "has been repaired" in check.detail
    assert found(store)["ledger"].ok


def test_a_damaged_pointer_to_the_adapter_is_found(store: Store) -> None:
    store.adapters.mkdir(parents=True)
    (store.adapters / "current.json").write_text("{")
    check = found(store)["adapter"]
    assert not check.ok
    assert "base is used" in check.detail


def test_the_sandbox_is_tried(store: Store) -> None:
    check = found(store)["sandbox"]
    assert check.ok
    assert ("works with Landlock" in check.detail) == (not runner.unavailable_reason())


@pytest.mark.parametrize("wanted", [False, True])
def test_a_missing_sandbox_is_a_problem_only_for_who_wants_one(
    store: Store, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    monkeypatch.setattr(runner, "unavailable_reason", lambda: "there is none")
    check = found(store, sandbox={"execute": wanted})["sandbox"]
    assert check.ok is not wanted
    assert check.detail.startswith("there is none")
