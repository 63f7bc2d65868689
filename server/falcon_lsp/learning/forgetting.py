"""What was made of forgotten episodes goes with them, however often that is interrupted.

The ledger comes first: one transaction empties the rows, and their tombstones name every episode
that was ever forgotten. All that has to go can be told from them at any time, by any process. The
ledger's cursor ``forgotten`` counts them, ``unlearned`` says up to where `unlearn` has come: while
the two differ, the server's next second or its next start tries again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from falcon_lsp.core.paths import Busy, Store, locked
from falcon_lsp.memory.ledger import Ledger
from falcon_lsp.model.adapters import AdapterRefused, AdapterRegistry
from falcon_lsp.model.quantised import drop_merged

logger = logging.getLogger(__name__)

DONE = "unlearned"
"""The ledger's cursor of what `unlearn` has finished."""


def trainer_lock(store: Store) -> Path:
    """Return the lock that whoever trains in ``store`` holds: one at a time."""
    return store.locks / "trainer.lock"


def is_due(ledger: Ledger) -> bool:
    """Whether something was forgotten that has not been unlearned to the end; cheap."""
    return ledger.cursor(DONE) != ledger.cursor("forgotten")


def unlearn(store: Store, ledger: Ledger, seconds: float = 0.0) -> tuple[Sequence[str], bool]:
    """Drop all that was made of forgotten episodes.

    Returns the adapters that went, and whether all is done. Adapters go at once, in favour of the
    nearest ancestor. What a trainer at work has in hand goes when it ends, for which this waits
    ``seconds``. Raises `LedgerUnavailable`.
    """
    epoch = ledger.cursor("forgotten")
    ledger.scrub()
    dropped: list[str] = []
    try:
        dropped += drop_adapters(store, ledger)
        with locked(trainer_lock(store), seconds):
            dropped += drop_adapters(store, ledger)
            AdapterRegistry(store.adapters).clean_temporaries()
            _drop_copies(store)
            shutil.rmtree(store.verdicts, ignore_errors=True)
            done = drop_merged(store.quantised, AdapterRegistry(store.adapters).names())
    except (Busy, AdapterRefused, OSError):
        return dropped, False
    if done:
        ledger.set_cursor(DONE, epoch)
    return dropped, done


def drop_adapters(store: Store, ledger: Ledger) -> Sequence[str]:
    """Drop adapters that come from forgotten episodes, and weights merged with such; returns ids.

    Raises `AdapterRefused` while another process changes the adapters. It is also a trainer's first
    and last act: what it held in memory may have been forgotten meanwhile.
    """
    registry = AdapterRegistry(store.adapters)
    dropped = registry.drop_descendants(ledger.forgotten_ids())
    if dropped:
        drop_merged(store.quantised, registry.names())
        logger.info("dropped %d adapters that learned what was forgotten", len(dropped))
    return dropped


def _drop_copies(store: Store) -> None:
    """Remove copies of episodes: interrupted updates and replays, logs of a killed trainer.

    A replay that runs holds its lock, and removes its stores itself when it ends.
    """
    shutil.rmtree(store.training, ignore_errors=True)
    for folder in store.cache.glob("replay/*"):
        try:
            with locked(folder / "lock"):
                for entry in folder.iterdir():
                    if entry.is_dir():
                        shutil.rmtree(entry, ignore_errors=True)
                    elif entry.name != "lock":
                        entry.unlink(missing_ok=True)
        except (Busy, OSError):
            continue
