"""Whatever is done in whatever order, the ledger's queue loses nothing and repeats nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from falcon_lsp.core.types import Outcome
from falcon_lsp.memory import events as ev
from falcon_lsp.memory.ledger import MAX_TRIES, Ledger
from memory_samples import place, suggested_event

LEASE = 10.0
OWNERS = st.sampled_from(["a", "b"])
IDS = st.integers(0, 7).map("c{}".format)

CRASHER = """
import os, sys
from pathlib import Path
from falcon_lsp.memory.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
jobs = ledger.lease("crashed", int(sys.argv[3]), 10.0, now=float(sys.argv[2]))
print(*[job.completion_id for job in jobs], flush=True)
os._exit(9)
"""


@dataclass
class ModelJob:
    state: str = "waiting"
    tries: int = 0
    owner: str = ""
    expires: float = 0.0


class LedgerMachine(RuleBasedStateMachine):
    """Drives a real ledger and a model of it side by side."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.ledger = Ledger(self.folder / "ledger.sqlite3")
        self.now = 0.0
        self.crashed = False
        self.event_ids: list[str] = []
        self.jobs: dict[str, ModelJob] = {}

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            shutil.rmtree(self.folder)

    @rule(completion_id=IDS, what=st.sampled_from(list(Outcome)), number=st.integers(0, 3))
    def append(self, completion_id: str, what: Outcome, number: int) -> None:
        event = ev.outcome(
            place(completion_id), what, chars_kept=1, elapsed_ms=1.0, inferred=False,
            event_id=f"{completion_id}:{what}:{number}",
        )  # fmt: skip
        batch = [suggested_event(completion_id), event]
        new = [e.event_id for e in batch if e.event_id not in self.event_ids]
        assert self.ledger.append(batch) == len(new)
        self.event_ids += new
        if event.event_id not in new or not what.final:
            return
        job = self.jobs.setdefault(completion_id, ModelJob())
        if what is Outcome.UNDONE and job.state in {"leased", "done"}:
            self.jobs[completion_id] = ModelJob()

    @rule(owner=OWNERS, limit=st.integers(1, 4))
    def lease(self, owner: str, limit: int) -> None:
        expected = self._model_lease(owner, limit)
        found = self.ledger.lease(owner, limit, LEASE, now=self.now)
        assert [job.completion_id for job in found] == expected
        assert [job.tries for job in found] == [self.jobs[key].tries for key in expected]

    def _model_lease(self, owner: str, limit: int) -> list[str]:
        for job in self.jobs.values():
            if job.state == "leased" and job.expires <= self.now:
                job.state, job.owner = "waiting" if job.tries < MAX_TRIES else "set_aside", ""
        taken = [key for key, job in self.jobs.items() if job.state == "waiting"][:limit]
        for key in taken:
            tries = self.jobs[key].tries + 1
            self.jobs[key] = ModelJob("leased", tries, owner, self.now + LEASE)
        return taken

    @rule(owner=OWNERS, ids=st.sets(IDS, max_size=3))
    def ack(self, owner: str, ids: set[str]) -> None:
        held = [key for key in ids if key in self.jobs and self.jobs[key].owner == owner]
        assert self.ledger.ack(owner, dict.fromkeys(ids, "trained:x")) == len(held)
        for key in held:
            self.jobs[key].state, self.jobs[key].owner = "done", ""

    @rule(owner=OWNERS, ids=st.sets(IDS, max_size=3), error=st.sampled_from(["", "it broke"]))
    def release(self, owner: str, ids: set[str], error: str) -> None:
        self.ledger.release(owner, ids, error)
        for key in ids:
            job = self.jobs.get(key)
            if job is not None and job.owner == owner:
                failed = error and job.tries >= MAX_TRIES
                tries = job.tries if error else job.tries - 1
                self.jobs[key] = ModelJob("set_aside" if failed else "waiting", tries)

    @rule(seconds=st.sampled_from([1.0, 5.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(self.folder / "ledger.sqlite3")
        assert self.ledger.salvage is None

    @precondition(lambda self: not self.crashed and self.jobs)
    @rule(limit=st.integers(1, 3))
    def crash_while_leasing(self, limit: int) -> None:
        """Another process takes jobs and dies with the file open."""
        self.crashed = True  # once an example: a process takes longer than all else together
        expected = self._model_lease("crashed", limit)
        done = subprocess.run(
            [sys.executable, "-c", CRASHER, str(self.ledger.path), str(self.now), str(limit)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 9, done.stderr
        assert done.stdout.split() == expected

    @invariant()
    def the_ledger_agrees_with_the_model(self) -> None:
        if not hasattr(self, "ledger"):
            return
        assert [event.event_id for _, event in self.ledger.events()] == self.event_ids
        counts = self.ledger.counts()
        for state in ("waiting", "leased", "done", "set_aside"):
            assert counts[state] == sum(job.state == state for job in self.jobs.values())
        free = [
            job
            for job in self.jobs.values()
            if job.state == "waiting" or (job.state == "leased" and job.expires <= self.now)
        ]
        assert self.ledger.pending(now=self.now) == len(free)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=100,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
