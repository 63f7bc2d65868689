"""The trainer's process: takes finished episodes, publishes judged adapters, leaves.

``python -m falcon_lsp.learning.background.worker`` says what it does as JSON lines on its standard
output. A kill at any point loses nothing: jobs are only leased until an adapter is published, the
lease runs out, and what was published before the kill is recognised and not learned twice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import psutil

from falcon_lsp.config import Config, from_client_options
from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.paths import Busy, Store, locked
from falcon_lsp.core.types import new_id
from falcon_lsp.learning.background.pace import Limits, PacedToken, SliceOver
from falcon_lsp.learning.background.standing import announced
from falcon_lsp.learning.background.supervisor import LEAST_EPISODES
from falcon_lsp.learning.caps import surplus
from falcon_lsp.learning.crew import ALONE, Crew
from falcon_lsp.learning.dataset import Reason
from falcon_lsp.learning.forgetting import drop_adapters, trainer_lock
from falcon_lsp.learning.journal import NO_JOURNAL, Journal
from falcon_lsp.learning.judging.in_use import step_back
from falcon_lsp.learning.losses import Objective
from falcon_lsp.learning.rewards import Appraiser
from falcon_lsp.learning.trainer import Recipe
from falcon_lsp.learning.update import Emit, Updater
from falcon_lsp.learning.update_report import UpdateReport
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.memory.ledger import MAX_TRIES, Job, Ledger, LedgerUnavailable
from falcon_lsp.model.adapters import AdapterRegistry
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.loader import find_model

logger = logging.getLogger(__name__)

LEASE_SECONDS = 600.0
"""After a kill, how long its episodes wait. A living worker may take longer: while it holds the
trainer's lock nobody else leases, and a job stays its own until somebody does."""
BATCHES_PER_UPDATE = 2
"""An update takes up to so many batches at once when the queue is long: the gate sees more."""

REMEMBERED = 2000
"""The latest finished episodes: they tell how versions fare in use, and a few are drawn to learn
from again."""

RETRIED_PARTS = 4
"""A batch that failed is tried again in so many parts."""


def work(
    ledger: Ledger,
    updater: Updater,
    least: int,
    most: int,
    emit: Emit,
    token: CancellationToken,
    journal: Journal = NO_JOURNAL,
    crew: Crew = ALONE,
) -> Iterator[UpdateReport]:
    """Update as long as ``least`` episodes wait, ``most`` at a time, oldest first.

    An update that was interrupted goes on with the same batch. Raises `Cancelled` after putting the
    batch back; any other error counts against the batch.
    """
    owner = new_id("trainer")

    def hear(event: dict[str, Any]) -> None:
        if event["event"] in {"step", "round"}:  # it is in the journal: this try has got further
            ledger.renew(owner, LEASE_SECONDS)
            if isinstance(token, PacedToken):
                token.advanced()
        emit(event)

    while ledger.pending() >= least:
        jobs = _lease(ledger, owner, most, journal.batch())
        if not jobs:
            return
        ids = [job.completion_id for job in jobs]
        emit({"event": "leased", "episodes": len(ids), "tries": max(job.tries for job in jobs)})
        journal.begin(ids)
        try:
            episodes, history = recalled(ledger, ids), finished(ledger)
            crew.tell([ids, [episode.completion_id for episode in history]])
            report = updater.run(episodes, hear, token, history)
        except (Cancelled, KeyboardInterrupt):
            ledger.release(owner, ids)
            raise
        except Exception as error:
            ledger.release(owner, ids, type(error).__name__)
            raise
        forgotten = dict.fromkeys(ids, f"skipped:{Reason.FORGOTTEN}")
        ledger.ack(owner, forgotten | report.results)
        journal.clear()
        emit(_outcome(report))
        yield report


def recalled(ledger: Ledger, ids: Sequence[str]) -> list[Episode]:
    """Return these episodes in this order; those that are unknown or forgotten are left out."""
    known = {episode.completion_id: episode for episode in ledger.episodes_of(ids)}
    return [known[completion_id] for completion_id in ids if completion_id in known]


def finished(ledger: Ledger) -> list[Episode]:
    """Return the latest episodes with an outcome, oldest first, and of no file too many."""
    found = ledger.episodes(limit=REMEMBERED, with_outcome=True)
    over = surplus(found)
    return [episode for episode in found if episode.completion_id not in over]


def look_back(registry: AdapterRegistry, ledger: Ledger, emit: Emit) -> None:
    """Leave every served version that turned out worse in use, before anything follows from it."""
    for left, now in step_back(registry, finished(ledger)):
        emit({"event": "rolled_back", "adapter_id": left, "to": now})


def _lease(ledger: Ledger, owner: str, most: int, begun: Sequence[str]) -> list[Job]:
    """Take a batch, oldest first: the one that was ``begun``, as long as it gets on.

    Only a part of it when it holds jobs that failed before: one of them may be what kills the
    trainer, and in a smaller batch fewer are set aside with it.
    """
    jobs = ledger.lease(owner, most, LEASE_SECONDS)
    tries = max((job.tries for job in jobs), default=1)
    kept = [job for job in jobs if job.completion_id in set(begun)]
    if len(kept) < len(begun) or not begun or tries >= MAX_TRIES:
        kept = jobs if tries == 1 else jobs[: max(LEAST_EPISODES, most // RETRIED_PARTS)]
    ids = {job.completion_id for job in kept}
    ledger.release(owner, [job.completion_id for job in jobs if job.completion_id not in ids])
    return kept


def serve(
    store: Store,
    config: Config,
    emit: Emit,
    token: CancellationToken,
    least: int | None = None,
) -> int:
    """Work through the queue of ``store`` while ``least`` episodes wait; returns the exit code.

    Without ``least`` a whole batch has to.
    """
    batch = config.learning.batch_episodes
    least = batch if least is None else least
    journal = open_journal(store)
    try:
        with locked(trainer_lock(store)), closing(Ledger(store.ledger)) as ledger:
            registry = AdapterRegistry(store.adapters)
            registry.clean_temporaries()
            drop_adapters(store, ledger)  # of a trainer that was killed before it could
            ledger.reclaim()
            if ledger.pending() >= least:
                look_back(registry, ledger, emit)
                updater = make_updater(store, config, registry, journal)
                most = batch * BATCHES_PER_UPDATE
                for _ in work(ledger, updater, least, most, emit, token, journal):
                    drop_adapters(store, ledger)  # what was forgotten while it trained
                    token.check()
    except Busy:
        emit({"event": "busy"})
    except SliceOver:
        emit({"event": "slice_over"})
        return 0
    except Cancelled:
        emit({"event": "cancelled"})
        return 0
    except (EngineError, LedgerUnavailable) as error:
        emit({"event": "error", "reason": str(error)})
        return 1
    except Exception as error:
        logger.exception("training failed")
        emit({"event": "error", "reason": f"training failed ({type(error).__name__})"})
        return 1
    emit({"event": "done"})
    return 0


def open_journal(store: Store) -> Journal:
    """Return the journal of the update under way."""
    return Journal(store.training / "journal")


def make_updater(
    store: Store,
    config: Config,
    registry: AdapterRegistry,
    journal: Journal = NO_JOURNAL,
    crew: Crew = ALONE,
) -> Updater:
    """Return the updater of the model in use; raises `EngineError` when it is not here."""
    files = find_model(config, store)
    return Updater(
        registry,
        files,
        threads=config.learning.threads,
        keep=config.learning.keep_adapters,
        recipe=Recipe(Objective(config.learning.objective)),
        appraiser=Appraiser.of(config, store),
        journal=journal,
        crew=crew,
    )


def lower_priority() -> None:
    """Give way to everything else on the machine, as far as the platform allows."""
    process = psutil.Process()
    with contextlib.suppress(psutil.Error, OSError):
        process.nice(getattr(psutil, "IDLE_PRIORITY_CLASS", 19))
    for idle in ("IOPRIO_VERYLOW", "IOPRIO_CLASS_IDLE"):
        if hasattr(psutil, idle) and hasattr(process, "ionice"):
            with contextlib.suppress(psutil.Error, OSError):
                process.ionice(getattr(psutil, idle))


def leave_when_told(token: CancellationToken, supervised: bool) -> None:
    """Cancel ``token`` at SIGTERM, and when the parent closes our standard input or dies."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: token.cancel())
    if supervised:
        threading.Thread(target=_await_end_of_input, args=(token,), daemon=True).start()


def _await_end_of_input(token: CancellationToken) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    token.cancel()


def _outcome(report: UpdateReport) -> dict[str, Any]:
    verdict = report.verdict
    return {
        "event": "promoted" if verdict and verdict.promoted else "not_promoted",
        "adapter_id": report.adapter_id,
        "used": report.used,
        "reasons": list(verdict.reasons) if verdict else [report.stopped],
    }


def _print_line(event: dict[str, Any]) -> None:
    """Write one protocol line; a parent that is gone is noticed by its closed pipe elsewhere."""
    with contextlib.suppress(OSError):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def main() -> int:
    """Parse the supervisor's arguments and work; see ``--help``."""
    parser = argparse.ArgumentParser(description="falcon-lsp's background trainer")
    parser.add_argument("--data-dir", default="", help="folder of the ledger and adapters")
    parser.add_argument("--cache-dir", default="", help="folder of converted models")
    parser.add_argument("--least", type=int, help="episodes that have to wait (default: a batch)")
    parser.add_argument("--options", default="{}", help="the server's settings as JSON")
    parser.add_argument(
        "--supervised", action="store_true", help="leave when standard input is closed"
    )
    arguments = parser.parse_args()
    config, _ = from_client_options(json.loads(arguments.options))
    store = Store.default(arguments.data_dir, arguments.cache_dir)
    lower_priority()
    with announced(store, _print_line) as announce:
        token = PacedToken(Limits.of(config), announce.held)
        leave_when_told(token, arguments.supervised)
        return serve(store, config, announce, token, arguments.least)


if __name__ == "__main__":
    sys.exit(main())
