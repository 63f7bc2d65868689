"""The extension's settings are the server's options, neither more nor less."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from falcon_lsp import config

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "settings_schema.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("settings_schema", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def manifest() -> dict[str, Any]:
    return json.loads((ROOT / "package.json").read_text(encoding="utf-8"))


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["settings_schema.py", *arguments])
    return script.main()


def test_package_json_declares_exactly_the_options_of_the_server(manifest):
    declared: dict[str, Any] = {}
    for group in manifest["contributes"]["configuration"]:
        declared |= group["properties"]
    assert declared == config.schema()


def test_every_option_stands_in_one_group(manifest):
    groups = [group["properties"] for group in manifest["contributes"]["configuration"]]
    assert sum(map(len, groups)) == len(config.options())


def test_check_accepts_package_json_as_it_is(script, monkeypatch):
    assert run(script, monkeypatch, "--check") == 0


def test_check_finds_a_changed_default_and_leaves_the_file_alone(
    script, manifest, monkeypatch, tmp_path, capsys
):
    manifest["contributes"]["configuration"][0]["properties"]["falcon.enable"]["default"] = False
    text = json.dumps(manifest)
    copy = tmp_path / "package.json"
    copy.write_text(text)
    monkeypatch.setattr(script, "MANIFEST", copy)
    assert run(script, monkeypatch, "--check") == 1
    assert "out of date" in capsys.readouterr().out
    assert copy.read_text() == text


def test_writing_brings_the_file_up_to_date_and_keeps_the_rest(
    script, manifest, monkeypatch, tmp_path
):
    copy = tmp_path / "package.json"
    emptied = json.loads(json.dumps(manifest))
    emptied["contributes"]["configuration"] = []
    emptied["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"] = []
    copy.write_text(json.dumps(emptied))
    monkeypatch.setattr(script, "MANIFEST", copy)
    assert run(script, monkeypatch) == 0
    assert copy.read_text(encoding="utf-8") == (ROOT / "package.json").read_text(encoding="utf-8")
