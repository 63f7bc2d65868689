"""Where the engine lives: one thread that loads it and asks it."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.model.engine import Engine, EngineError, Progress

logger = logging.getLogger(__name__)
T = TypeVar("T")
Load = Callable[[Progress], Engine]


class HostState(enum.StrEnum):
    """Whether there is an engine to ask."""

    IDLE = "idle"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class EngineHost:
    """Owns the engine thread: one request at a time, in order.

    Spare work is done when nobody asks for anything: at most one piece runs or waits, and any
    request ends it.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="falcon-engine")
        self.engine: Engine | None = None
        self.state = HostState.IDLE
        self.message = ""
        self._spare = CancellationToken()

    def load(self, load: Load, progress: Progress) -> Future[None]:
        """Start loading; a failure ends in `HostState.FAILED` with a sentence in `message`."""
        self.state, self.message = HostState.LOADING, "loading the model"
        return self._executor.submit(self._load, load, progress)

    @property
    def loading(self) -> bool:
        """Whether it is too early to ask: what is asked now would wait for the whole load."""
        return self.state in (HostState.IDLE, HostState.LOADING)

    async def run(self, job: Callable[[], T]) -> T:
        """Run ``job`` on the engine thread and return its result; spare work makes way."""
        self._spare.cancel()
        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    def spare(self, job: Callable[[CancellationToken], None]) -> Future[bool]:
        """Let ``job`` use the engine thread's spare time, in place of any spare work before it.

        The result says whether it came to its end; a failure is logged and counts as not.
        """
        self._spare.cancel()
        self._spare = CancellationToken()
        return self._executor.submit(_finishes, job, self._spare)

    def close(self) -> None:
        """Stop taking jobs; the one that runs is not waited for."""
        self._spare.cancel()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _load(self, load: Load, progress: Progress) -> None:
        started = time.monotonic()
        try:
            self.engine = load(progress)
        except EngineError as error:
            self.state, self.message = HostState.FAILED, str(error)
        except Exception as error:  # whatever a backend raises, the server lives on
            logger.exception("the model could not be loaded")
            self.message = f"the model could not be loaded ({type(error).__name__}); see the log"
            self.state = HostState.FAILED
        else:
            self.state, self.message = HostState.READY, ""
            logger.info("model ready after %.1f s", time.monotonic() - started)
        finally:
            progress(self.message or "ready", 1.0)


def _finishes(job: Callable[[CancellationToken], None], token: CancellationToken) -> bool:
    try:
        token.check()
        job(token)
    except Cancelled:
        return False
    except Exception:
        logger.exception("work ahead failed")
        return False
    return True
