"""The supervisor with stand-in workers: when they start, what is heard, what a failure does."""

from __future__ import annotations

import dataclasses
import json
import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from falcon_lsp.config import Config, SandboxOptions, from_client_options
from falcon_lsp.core.paths import Store
from falcon_lsp.learning.background.supervisor import MOST_FAILURES, TrainingSupervisor

SAY = "import json, sys; say = lambda **e: print(json.dumps(e), flush=True);"
WAIT_FOR_END = "say(event='ready'); sys.stdin.read(); say(event='left')"


class Bench:
    """A supervisor whose worker is a line of Python, and the events it told."""

    def __init__(self, folder: Path, script: str, pending: int = 9, **options: Any) -> None:
        self.heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self.pending = pending
        self.config, problems = from_client_options(
            {"learning": {"batchEpisodes": 8, "idleSeconds": 0, **options}}
        )
        assert problems == []
        self.supervisor = TrainingSupervisor(
            Store(folder / "data", folder / "cache"),
            self._config,
            lambda: self.pending,
            self.heard.put,
            command=(sys.executable, "-c", SAY + script),
            first_backoff=0.01,
            rest=0.01,
        )

    def _config(self) -> Config:
        return self.config

    def next(self) -> dict[str, Any]:
        return self.heard.get(timeout=20)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    made: list[Bench] = []

    def make(script: str, **options: Any) -> Bench:
        made.append(Bench(tmp_path, script, **options))
        return made[-1]

    yield make
    for one in made:
        one.supervisor.close()


def test_what_the_worker_says_is_passed_on_and_noise_is_not(bench) -> None:
    one = bench("print('noise'); print('[1]'); say(event='promoted', adapter_id='adp-1')")
    one.supervisor.request("test")
    assert one.next() == {"event": "promoted", "adapter_id": "adp-1"}
    assert one.supervisor.status()["last"]["event"] == "promoted"
    assert one.supervisor.status()["paused"] == ""


@pytest.mark.parametrize(
    ("name", "set_by_user", "heard"),
    [
        ("OMP_WAIT_POLICY", None, "passive"),
        ("OMP_WAIT_POLICY", "active", "active"),
        ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None, "48"),
        ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024", "1024"),
    ],
)
def test_the_trainer_waits_and_remembers_as_little_as_the_user_lets_it(
    bench, monkeypatch, name, set_by_user, heard
) -> None:
    monkeypatch.delenv(name, raising=False)
    if set_by_user is not None:
        monkeypatch.setenv(name, set_by_user)
    one = bench(f"import os; say(event='told', value=os.environ[{name!r}])")
    one.supervisor.request("test")
    assert one.next() == {"event": "told", "value": heard}


@pytest.mark.parametrize(("pending", "options"), [(3, {}), (9, {"enable": False})])
def test_nothing_starts_without_enough_episodes_and_consent(bench, pending, options) -> None:
    one = bench("say(event='started')", pending=pending, **options)
    one.supervisor.request("test")
    assert one.supervisor._queue.wait_idle(10)
    assert one.heard.empty()


def test_training_waits_for_quiet_unless_it_is_asked_for(bench) -> None:
    one = bench("say(event='started')", idleSeconds=3600)
    one.supervisor.touch()
    one.supervisor.request("test")
    assert not one.supervisor._queue.wait_idle(0.2)
    assert one.heard.empty()
    assert "has started" in one.supervisor.train_now()
    assert one.next()["event"] == "started"


def test_closing_ends_the_wait_for_quiet(bench) -> None:
    one = bench("say(event='started')", idleSeconds=3600)
    one.supervisor.request("test")
    one.supervisor.close()
    assert one.supervisor._queue.wait_idle(10)
    assert one.heard.empty()


def test_the_worker_gets_the_folders_and_the_settings(bench, tmp_path) -> None:
    wanted = {"threads": 3, "leastBattery": 40, "objective": "on-policy"}
    one = bench("say(event='arguments', given=sys.argv[1:])", **wanted)
    one.supervisor.request("test")
    given = one.next()["given"]
    assert given[:4] == [
        "--data-dir", str(tmp_path / "data"), "--cache-dir", str(tmp_path / "cache"),
    ]  # fmt: skip
    config, problems = from_client_options(json.loads(given[given.index("--options") + 1]))
    assert problems == []
    assert (config.learning.batch_episodes, config.learning.threads) == (8, 3)
    assert config.learning.least_battery == 40
    assert config.learning.objective == "on-policy"
    assert "--supervised" in given


def test_the_worker_hears_whether_tests_may_be_run(bench) -> None:
    one = bench("say(event='arguments', given=sys.argv[1:])")
    wanted = SandboxOptions(execute=True, interpreter="/usr/bin/python3")
    one.config = dataclasses.replace(one.config, sandbox=wanted)
    one.supervisor.request("test")
    given = one.next()["given"]
    config, problems = from_client_options(json.loads(given[given.index("--options") + 1]))
    assert problems == []
    assert config.sandbox == wanted


def test_only_one_worker_runs(bench) -> None:
    one = bench(WAIT_FOR_END)
    one.supervisor.request("test")
    assert one.next()["event"] == "ready"
    one.supervisor.request("test")
    assert one.supervisor.running
    assert "running already" in one.supervisor.train_now()
    assert len(children(one)) == 1


def test_closing_lets_the_worker_leave_by_itself(bench) -> None:
    one = bench(WAIT_FOR_END)
    one.supervisor.request("test")
    one.next()
    one.supervisor.close()
    assert one.next()["event"] == "left"
    assert not one.supervisor.running
    assert children(one) == []


def test_a_worker_that_is_halted_leaves_and_may_come_again(bench) -> None:
    one = bench(WAIT_FOR_END)
    one.supervisor.request("test")
    one.next()
    one.supervisor.halt()
    assert one.next()["event"] == "left"
    one.supervisor.request("test")
    assert one.next()["event"] == "ready"


def test_repeated_failure_pauses_until_asked(bench) -> None:
    one = bench("say(event='error', reason='no model'); sys.exit(1)")
    one.supervisor.request("test")
    told = [one.next() for _ in range(2 * MOST_FAILURES)]
    assert [event["event"] for event in told] == ["error", "failed"] * 2 + ["error", "paused"]
    assert "no model" in told[-1]["reason"]
    assert one.supervisor.paused
    one.supervisor.request("test")
    assert one.heard.empty()
    assert "has started" in one.supervisor.train_now()
    assert one.next()["event"] == "error"


def test_a_failed_worker_is_started_again_and_success_clears_the_count(bench, tmp_path) -> None:
    flag = tmp_path / "flag"
    one = bench(
        f"import os; p = {str(flag)!r}; first = not os.path.exists(p); open(p, 'w').close();"
        "say(event='run'); sys.exit(1 if first else 0)"
    )
    one.supervisor.request("test")
    assert [one.next()["event"] for _ in range(3)] == ["run", "failed", "run"]
    assert one.supervisor._queue.wait_idle(10)
    assert one.supervisor.failures == 0
    assert one.heard.empty()


@pytest.mark.parametrize(
    ("pending", "options", "answer"),
    [
        (3, {}, "Not enough to learn from yet: 3 of 8 episodes."),
        (9, {"enable": False}, "switched off"),
        (9, {}, "Training on 9 episodes has started."),
    ],
)
def test_training_on_request_answers_in_a_sentence(bench, pending, options, answer) -> None:
    assert answer in bench("pass", pending=pending, **options).supervisor.train_now()


@pytest.mark.parametrize(("asked", "least"), [(True, "8"), (False, "16")])
def test_who_asks_need_not_wait_for_a_whole_batch(bench, asked, least) -> None:
    one = bench("say(event='arguments', given=sys.argv[1:])", pending=20, batchEpisodes=16)
    one.supervisor.train_now() if asked else one.supervisor.request("test")
    given = one.next()["given"]
    assert given[given.index("--least") + 1] == least
    options = json.loads(given[given.index("--options") + 1])
    assert options["learning.batchEpisodes"] == 16


def test_what_was_asked_for_goes_on_in_the_next_slice(bench, tmp_path) -> None:
    flag = tmp_path / "flag"
    one = bench(
        f"import os; p = {str(flag)!r}; first = not os.path.exists(p); open(p, 'w').close();"
        "say(event='slice_over' if first else 'done')",
        batchEpisodes=64,
    )
    one.supervisor.train_now()
    assert [one.next()["event"] for _ in range(2)] == ["slice_over", "done"]


def test_a_slice_is_followed_by_the_next_until_the_update_is_done(bench, tmp_path) -> None:
    flag = tmp_path / "flag"
    one = bench(
        f"import os; p = {str(flag)!r}; first = not os.path.exists(p); open(p, 'w').close();"
        "say(event='slice_over' if first else 'done')"
    )
    one.supervisor.request("test")
    assert [one.next()["event"] for _ in range(2)] == ["slice_over", "done"]
    assert one.supervisor._queue.wait_idle(10)
    assert one.heard.empty()


def test_the_state_says_why_training_holds(bench) -> None:
    one = bench("say(event='phase', phase='training'); say(event='held', reason='on battery');"
                "sys.stdin.read()")  # fmt: skip
    one.pending = 3
    assert one.supervisor.state() == "waiting for 5 more episodes"
    one.pending = 9
    assert one.supervisor.state() == "waiting for quiet"
    one.supervisor.request("test")
    assert [one.next()["event"] for _ in range(2)] == ["phase", "held"]
    assert one.supervisor.status()["state"] == "paused: on battery"


def test_a_listener_that_fails_does_not_stop_training(bench, tmp_path) -> None:
    one = bench("say(event='a'); say(event='b')")
    one.supervisor._on_event = lambda event: one.heard.put(event) or 1 / 0
    one.supervisor.request("test")
    assert [one.next()["event"], one.next()["event"]] == ["a", "b"]


def test_importing_the_supervisor_loads_nothing_heavy() -> None:
    script = (
        "import sys, falcon_lsp.learning.background.supervisor;"
        "print([m for m in ('torch', 'transformers', 'peft', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def children(one: Bench) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "--supervised" in child.cmdline()
    ]
