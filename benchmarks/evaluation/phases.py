"""One project and one seed of the proof that learning pays: practice, training, examination.

The three follow each other in the project's time. *Practice*: a server that learns at once types a
stretch of the history, and its ledger records. *Training*: the ordinary trainer learns from that
ledger, and the gate judges. *Examination*: four arms type what comes after the last commit of the
practice, and differ only in what of its store they begin with. All that a phase leaves lies in one
folder; a run that was killed goes on there.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falcon_lsp.core.paths import Store, atomic_write
from falcon_lsp.learning.background import standing
from falcon_lsp.learning.judging.verdicts import VerdictLog
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import BASE, GLOBAL, AdapterRegistry, scope_of
from falcon_lsp.replay import runner
from falcon_lsp.replay.arm import FROZEN, LEARNED, Terms
from falcon_lsp.replay.sampling import STEPS_PER_MINUTE, Stretch
from falcon_lsp.replay.sources import Source
from falcon_lsp.replay.state import State

ARMS = ("frozen", "instant", "slow", "both")
WITHOUT_VERSION = {"slow": "frozen", "both": "instant"}
"""What an arm is when the gate let nothing through: typed once, it counts for both."""

NOT_REMEMBERED = frozenset({"adapters", "locks", "reports", "servers", "training"})
"""Parts of a store that are no memory; all others are what learning at once goes by."""
KEPT_VERSIONS = 100
"""None is pruned, so that every version can be looked at."""

LOOK_SECONDS = 5.0
"""How often the trainer is asked how it stands."""

Say = Callable[[str, float], None]
"""Hears what goes on, and which share of the phase is done."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: ``settings`` (NAME=VALUE) hold for all servers and the trainer."""

    folder: Path
    cache: Path
    source: Source
    seed: int
    practice_minutes: float
    examination_minutes: float
    settings: Sequence[str] = ()

    @property
    def workspace(self) -> Path:
        """The folder that all servers see: what was learned belongs to its address."""
        return self.folder / "workspace"

    @property
    def store(self) -> Store:
        """The store of the practice, in which training happens."""
        return Store(self.folder / "practice" / "learned", self.cache)

    @property
    def steps(self) -> Stretch:
        """What the practice may type: a place that the seed draws, and room behind it."""
        whole, minutes = len(self.source.steps), self.practice_minutes + self.examination_minutes
        start = random.Random(self.seed).randint(0, max(0, whole - _steps(minutes)))
        fair = round((whole - start) * self.practice_minutes / minutes)
        return Stretch(start, start + max(1, min(_steps(self.practice_minutes), fair)), 1.0)


def tried(trial: Trial, say: Callable[[str], Say]) -> dict[str, Any]:
    """Go through the phases, or through what is left of them; raises `ReplayError`."""
    practice = practise(trial, say("practice"))
    training = train(trial, say("training"))
    examination = examine(trial, practice.begun, say("examination"))
    steps, twins = trial.source.steps, typed_as(trial)
    return {
        "practice": {
            "first": steps[practice.typed[0]], "last": steps[practice.begun - 1],
            "commits": len(practice.typed), "lines": practice.lines,
        },
        "training": training,
        "lines": examination.lines,
        "commits": [steps[step] for step in examination.typed],
        "pairs": [
            {arm: pair[twin] for arm, twin in twins.items()} for pair in examination.pairs
        ],
    }  # fmt: skip


def practise(trial: Trial, say: Say) -> State:
    """Type the earlier stretch with what is learned at once, and record it."""
    arms = {"learned": Terms(LEARNED)}
    return _replayed(trial, "practice", trial.practice_minutes, arms, trial.steps, say)


def train(trial: Trial, say: Say) -> dict[str, Any]:
    """Have the trainer learn from the practice's ledger; return what came of it, in numbers."""
    file = trial.folder / "training.json"
    if not file.exists():
        begun = time.monotonic()
        told = _run_trainer(trial, say)
        found = {"seconds": round(time.monotonic() - begun), "skipped": told["skipped"]}
        atomic_write(file, json.dumps(found | learned(trial)).encode())
    said: dict[str, Any] = json.loads(file.read_text("utf-8"))
    ended = [f"{row['what']} ({row['scope'] or 'everybody'})" for row in said["verdicts"]]
    say(f"{', '.join(ended) or 'no version'}; serving {said['serves']}", 1.0)
    return said


def learned(trial: Trial) -> dict[str, Any]:
    """Return how the episodes of the practice ended, and each verdict of the gate."""
    registry = AdapterRegistry(trial.store.adapters)
    with closing(Ledger(trial.store.ledger)) as ledger:
        outcomes = Counter(
            episode.outcome.value if episode.outcome else "open" for episode in ledger.episodes()
        )
        waiting = ledger.pending()
    used = {each for manifest in registry.list() for each in manifest.completion_ids}
    return {
        "outcomes": dict(sorted(outcomes.items())),
        "learned_from": len(used),
        "waiting": waiting,
        "verdicts": VerdictLog(trial.store.adapters).rows(),
        "serves": served(trial),
    }


def served(trial: Trial) -> str:
    """Return the version that the gate lets serve the workspace; the base when there is none."""
    ids = AdapterRegistry(trial.store.adapters).served()
    own = scope_of(trial.workspace.absolute().as_uri())
    return ids.get(own) or ids.get(GLOBAL) or BASE


def examine(trial: Trial, start: int, say: Say) -> State:
    """Type what comes from step ``start`` on, in all arms."""
    stretch = Stretch(start, len(trial.source.steps), 1.0)
    minutes = trial.examination_minutes
    return _replayed(trial, "examination", minutes, terms(trial), stretch, say)


def typed_as(trial: Trial) -> Mapping[str, str]:
    """Return for each arm the one that is typed for it: itself, unless they are the same."""
    same = WITHOUT_VERSION if served(trial) == BASE else {}
    return {arm: same.get(arm, arm) for arm in ARMS}


def terms(trial: Trial) -> Mapping[str, Terms]:
    """Return what each arm begins with: of the practice, its memory, its adapters, or both.

    Only the arms that are typed (`typed_as`).
    """
    parts = sorted(trial.store.data.iterdir())
    memory = [part for part in parts if part.name not in NOT_REMEMBERED]
    adapters = [part for part in parts if part == trial.store.adapters]
    version = served(trial)
    arms = (
        Terms(FROZEN, (), BASE),
        Terms(LEARNED, memory, BASE),
        Terms(FROZEN, adapters, version),
        Terms(LEARNED, [*memory, *adapters], version),
    )
    typed = typed_as(trial).values()
    return {arm: each for arm, each in zip(ARMS, arms, strict=True) if arm in typed}


def _replayed(
    trial: Trial,
    phase: str,
    minutes: float,
    arms: Mapping[str, Terms],
    stretch: Stretch,
    say: Say,
) -> State:
    options = runner.Options(trial.cache, minutes, trial.seed, trial.settings, arms, (stretch,))
    identity = f"{trial.source.identity} {phase} {trial.seed} {minutes} {list(trial.settings)}"
    folder = trial.folder / phase
    with runner.going_on(folder, identity, trial.source, options, say, trial.workspace) as state:
        return state


def _run_trainer(trial: Trial, say: Say) -> dict[str, Any]:
    """Run ``falcon-lsp --train-from-logs`` on the practice's store; return what it reports.

    It ends with us, and goes on where it was.
    """
    ours = (f"learning.threads={os.cpu_count() or 1}", f"learning.keepAdapters={KEPT_VERSIONS}")
    command = [sys.executable, "-P", "-m", "falcon_lsp", "--train-from-logs", "--json"]
    command += ["--data-dir", str(trial.store.data), "--cache-dir", str(trial.cache)]
    for setting in (*ours, *trial.settings):
        command += ["--set", setting]
    waiting = _pending(trial)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trainer:
        try:
            said = ""
            while not said and trainer.returncode is None:
                say(standing.read(trial.store), 1 - _pending(trial) / max(1, waiting))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    said = trainer.communicate(timeout=LOOK_SECONDS)[0]
        finally:
            trainer.kill()
    if trainer.returncode:
        raise SystemExit("training failed; the same command goes on from here")
    told: dict[str, Any] = json.loads(said)
    return told


def _pending(trial: Trial) -> int:
    with closing(Ledger(trial.store.ledger)) as ledger:
        return ledger.pending()


def _steps(minutes: float) -> int:
    return math.ceil(minutes * STEPS_PER_MINUTE)
