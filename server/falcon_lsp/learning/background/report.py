"""Training in the foreground, from the ledger or an exported log, and the report of it."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.paths import Busy, Store, locked, private_folder
from falcon_lsp.learning.background.standing import announced
from falcon_lsp.learning.background.supervisor import LEAST_EPISODES
from falcon_lsp.learning.background.worker import (
    BATCHES_PER_UPDATE,
    look_back,
    make_updater,
    open_journal,
    recalled,
    work,
)
from falcon_lsp.learning.crew import Crew, join, leave
from falcon_lsp.learning.forgetting import drop_adapters, trainer_lock
from falcon_lsp.learning.judging.gate import Verdict
from falcon_lsp.learning.update_report import UpdateReport
from falcon_lsp.memory.ledger import Ledger, LedgerUnavailable
from falcon_lsp.model.adapters import AdapterRefused, AdapterRegistry
from falcon_lsp.model.engine import EngineError, Progress


class TrainingError(Exception):
    """Training could not begin; one sentence for the user."""


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What was learned. ``broken`` names lines of the log as ``file:line: reason``.

    ``waiting`` episodes were too few for an update of their own and stay in the queue.
    """

    updates: tuple[UpdateReport, ...]
    broken: tuple[str, ...]
    waiting: int
    current: str

    @property
    def skipped(self) -> dict[str, int]:
        """How many episodes taught nothing, by reason."""
        answers = [answer for update in self.updates for answer in update.results.values()]
        reasons = (answer.removeprefix("skipped:") for answer in answers if "skipped:" in answer)
        return dict(Counter(reasons).most_common())

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "current": self.current,
            "episodes": sum(len(update.results) for update in self.updates),
            "used": sum(update.used for update in self.updates),
            "skipped": self.skipped,
            "waiting": self.waiting,
            "broken": list(self.broken),
            "updates": [update.as_json() for update in self.updates],
        }

    def lines(self) -> list[str]:
        """Return the report for a person, line by line."""
        body = self.as_dict()
        found = [f"{body['episodes']} episodes, {body['used']} learned from"]
        found += [f"  {count} not used: {reason}" for reason, count in self.skipped.items()]
        found += [f"  left out {place}" for place in self.broken]
        if self.waiting:
            found.append(f"  {self.waiting} waiting: an update takes at least {LEAST_EPISODES}")
        for update in self.updates:
            found += _update_lines(update)
        return [*found, f"serving {self.current}"]


def train_from_logs(
    store: Store, config: Config, path: Path | None, progress: Progress
) -> TrainingReport | None:
    """Train on what waits in the ledger, or on the log at ``path``; raises `TrainingError`.

    A log's events are not added to the user's own ledger. Episodes that a promoted adapter has
    learned from are not learned from again. What was interrupted goes on where it was. Started by
    a launcher of several processes, all train together; only the leader returns a report.
    """
    crew = join()
    try:
        if not crew.leads:
            _help(store, config, crew)
            return None
        with locked(trainer_lock(store)), _opened(store, path) as (ledger, broken):
            return _lead(store, config, ledger, broken, crew, progress, own=path is None)
    except Busy as error:
        raise TrainingError("training is running already; try again when it is done") from error
    except (AdapterRefused, EngineError, LedgerUnavailable) as error:
        raise TrainingError(str(error)) from error
    finally:
        leave()


def _lead(
    store: Store,
    config: Config,
    ledger: Ledger,
    broken: tuple[str, ...],
    crew: Crew,
    progress: Progress,
    *,
    own: bool,
) -> TrainingReport:
    """Work through ``ledger``, and tell the others of the crew what each update is about.

    Only the user's ``own`` ledger says how versions fare in use: a log may tell half of it.
    """
    registry, journal = AdapterRegistry(store.adapters), open_journal(store)
    registry.clean_temporaries()
    ledger.reclaim()  # what a trainer held that was killed
    updater = make_updater(store, config, registry, journal, crew)
    crew.tell(_copy(ledger) if crew.size > 1 else None)
    most, token = config.learning.batch_episodes * BATCHES_PER_UPDATE, CancellationToken()
    with announced(store, _Listener(progress, ledger.pending())) as announce:
        if own:
            look_back(registry, ledger, announce)
        jobs = work(ledger, updater, LEAST_EPISODES, most, announce, token, journal, crew)
        updates = tuple(jobs)
    crew.tell(None)
    drop_adapters(store, ledger)  # of what was forgotten while it trained
    progress("done", 1.0)
    return TrainingReport(updates, broken, ledger.pending(), registry.current())


def _help(store: Store, config: Config, crew: Crew) -> None:
    """Take part in the leader's updates, with a copy of its episodes."""
    updater = make_updater(store, config, AdapterRegistry(store.adapters), crew=crew)
    with tempfile.TemporaryDirectory(dir=private_folder(store.training), prefix="log-") as folder:
        log = Path(folder) / "log.jsonl"
        log.write_text(crew.tell(None), "utf-8")
        with _opened(store, log) as (ledger, _):
            while (told := crew.tell(None)) is not None:
                episodes, history = (recalled(ledger, ids) for ids in told)
                updater.run(episodes, lambda _: None, CancellationToken(), history)


def _copy(ledger: Ledger) -> str:
    file = io.StringIO()
    ledger.export_jsonl(file)
    return file.getvalue()


@contextmanager
def _opened(store: Store, path: Path | None) -> Iterator[tuple[Ledger, tuple[str, ...]]]:
    """Open the user's ledger, or a temporary one that holds the log at ``path``."""
    if path is None:
        with closing(Ledger(store.ledger)) as ledger:
            yield ledger, ()
        return
    with (
        tempfile.TemporaryDirectory(dir=private_folder(store.training), prefix="log-") as folder,
        closing(Ledger(Path(folder) / "ledger.sqlite3")) as ledger,
    ):
        found = ledger.import_jsonl(path)
        yield ledger, tuple(f"{path}:{line}: {reason}" for line, reason in found.skipped)


class _Listener:
    """Turns the worker's events into messages and a share of the episodes done."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total = progress, max(1, total)
        self._begun = self._done = 0

    def __call__(self, event: dict[str, Any]) -> None:
        what = event["event"]
        if what == "leased":
            self._begun += event["episodes"]
        elif what in ("promoted", "not_promoted"):
            self._done = self._begun
        self._progress(_message(event), min(0.99, self._done / self._total))


def _message(event: dict[str, Any]) -> str:
    what = event["event"]
    if what == "phase":
        return f"{event['phase']} …"
    if what == "round":
        return f"round {event['round']}: {event['answers']} fresh answers"
    if what == "step":
        return f"step {event['step'] + 1}: loss {event['loss']:.3f}, KL {event['kl']:.4f}"
    return str(what).replace("_", " ")


def _update_lines(update: UpdateReport) -> list[str]:
    if update.verdict is None:
        return [f"no adapter: {update.stopped}"]
    verdict = update.verdict
    last = update.steps[-1]
    found = [
        f"{update.adapter_id} {_decision(verdict)}: {len(update.steps)} steps, mean reward "
        f"{update.mean_reward:+.3f}, last loss {last.loss:+.4f}, KL {verdict.kl:.4f}",
        *_verdict_lines(verdict),
    ]
    for own in update.workspaces:
        found.append(f"{own.adapter_id} {_decision(own.verdict)}, for {own.scope} alone")
        found += _verdict_lines(own.verdict)
    return found


def _decision(verdict: Verdict) -> str:
    return "promoted" if verdict.promoted else "set aside"


def _verdict_lines(verdict: Verdict) -> list[str]:
    return [
        f"  later text: liked {verdict.liked_gain:+.4f} nats per token (90 % bound "
        f"{verdict.liked_gain_bound:+.4f}, n={verdict.liked}), rejected "
        f"{verdict.disliked_gain:+.4f} (n={verdict.disliked}); ordinary code "
        f"{verdict.regression:+.2%} loss",
        *(f"  {reason}" for reason in verdict.reasons),
    ]
