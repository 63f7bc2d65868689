"""How many episodes wait for the trainer, those that a dead one held among them."""

from __future__ import annotations

import contextlib

from falcon_lsp.core.paths import Busy, Store, locked
from falcon_lsp.learning.forgetting import trainer_lock
from falcon_lsp.memory.ledger import Ledger


def waiting(store: Store, ledger: Ledger) -> int:
    """Return how many episodes wait; raises `LedgerUnavailable`.

    Where nobody holds the trainer's lock, leases come back at once.
    """
    if ledger.held():
        with contextlib.suppress(Busy), locked(trainer_lock(store)):
            ledger.reclaim()
    return ledger.pending()
