"""What outlives a connection: the engine, the memories and the trainer, joined in one place.

Nothing here imports torch or chromadb: both are loaded later, on threads of their own, so that
``initialize`` is answered at once and a missing one only switches its feature off.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from falcon_lsp.completion.belief import Belief, usual
from falcon_lsp.completion.experience import Experience
from falcon_lsp.config import Config, options
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Snippet
from falcon_lsp.learning import forgetting
from falcon_lsp.learning.background.supervisor import TrainingSupervisor
from falcon_lsp.learning.background.waiting import waiting
from falcon_lsp.lsp.served import ServedAdapter
from falcon_lsp.lsp.week import Week
from falcon_lsp.memory.events import Event, Kind
from falcon_lsp.memory.ledger import Ledger, LedgerUnavailable
from falcon_lsp.memory.policy import RecordingPolicy
from falcon_lsp.memory.rejections import rejection_row
from falcon_lsp.memory.service import MemoryService
from falcon_lsp.memory.short_term import ShortTermMemory
from falcon_lsp.model.adapters import AdapterRefused, AdapterRegistry
from falcon_lsp.model.engine import Engine, Progress
from falcon_lsp.model.host import EngineHost, HostState

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 5.0
"""Longest time that `Application.flush` waits for the disk."""

READ_AT_START = tuple(leaf for leaf in options() if leaf.scope == "machine")
"""The model and the folders; all stand at the top of the tree."""

RESTORED_EPISODES = 500
"""So many of the latest episodes make short-term memory at the start."""

Listener = Callable[[dict[str, Any]], None]


class Application:
    """The parts that every connection shares. `start` is idempotent: the first settings win."""

    def __init__(self) -> None:
        self.config = Config()
        self.policy = RecordingPolicy(self.config.memory)
        self.host = EngineHost()
        self.short_term = ShortTermMemory()
        self.store = Store.default()
        self.memory: MemoryService | None = None
        self.supervisor: TrainingSupervisor | None = None
        self.listeners: list[Listener] = []
        self.experience: Experience | None = None
        self.paused = False
        self.snoozed_until = 0.0
        """Until when (seconds since the epoch) nothing is suggested unless it is asked for."""
        self._recorder = ThreadPoolExecutor(1, thread_name_prefix="falcon-recorder")
        self._started: Config | None = None
        self._opened = threading.Event()
        self._epoch = -1
        self.served = ServedAdapter(self.host, self._tell)
        self.week = Week()

    def start(self, config: Config, progress: Progress) -> None:
        """Open the store and begin loading the model; returns before either is done."""
        self._configure(config)
        if self._started is not None:
            return
        self._started = config
        self.store = Store.default(config.data_dir, config.cache_dir)
        rejections = self.short_term.rejections if config.learning.instant else None
        self.experience = Experience(self.store.quiet)
        self.memory = MemoryService(
            self.store,
            config.memory,
            rejections=rejections,
            follow=self._learn_taste,
            server=config.memory_server,
            forgotten=self._follow_forgetting,
        )
        self.memory.policy = self.policy
        self.served.registry = AdapterRegistry(self.store.adapters)
        self.supervisor = TrainingSupervisor(
            self.store, self._training_config, self._pending_episodes, self._tell
        )
        self._recorder.submit(self._open_memory)
        self._opened.set()
        self.host.load(functools.partial(self._load_engine, config), progress)

    def record(self, events: Sequence[Event]) -> Future[bool]:
        """Commit ``events`` to the ledger, in order; the result says whether they are durable.

        What comes before `start` waits for it: a copied suggestion needs no model and may be early.
        """
        return self._recorder.submit(self._record, tuple(events))

    def reconfigure(self, config: Config) -> None:
        """Take over changed settings; model and folders need a restart, and `troubles` says so."""
        self._configure(config)
        self._halt_training_if_off()

    def _configure(self, config: Config) -> None:
        self.config = config
        self.policy = RecordingPolicy(config.memory, config.ignore)
        if self.memory is not None:
            self.memory.policy = self.policy

    def pause(self, paused: bool) -> None:
        """Stop or resume suggesting, recording and training; a running update is given up."""
        self.paused = paused
        self._halt_training_if_off()

    def snooze(self, minutes: float) -> None:
        """Suggest nothing by itself for ``minutes``; 0 ends it. Recording and training go on."""
        self.snoozed_until = time.time() + minutes * 60 if minutes > 0 else 0.0

    @property
    def snoozed(self) -> bool:
        """Whether nothing is suggested by itself just now."""
        return time.time() < self.snoozed_until

    def believed(self) -> Belief:
        """Return what the quiet policy goes by: the prior while nothing may be learned at once."""
        instant = self.config.learning.instant
        return self.experience.belief if self.experience is not None and instant else usual()

    def train_now(self) -> str:
        """Start an update with whatever is pending; returns one sentence for the user."""
        if self.supervisor is None:
            return "The server is still starting."
        if self.paused:
            return "falcon-lsp is paused: resume it first."
        return self.supervisor.train_now()

    def roll_back(self, to: str | None = None) -> str:
        """Serve with what came before the adapter in use (or with ``to``); returns a sentence."""
        return self.served.roll_back(to)

    def rejections(self) -> list[dict[str, Any]]:
        """Return what is declined, the latest first, in plain JSON values."""
        return [rejection_row(each) for each in self.memory.rejections()] if self.memory else []

    def forgive(self, rejection_id: str) -> str:
        """Let a rejected text be offered again; returns a sentence for the user."""
        try:
            count = self.memory.forgive(rejection_id) if self.memory else 0
        except LedgerUnavailable as error:
            return f"It could not be undone: {error}"
        return "It may be offered again." if count else "Nothing rejected has that id."

    def refuse(self, completion_id: str) -> str:
        """Let a suggestion never be offered again; returns a sentence for the user."""
        try:
            count = self.memory.refuse(completion_id) if self.memory else 0
        except LedgerUnavailable as error:
            return f"It could not be recorded: {error}"
        return "It will not be offered again." if count else "No suggestion has that id."

    def forget(self, what: Mapping[str, Any]) -> str:
        """Erase episodes (`MemoryService.forget`) and all that was made of them; a sentence."""
        try:
            gone = self.memory.forget(**what) if self.memory else []
        except LedgerUnavailable as error:
            return f"Nothing could be forgotten: {error}"
        self._forget_lately()  # edits are of this session only: no ledger tells whether one matches
        return f"Forgotten: {len(gone)} suggestions, and all that was learned from them."

    def follow_adapters(self) -> None:
        """Look, cheaply, whether another adapter is to be served; swap it in beside requests."""
        self.served.follow()

    def recall(self, *question: Any) -> Sequence[Snippet]:
        """Ask long-term memory (`MemoryService.recall`); nothing before it is open."""
        if self.memory is None or not self.config.learning.instant:
            return ()
        return self.memory.recall(*question)

    def observe(self, events: Sequence[Event]) -> None:
        """Let ``events`` change what is suggested next, unless that is switched off."""
        if self.config.learning.instant:
            for event in events:
                self.short_term.observe(event)

    def touched(self) -> None:
        """Note that the developer is typing: training waits for a quiet moment."""
        if self.supervisor is not None:
            self.supervisor.touch()

    def close(self) -> None:
        """Flush what is recorded and stop every thread and child process."""
        if self.supervisor is not None:
            self.supervisor.close()
        self._opened.set()
        self.served.close()
        self.host.close()
        self._recorder.shutdown(wait=True)
        if self.memory is not None:
            self.memory.close()
        if self.experience is not None:
            self.experience.save()

    def flush(self) -> None:
        """Wait until everything handed to `record` is on disk."""
        if self._started is not None:
            self.record(()).result(FLUSH_SECONDS)

    def _open_memory(self) -> None:
        assert self.memory is not None  # noqa: S101 - set by `start` before this is submitted
        self.memory.open()
        self._restore_short_term()

    def _restore_short_term(self) -> None:
        if self.config.learning.instant and self.memory is not None:
            self.short_term.restore(self.memory.recent_episodes(limit=RESTORED_EPISODES))

    def _forget_lately(self) -> None:
        """Let go of edits, and of whatever the ledger does not hold any more."""
        self.short_term.clear()
        self._restore_short_term()
        self._tell({"event": "forgotten"})

    def _follow_forgetting(self, ledger: Ledger) -> None:
        """Let go of what any process has forgotten: what we hold in memory, what was learned.

        At the start adapters are looked at where nothing is due: a trainer may have been killed
        after it published one.
        """
        before, self._epoch = self._epoch, ledger.cursor("forgotten")
        if before == -1:
            with contextlib.suppress(AdapterRefused, OSError):
                forgetting.drop_adapters(self.store, ledger)
        elif before != self._epoch:
            self._forget_lately()
        if forgetting.is_due(ledger):
            if self.supervisor is not None:
                self.supervisor.halt()  # what it learns from may be what was forgotten
            forgetting.unlearn(self.store, ledger)
            self.follow_adapters()

    def _record(self, events: tuple[Event, ...]) -> bool:
        self._opened.wait()
        if self.memory is None or self.paused or not self.config.memory.record:
            return False
        try:
            recorded = self.memory.record(events)
        except Exception:
            logger.exception("%d events could not be recorded", len(events))
            return False
        if any(event.kind is Kind.OUTCOME for event in events):
            self._recorder.submit(self.memory.follow)  # after the answer that all is on disk
            if self.supervisor is not None:
                self.supervisor.request("feedback recorded")
        return recorded

    def _learn_taste(self, ledger: Ledger) -> None:
        """Let the quiet policy follow the ledger, on a thread of memory's."""
        if self.experience is not None and self.config.learning.instant:
            self.experience.catch_up(ledger)

    def _training_config(self) -> Config:
        """Return the settings that the trainer goes by: a pause switches learning off."""
        learning = replace(self.config.learning, enable=False)
        return replace(self.config, learning=learning) if self.paused else self.config

    def _halt_training_if_off(self) -> None:
        if self.supervisor is not None and not self._training_config().learning.enable:
            self.supervisor.halt()

    def _pending_episodes(self) -> int:
        if self.memory is None:
            return 0
        return self.memory.read(functools.partial(waiting, self.store), 0)

    def _load_engine(self, config: Config, progress: Progress) -> Engine:
        from falcon_lsp.model.loader import load_engine

        return load_engine(config, self.store, progress)

    def _tell(self, event: dict[str, Any]) -> None:
        """Pass on what the trainer or a swap says, on whichever thread it was said."""
        for listener in list(self.listeners):
            listener(event)

    def troubles(self) -> list[str]:
        """Return one sentence for each thing that is off and that the user can do something about.

        Cheap enough for the event loop.
        """
        said = [self.host.message] if self.host.state is not HostState.LOADING else []
        if self.memory is not None:
            said += self.memory.troubles()
        if self._started is not None:
            said += [
                f"falcon.{leaf.key} takes effect after a restart."
                for leaf in READ_AT_START
                if getattr(self._started, *leaf.path) != getattr(self.config, *leaf.path)
            ]
        return [sentence for sentence in said if sentence]

    def state(self) -> str:
        """Return one word for the status bar."""
        if not self.config.enable:
            return "off"
        if self.paused:
            return "paused"
        if self.snoozed:
            return "snoozed"
        if self.host.state is HostState.FAILED:
            return "trouble"
        if self.host.state is not HostState.READY:
            return "loading"
        learning = self.supervisor is not None and self.supervisor.running
        return "learning" if learning else "ready"
