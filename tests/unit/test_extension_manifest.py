"""What package.json promises, the extension's sources keep, and the other way round."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

import falcon_lsp
from falcon_lsp import config

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "extension" / "src").glob("*.ts"))
SERVER_COMMANDS = {"falcon.accepted"}
CONTEXT_KEYS = {"falcon.offering", "falcon.missing"}
VIEWS = {"falcon.welcome"}
UI_IDS = {"falcon.status", "falcon.report"}
"""The status bar item and the tab of the report."""


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return json.loads((ROOT / "package.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def source() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)


def contributed(manifest: dict[str, Any]) -> set[str]:
    return {command["command"] for command in manifest["contributes"]["commands"]}


def test_every_command_that_is_registered_is_contributed_and_the_other_way_round(manifest, source):
    named = set(re.findall(r'registerCommand\("([^"]+)"', source))
    constants = dict(re.findall(r'export const (\w+) = "(falcon\.\w+)"', source))
    named |= {constants[name] for name in re.findall(r"registerCommand\(([A-Z_]+),", source)}
    assert named == contributed(manifest)


def test_every_command_that_is_run_is_vscodes(source):
    run = re.findall(r'"((?:editor|workbench)\.action\.[\w.]+)"', source)
    known = {
        "editor.action.inlineSuggest.hide",
        "editor.action.inlineSuggest.acceptNextWord",
        "editor.action.inlineSuggest.acceptNextLine",
        "editor.action.inlineSuggest.showNext",
        "editor.action.inlineSuggest.showPrevious",
        "editor.action.inlineSuggest.trigger",
        "workbench.action.openSettings",
    }
    assert set(run) == known


def test_every_other_name_below_falcon_is_an_option_or_known(manifest, source):
    names = set(re.findall(r'"(falcon\.[\w.]+)"', source))
    options = set(config.schema())
    known = contributed(manifest) | SERVER_COMMANDS | CONTEXT_KEYS | VIEWS | UI_IDS
    others = names - known
    assert {name for name in others if not name.endswith(".")} <= options


ON_OWN_GHOST_TEXT = {
    "inlineSuggestionVisible",
    "editorTextFocus",
    "!suggestWidgetVisible",
    "!editorReadonly",
    "falcon.offering",
}
WITHOUT_ANY = {"editorTextFocus", "!editorHasSelection", "!inlineSuggestionVisible"}
WITHOUT_ANY |= {"!editorReadonly"}
ALSO_BY_NAME = {"falcon.neverSuggest", "falcon.suggest"}
"""Commands with a key that make sense without one."""


def test_keys_run_contributed_commands_and_only_on_ghost_text_of_our_own(manifest):
    bindings = manifest["contributes"]["keybindings"]
    assert {binding["command"] for binding in bindings} <= contributed(manifest)
    for binding in bindings:
        asks = binding["command"] == "falcon.suggest"
        clauses = set(binding["when"].split(" && "))
        assert clauses == (WITHOUT_ANY if asks else ON_OWN_GHOST_TEXT)


def test_no_key_has_two_meanings_at_one_time(manifest):
    keys = [(binding["key"], binding["when"]) for binding in manifest["contributes"]["keybindings"]]
    assert len(set(keys)) == len(keys)


def test_commands_that_only_keys_can_run_are_not_in_the_palette(manifest):
    hidden = {entry["command"] for entry in manifest["contributes"]["menus"]["commandPalette"]}
    keyed = {binding["command"] for binding in manifest["contributes"]["keybindings"]}
    assert hidden == keyed - ALSO_BY_NAME


def test_an_untrusted_workspace_can_set_no_machine_option(manifest):
    trust = manifest["capabilities"]["untrustedWorkspaces"]
    machine = {f"falcon.{leaf.key}" for leaf in config.options() if leaf.scope == "machine"}
    assert trust["supported"] == "limited"
    assert set(trust["restrictedConfigurations"]) == machine


def test_the_extension_is_activated_by_the_default_languages(manifest):
    languages = config.Config().languages
    assert manifest["activationEvents"] == [f"onLanguage:{language}" for language in languages]


def test_extension_and_server_have_one_version(manifest):
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    assert manifest["version"] == lock["version"] == falcon_lsp.__version__


def test_the_types_are_those_of_the_oldest_editor_that_is_promised(manifest):
    oldest = manifest["engines"]["vscode"].removeprefix("^")
    assert manifest["devDependencies"]["@types/vscode"] == oldest


def test_the_lockfile_names_no_registry():
    text = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text
    assert "registry" not in text


def test_what_the_first_minute_shows_is_there(manifest):
    (walkthrough,) = manifest["contributes"]["walkthroughs"]
    welcome = json.dumps(manifest["contributes"]["viewsWelcome"])
    linked = re.findall(r"command:(falcon\.\w+)", json.dumps(walkthrough) + welcome)
    assert set(linked) <= contributed(manifest)
    pictures = [ROOT / step["media"]["image"] for step in walkthrough["steps"]]
    assert [picture.name for picture in pictures if not picture.is_file()] == []
    assert {view["id"] for view in manifest["contributes"]["views"]["explorer"]} == VIEWS


def test_the_icon_is_128_pixels_square(manifest):
    data = (ROOT / manifest["icon"]).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (128, 128)


def test_only_two_modules_import_the_editors_api_at_run_time():
    statement = re.compile(r'^import (type )?[^;]*?from "vscode[^"]*";', re.MULTILINE)
    importing = {
        path.name
        for path in SOURCES
        for found in statement.finditer(path.read_text(encoding="utf-8"))
        if not found[1]
    }
    assert importing == {"vscodeapi.ts", "languageclient.ts"}


def test_the_readme_names_every_key_as_the_manifest_has_it(manifest):
    readme = (ROOT / "extension" / "README.md").read_text(encoding="utf-8").lower()
    for binding in manifest["contributes"]["keybindings"]:
        for key in filter(None, (binding["key"], binding.get("mac"))):
            assert key in readme.replace("\\\\", "\\")


def test_the_readme_shows_pictures_of_the_media_folder_alone(manifest):
    readme = (ROOT / "extension" / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", readme)
    assert pictures
    assert all(re.fullmatch(r"media/[\w-]+\.png", picture) for picture in pictures)


def test_what_goes_into_the_package_is_listed_and_its_texts_are_the_extensions_own(manifest):
    listed = (ROOT / ".vscodeignore").read_text(encoding="utf-8").split()
    assert listed[0] == "**"  # nothing goes by itself
    for name in ("README.md", "CHANGELOG.md"):
        assert f"!extension/{name}" in listed
        assert f"extension/{name}" in manifest["scripts"]["package"]


def test_where_it_cannot_run_is_said(manifest):
    assert manifest["extensionKind"] == ["workspace"]
    assert "browser" not in manifest
    assert manifest["capabilities"]["virtualWorkspaces"]["supported"] is False
