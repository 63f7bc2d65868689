"""When training gives way: on battery, while others need the processors, after a slice of work.

All of it happens where a token is checked anyway, between two passes of the model. A pause keeps
what is in memory and looks again; the end of a slice ends the process, whose journal lets the next
one go on.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import psutil

from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken, Cancelled

LOOK_EVERY = 5.0
"""Seconds between two looks at the machine."""

CALM_LOOKS = 3
"""So many looks in a row find nothing to wait for before a pause ends: it does not flicker."""

SLICE_SECONDS = 300.0
"""Processor seconds, for each thread, after which a slice ends."""


class SliceOver(Cancelled):
    """Enough for now: what is left goes on in a process of its own, later."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``least_battery`` in percent (100: never on battery), ``most_busy`` a share in [0, 1].

    ``slice_seconds`` are processor seconds of this process.
    """

    least_battery: int = 100
    most_busy: float = 0.5
    slice_seconds: float = SLICE_SECONDS

    @classmethod
    def of(cls, config: Config) -> Limits:
        """Return what the user's settings say."""
        options = config.learning
        seconds = SLICE_SECONDS * options.threads
        return cls(options.least_battery, options.most_busy, seconds)


class Surroundings(Protocol):
    """What is looked at."""

    def battery(self) -> float | None:
        """Return the charge in percent while the machine runs on it; None at the mains."""

    def busy(self) -> float:
        """Return the share of all processors that others used since it was asked last."""

    def worked(self) -> float:
        """Return the processor seconds that this process has used."""

    def wait(self, seconds: float, cancelled: threading.Event) -> None:
        """Wait, or less when ``cancelled`` is set."""


class Machine:
    """This machine, by psutil. What our children use (tests, linters) is no other's."""

    def __init__(self) -> None:
        self._before = self._clock()

    def battery(self) -> float | None:
        """Return the charge in percent while the machine runs on it; None at the mains."""
        find = getattr(psutil, "sensors_battery", None)  # some platforms have none
        found = find() if find else None
        if found is None or found.power_plugged is not False:
            return None
        return float(found.percent)

    def busy(self) -> float:
        """Return the share of all processors that others used since it was asked last."""
        before, self._before = self._before, self._clock()
        elapsed, used, own = (new - old for new, old in zip(self._before, before, strict=True))
        capacity = elapsed * (psutil.cpu_count() or 1)
        return min(1.0, max(0.0, used - own) / capacity) if capacity > 0.0 else 0.0

    def worked(self) -> float:
        """Return the processor seconds that this process has used."""
        return time.process_time()

    def wait(self, seconds: float, cancelled: threading.Event) -> None:
        """Wait, or less when ``cancelled`` is set."""
        cancelled.wait(seconds)

    def _clock(self) -> tuple[float, float, float]:
        """Return the wall clock, the processors' busy seconds, and those of our processes."""
        times = psutil.cpu_times()
        idle = ("idle", "iowait", "guest", "guest_nice")  # guests count among users already
        busy = sum(times) - sum(getattr(times, name, 0.0) for name in idle)
        return time.monotonic(), busy, _used_by_us()


def _used_by_us() -> float:
    """Return the processor seconds of this process and all that it has started."""
    ended = os.times()
    total = ended.user + ended.system + ended.children_user + ended.children_system
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            total += sum(child.cpu_times()[:4])
    return total


class PacedToken(CancellationToken):
    """A token whose `check` holds as long as training has to give way.

    ``on_change`` hears why it holds, and an empty string when it goes on.
    """

    def __init__(
        self,
        limits: Limits,
        on_change: Callable[[str], None],
        surroundings: Surroundings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._limits, self._on_change, self._clock = limits, on_change, clock
        self._around = surroundings or Machine()
        self._looked, self._advanced = clock(), False

    def advanced(self) -> None:
        """Note that something was finished that need not be done again."""
        self._advanced = True

    def check(self) -> None:
        """Hold while it has to be; raises `Cancelled`, of which `SliceOver` is one kind.

        No slice ends before anything is finished in it: the next one would begin at the same place.
        """
        super().check()
        if self._advanced and self._around.worked() >= self._limits.slice_seconds:
            raise SliceOver
        if self._clock() - self._looked >= LOOK_EVERY:
            self._hold(self._reason())
            self._looked = self._clock()

    def _hold(self, reason: str) -> None:
        told, calm = "", 0 if reason else CALM_LOOKS
        while calm < CALM_LOOKS:
            if reason and reason != told:
                self._on_change(reason)
                told = reason
            self._around.wait(LOOK_EVERY, self._event)
            super().check()
            reason = self._reason()
            calm = 0 if reason else calm + 1
        if told:
            self._on_change("")

    def _reason(self) -> str:
        charge = self._around.battery()
        if charge is not None and charge <= self._limits.least_battery:
            return "on battery"
        busy = self._around.busy()
        return "the machine is busy" if busy > self._limits.most_busy else ""
