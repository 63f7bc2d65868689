"""A scripted repository is replayed through real servers with the fake engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from falcon_lsp.core.types import Outcome
from falcon_lsp.lsp.client import LspClient
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.replay import runner
from falcon_lsp.replay.errors import ReplayError
from falcon_lsp.replay.git import Git
from falcon_lsp.replay.scratch import Scratch
from falcon_lsp.replay.sources import History
from replay_samples import Made, repository

FIGURES = {
    "shown", "accepted", "acceptance", "exact_lines", "kept_chars", "edit_similarity",
    "p50_ms", "p95_ms",
}  # fmt: skip


def canary(commit: int) -> str:
    return f"canary_{commit}_bird"


def scripted(commits: int = 4) -> list[Made]:
    """Every commit adds a file that much repeats, and lines to a file that is there, and merges."""
    history = [Made({"log.py": "def log(text):\n    print(text)\n"})]
    body = "def price_{n}(items):\n    log(items)\n    {bird} = sum(items)\n    return {bird}\n"
    log = "def log(text):\n    print(text)\n"
    for n in range(2, commits + 1):
        log += f"\n\ndef log_{n}(text):\n    log(text + {canary(n)!r})\n"
        files = {f"shop/part_{n}.py": body.format(n=n, bird=canary(n)), "log.py": log}
        history.append(Made(files))
    return history


@contextmanager
def replayed(repo: Path, cache: Path, progress: Any = None) -> Iterator[runner.Result]:
    options = runner.Options(cache, 3.0, 1, ("engine=fake",))
    with (
        Git(repo) as opened,
        runner.replayed(History(opened), options, progress or (lambda *_: None)) as result,
    ):
        yield result


def recorded(store: Path) -> list[Outcome | None]:
    with closing(Ledger(store / "ledger.sqlite3")) as ledger:
        return [episode.outcome for episode in ledger.episodes()]


def falcon_replay(repo: Path, store: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "falcon_lsp", "replay", str(repo), *arguments]
    command += ["--set", "engine=fake", "--data-dir", str(store / "d"), "--cache-dir", str(store)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def test_no_later_line_reaches_a_server_and_only_one_arm_learns(tmp_path, monkeypatch):
    """Everything is noted that is sent, and all that lies in the folder, with the step it was."""
    repo = repository(tmp_path / "repo", scripted())
    now, sent, lying, keys = [0], [], [], []
    send, show = LspClient._send, Scratch.show

    def noting_send(client: LspClient, message: dict[str, Any]) -> None:
        sent.append((now[0], json.dumps(message)))
        changes = message["params"].get("contentChanges", ()) if message.get("params") else ()
        keys.extend(change["text"] for change in changes)
        send(client, message)

    def noting_show(scratch: Scratch, step: int) -> None:
        show(scratch, step)
        now[0] = step + 1
        files = [file for file in scratch.root.rglob("*") if file.is_file()]
        lying.append((now[0], "".join(file.read_text() for file in files)))

    monkeypatch.setattr(LspClient, "_send", noting_send)
    monkeypatch.setattr(Scratch, "show", noting_show)
    with replayed(repo, tmp_path / "cache") as result:
        outcomes = {
            arm: recorded(result.learned_store.parent / arm) for arm in result.figures["arms"]
        }
    assert [step for step, _ in lying] == [1, 2, 3, 4]
    birds = re.compile(r"canary_(\d)_b")
    assert all(int(bird) < step for step, text in lying for bird in birds.findall(text))
    assert all(int(bird) <= step for step, text in sent for bird in birds.findall(text))
    assert {int(b) for _, text in lying for b in birds.findall(text)} == {2, 3}
    assert canary(4) in "".join(keys)
    assert outcomes["frozen"] == []
    assert outcomes["learned"]
    assert not (tmp_path / "cache" / "replay").exists() or not any(
        (tmp_path / "cache" / "replay").iterdir()
    )


def test_json_ends_with_one_line_and_learn_fills_the_users_store(tmp_path):
    repo = repository(tmp_path / "repo", scripted(3))
    done = falcon_replay(repo, tmp_path, "--history", "--budget", "4", "--json", "--learn")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    body = json.loads(line)
    assert set(body) == {"arms", "relative", "interval"}
    assert all(set(figures) == FIGURES for figures in body["arms"].values())
    assert body["arms"]["frozen"]["p50_ms"] > 0
    with closing(Ledger(tmp_path / "d" / "ledger.sqlite3")) as ledger:
        episodes = ledger.episodes()
    assert episodes
    assert {episode.workspace for episode in episodes} == {repo.resolve().as_uri()}
    assert {episode.path for episode in episodes} <= {"log.py", "shop/part_2.py", "shop/part_3.py"}


def end_a_server() -> None:
    servers = [each for each in psutil.Process().children() if "serve" in each.cmdline()]
    servers[0].kill()


def interrupt() -> None:
    raise KeyboardInterrupt


@contextmanager
def stopped_in(step: int, stop: Callable[[], None], repo: Path, cache: Path) -> Iterator[Path]:
    """Replay until ``stop`` is called in a step (from 1); yields the state that is left."""

    def progress(_message: str, _share: float) -> None:
        state = next((cache / "replay").glob("*/state.json"), None)
        if state and json.loads(state.read_text())["begun"] == step:
            stop()

    with pytest.raises((KeyboardInterrupt, ReplayError)), replayed(repo, cache, progress):
        pass
    (left,) = (cache / "replay").glob("*/state.json")
    yield left


def test_after_a_crash_or_an_interrupt_the_same_command_goes_on(tmp_path):
    """Nothing is typed twice: what had begun when it stopped is left out."""
    repo = repository(tmp_path / "repo", scripted())
    with stopped_in(2, end_a_server, repo, tmp_path) as state:
        assert len(json.loads(state.read_text())["pairs"]) == 1
    with stopped_in(3, interrupt, repo, tmp_path) as state:
        assert len(json.loads(state.read_text())["pairs"]) == 1
        before = recorded(state.parent / "learned")
    with replayed(repo, tmp_path) as result:
        assert result.steps == 2  # the first and the last
        assert len(recorded(result.learned_store)) >= len(before)
        assert json.loads(state.read_text())["begun"] == 4
    assert not state.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--history"], "is not in a git repository"),
        ([], "holds no Python, JavaScript or TypeScript"),
        (["--budget", "0"], "must be more than 0"),
        (["--set", "nonsense=1"], "there is no option nonsense"),
    ],
)
def test_what_cannot_be_replayed_is_one_sentence(tmp_path, arguments, sentence):
    (tmp_path / "empty").mkdir()
    done = falcon_replay(tmp_path / "empty", tmp_path, *arguments)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
