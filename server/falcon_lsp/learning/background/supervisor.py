"""Runs the trainer beside the editor: when there is enough to learn from, and nobody is typing.

The server's side of a two-process protocol. The worker (`falcon_lsp.learning.background.worker`)
writes one JSON object per line to its standard output; a closed standard input tells it to leave,
so it also leaves when the server dies. Nothing heavy is imported here.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from falcon_lsp.config import Config
from falcon_lsp.core.op_queue import OpQueue
from falcon_lsp.core.paths import Store
from falcon_lsp.learning.background.standing import Standing
from falcon_lsp.learning.rewards.judge import judge_host

logger = logging.getLogger(__name__)

OnEvent = Callable[[dict[str, Any]], None]
LEAST_EPISODES = 8
"""Fewer leave too little to train on beside what the gate holds out; no setting is below it."""
MOST_FAILURES = 3
FIRST_BACKOFF = 30.0
GRACE = 10.0
"""Seconds that a worker gets to put its batch back before it is killed."""
REST = 60.0
"""Seconds between two slices of training."""
_RESTING = {"OMP_WAIT_POLICY": "passive", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "48"}
"""How training waits and what it keeps, unless the user says otherwise.

OpenMP's threads sleep when they wait for each other: where other programs are at work, threads that
spin instead burn what they were to save. And oneDNN, which compiles a kernel for each length that
it meets, keeps as many as one pass needs, not a thousand: those took 230 MB after three steps, and
hardly any length comes again.
"""


class TrainingSupervisor:
    """At most one worker; what is asked for meanwhile collapses into one more look at the queue.

    ``pending`` counts finished episodes that nobody has trained on. ``on_event`` is called on a
    background thread with what the worker says, and with ``{"event": "paused" | "failed", ...}``.
    ``rest`` is how many seconds lie between two slices of an update that takes long.
    """

    def __init__(
        self,
        store: Store,
        config_getter: Callable[[], Config],
        pending: Callable[[], int],
        on_event: OnEvent,
        *,
        command: Sequence[str] = (
            sys.executable,
            "-P",
            "-m",
            "falcon_lsp.learning.background.worker",
        ),
        first_backoff: float = FIRST_BACKOFF,
        rest: float = REST,
    ) -> None:
        self._store, self._config, self._pending = store, config_getter, pending
        self._on_event, self._command = on_event, tuple(command)
        self._first_backoff, self._rest = first_backoff, rest
        self._queue = OpQueue("falcon-training", self._work)
        self._wake = threading.Condition()
        self._closed = False
        self._last_activity = time.monotonic()
        self._asked = False
        self._reason = ""
        self._child: subprocess.Popen[str] | None = None
        self._standing = Standing()
        self.failures = 0
        self.paused = ""
        self.last: dict[str, Any] = {}

    @property
    def running(self) -> bool:
        """Whether a worker is at work now."""
        return self._child is not None

    def touch(self) -> None:
        """Note that the developer did something: training waits for a quiet moment."""
        self._last_activity = time.monotonic()

    def request(self, reason: str) -> None:
        """Train at the next quiet moment if there is enough to learn from; returns at once."""
        if not self.paused and self._enough(self._least(asked=False)):
            self._queue.request(reason)

    def train_now(self) -> str:
        """Train without waiting for quiet, or for a whole batch, also after a pause.

        Returns a sentence for the user.
        """
        options, pending = self._config().learning, self._pending()
        if not options.enable:
            return "Learning is switched off (falcon.learning.enable)."
        if self._config().engine == "fake":
            return "The fake engine has no weights to train (falcon.engine)."
        if self.running:
            return "Training is running already."
        if pending < LEAST_EPISODES:
            return f"Not enough to learn from yet: {pending} of {LEAST_EPISODES} episodes."
        self.failures, self.paused = 0, ""
        with self._wake:
            self._asked = True
            self._wake.notify_all()
        self._queue.request("asked for")
        return f"Training on {pending} episodes has started."

    def status(self) -> dict[str, Any]:
        """Return what a status view shows, as plain JSON."""
        return {
            "running": self.running,
            "state": self.state(),
            "pending": self._pending(),
            "paused": self.paused,
            "failures": self.failures,
            "judge": judge_host(self._config().judge_server),
            "last": self.last,
        }

    def state(self) -> str:
        """Return how training stands, in a few words such as ``paused: on battery``."""
        if self.paused:
            return f"paused: {self.paused}"
        if self.running:
            return self._standing.words
        missing = self._config().learning.batch_episodes - self._pending()
        return f"waiting for {missing} more episodes" if missing > 0 else "waiting for quiet"

    def halt(self) -> None:
        """Tell the worker, if one is at work, to put its batch back and leave; returns at once."""
        with self._wake:
            if self._child is not None and self._child.stdin is not None:
                self._child.stdin.close()

    def close(self) -> None:
        """Stop the worker (it puts its batch back) and start no other."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._stop_child()
        self._queue.close(GRACE)

    def _enough(self, least: int) -> bool:
        config = self._config()
        trainable = config.learning.enable and config.engine != "fake"
        return trainable and self._pending() >= least

    def _least(self, *, asked: bool) -> int:
        """Return how many episodes an update needs: fewer for who has asked for it."""
        return LEAST_EPISODES if asked else self._config().learning.batch_episodes

    def _work(self, reason: str) -> None:
        """Run workers until one has emptied the queue, training is paused, or we close."""
        logger.info("training: %s", reason)
        asked = False
        while self._wait_for_quiet():
            with self._wake:
                asked, self._asked = asked or self._asked, False
            least = self._least(asked=asked)
            if self.paused or not self._enough(least):
                return
            code = self._run_worker(least)
            if code == 0 or self._closed:
                self.failures = 0
                if self.last.get("event") != "slice_over":
                    return
                self._sleep(self._rest)
                continue
            self._failed(code)
            if self.paused:
                return
            self._sleep(self._first_backoff * 2 ** (self.failures - 1))

    def _failed(self, code: int) -> None:
        self.failures += 1
        logger.warning("the trainer ended with %d (%d in a row)", code, self.failures)
        if self.failures >= MOST_FAILURES:
            why = f": {self._reason}" if self._reason else ""
            self.paused = f"training failed {self.failures} times in a row and is paused{why}"
            self._tell({"event": "paused", "reason": self.paused})
        else:
            self._tell({"event": "failed", "code": code, "failures": self.failures})

    def _run_worker(self, least: int) -> int:
        """Start one worker that trains while ``least`` episodes wait; return its exit code."""
        config = self._config()
        self._standing = Standing()
        with self._wake:
            if self._closed:
                return 0
            self._child = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [*self._command, *_arguments(self._store, config, least)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=training_environment(),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            child = self._child
        try:
            assert child.stdout is not None  # noqa: S101 - for the type checker: we asked for a pipe
            for line in child.stdout:
                self._hear(line)
            return child.wait()
        finally:
            with self._wake:
                self._child = None
            _close_pipes(child)

    def _hear(self, line: str) -> None:
        """Pass on one line of the worker; anything that is not our protocol is dropped."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            self._reason = str(event.get("reason", "")) if event["event"] == "error" else ""
            self._standing.hear(event)
            self._tell(event)

    def _tell(self, event: dict[str, Any]) -> None:
        self.last = event
        try:
            self._on_event(event)
        except Exception:
            logger.exception("a listener of training events failed")

    def _stop_child(self) -> None:
        with self._wake:
            child = self._child
        if child is None:
            return
        self.halt()
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _wait_for_quiet(self) -> bool:
        """Wait until nobody has typed for long enough, or somebody asks; False once closed."""
        while not self._closed and not self._asked:
            quiet = time.monotonic() - self._last_activity
            missing = self._config().learning.idle_seconds - quiet
            if missing <= 0.0:
                break
            self._sleep(missing)
        return not self._closed

    def _sleep(self, seconds: float) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._asked, seconds)


def training_environment() -> dict[str, str]:
    """Return the variables with which a process that trains begins: ours below the user's."""
    return {**_RESTING, **os.environ}


def _arguments(store: Store, config: Config, least: int) -> list[str]:
    """Return the worker's command line; it reads the same options as the server."""
    options = {
        "model": config.model,
        "learning.batchEpisodes": config.learning.batch_episodes,
        "learning.threads": config.learning.threads,
        "learning.leastBattery": config.learning.least_battery,
        "learning.mostBusy": config.learning.most_busy,
        "learning.objective": config.learning.objective,
        "learning.keepAdapters": config.learning.keep_adapters,
        "judgeServer": config.judge_server,
        "judgeModel": config.judge_model,
        "sandbox.execute": config.sandbox.execute,
        "sandbox.interpreter": config.sandbox.interpreter,
    }
    folders = ["--data-dir", str(store.data), "--cache-dir", str(store.cache)]
    wanted = ["--least", str(least), "--options", json.dumps(options)]
    return [*folders, *wanted, "--supervised"]


def _close_pipes(child: subprocess.Popen[str]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
