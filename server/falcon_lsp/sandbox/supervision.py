"""Watching one sandboxed process from outside: its output, its clock, its threads, its folder."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.sandbox.limits import Limits
from falcon_lsp.sandbox.scratch import Extent, measure

INTERVAL = 0.05
"""Seconds between two looks at threads, memory and folder."""

REWRITES = 16
"""How often a program may write all that its folder may hold: it could hide files while we look."""

_PIECE = 65_536
_ANY_NUMBER = 10**9
_SCAN_SHARE = 10
"""A look may take one part in so many of the time: slow folders are looked at less often."""


class Gathered:
    """The first ``most`` bytes of a stream; what comes after them is dropped."""

    def __init__(self, descriptor: int, most: int) -> None:
        self.descriptor = descriptor
        self.data = bytearray()
        self._most = most

    def read(self) -> bool:
        """Take what is there; return False at the end of the stream."""
        piece = os.read(self.descriptor, _PIECE)
        self.data += piece[: self._most - len(self.data)]
        return bool(piece)

    def drain(self) -> None:
        """Take what an ended process has left in the pipe."""
        os.set_blocking(self.descriptor, False)
        with contextlib.suppress(BlockingIOError):
            while self.read():
                pass


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used so far. Its resident peak is not the one that ``wait4`` returns.

    That one starts with the peak of whoever started the process, in Linux.
    """

    cpu_seconds: float = 0.0
    peak_bytes: int = 0

    def at_least(self, other: Usage) -> Usage:
        """Return the larger figures of two looks."""
        return Usage(
            max(self.cpu_seconds, other.cpu_seconds), max(self.peak_bytes, other.peak_bytes)
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended, and what it said on its three pipes.

    ``over_time`` and ``over_limit`` say for what it was ended; empty if it ended by itself.
    """

    returncode: int
    seconds: float
    used: Usage
    stdout: bytes
    stderr: bytes
    report: bytes
    over_time: str
    over_limit: str


@dataclass(frozen=True, slots=True)
class Start:
    """What to start: in ``folder``, with ``order`` on its standard input.

    The descriptor of the pipe for its report is added to ``order``.
    """

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    order: dict[str, Any]


def watch(start: Start, limits: Limits, token: CancellationToken | None = None) -> Ending:
    """Run a process to its end, whoever sets it; raises `OSError` if it does not start.

    Raises `Cancelled`, with the process ended, when ``token`` is.
    """
    reading, writing = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.enter_context(os.fdopen(reading, "rb", buffering=0))
        with os.fdopen(writing, "wb", buffering=0):  # ours is closed once the child has its own
            process = stack.enter_context(_started(start, writing))
        watched = _Watched(process, limits, start.folder, token or CancellationToken())
        stack.callback(watched.end)
        watched.tell(repr(start.order | {"report": writing}).encode())
        return watched.follow(reading)


def _started(start: Start, report: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the caller's own command
        start.command, cwd=start.folder, env=start.environment, pass_fds=(report,),
        start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


class _Watched:
    """One process, from its start to its end."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        limits: Limits,
        folder: Path,
        token: CancellationToken,
    ) -> None:
        self._process, self._limits = process, limits
        self._folder, self._token = folder, token
        self._started = time.monotonic()
        self._before = measure(folder, _ANY_NUMBER)
        self._used = Usage()

    def tell(self, order: bytes) -> None:
        """Hand over the order; one that is gone already has said why."""
        with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", self._process.stdin) as pipe:
            pipe.write(order)

    def follow(self, report: int) -> Ending:
        """Read until the process ends, by itself or because it went too far."""
        pipes = cast("tuple[IO[bytes], ...]", (self._process.stdout, self._process.stderr))
        out, err = (Gathered(pipe.fileno(), self._limits.output_bytes) for pipe in pipes)
        said = Gathered(report, _PIECE)
        over_time, over_limit = self._read([out, err, said])
        seconds = time.monotonic() - self._started
        self.end()
        for stream in (out, err, said):
            stream.drain()
        return Ending(
            self._process.returncode, seconds, self._used,
            bytes(out.data), bytes(err.data), bytes(said.data), over_time, over_limit,
        )  # fmt: skip

    def end(self) -> None:
        """End the process and what is in its session, unless that has been done."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._used = self._used.at_least(Usage(usage.ru_utime + usage.ru_stime))

    def _read(self, streams: list[Gathered]) -> tuple[str, str]:
        """Read ``streams`` until there is a reason to end; return `Ending`'s two."""
        deadline, look = self._started + self._limits.wall_seconds, self._started + INTERVAL
        with _selecting(self._process.pid, streams) as selector:
            while True:
                events = selector.select(max(0.0, min(deadline, look) - time.monotonic()))
                for key, _ in events:
                    if key.data is None:
                        return "", ""
                    if not key.data.read():
                        selector.unregister(key.fd)
                if self._token.cancelled:
                    raise Cancelled
                if (now := time.monotonic()) >= deadline:
                    return f"it ran longer than {self._limits.wall_seconds:g} s", ""
                if now >= look:
                    if over := self._look():
                        return "", over
                    look = now + max(INTERVAL, _SCAN_SHARE * (time.monotonic() - now))

    def _look(self) -> str:
        """Return for what the process has to be ended, or ""."""
        inner = _innermost(self._process.pid)
        threads, used = _look_at(inner)
        self._used = self._used.at_least(used)
        if threads > self._limits.threads:
            return f"it started more than {self._limits.threads} threads"
        if _written(inner) > REWRITES * self._limits.folder_bytes:
            return f"it wrote {REWRITES} times what its folder may hold"
        grown = self._grown(inner)
        if grown.entries > self._limits.folder_entries:
            return f"it made more than {self._limits.folder_entries} files"
        if grown.bytes > self._limits.folder_bytes:
            return f"it wrote more than {self._limits.folder_bytes} bytes"
        return ""

    def _grown(self, inner: int) -> Extent:
        now = measure(self._folder, self._before.entries + self._limits.folder_entries)
        return Extent(
            now.bytes - self._before.bytes + _deleted_but_open(inner),
            now.entries - self._before.entries,
        )


@contextlib.contextmanager
def _selecting(pid: int, streams: list[Gathered]) -> Iterator[selectors.BaseSelector]:
    """Return a selector for ``streams``, and, without data, for the end of the process."""
    ended = os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ, None)
            for stream in streams:
                selector.register(stream.descriptor, selectors.EVENT_READ, stream)
            yield selector
    finally:
        os.close(ended)


def _innermost(pid: int) -> int:
    """Return the process below bubblewrap's own, which has no child."""
    with contextlib.suppress(OSError):
        while children := Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split():
            pid = int(children[0])
    return pid


def _look_at(pid: int) -> tuple[int, Usage]:
    """Return how many threads a process has, and what it used; nothing if it ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines()
        ticks = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0, Usage()
    about = dict(line.split(":", 1) for line in lines)
    cpu_seconds = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    kilobytes = about.get("VmHWM", "0").split()[0]
    return int(about.get("Threads", "0")), Usage(cpu_seconds, int(kilobytes) * 1024)


def _written(pid: int) -> int:
    """Return the bytes that a process has written so far, also those that have been replaced."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
    except OSError:
        return 0
    about = dict(line.split(": ", 1) for line in lines)
    return max(int(about["wchar"]), int(about["write_bytes"]))


def _deleted_but_open(pid: int) -> int:
    """Return the bytes of files that no folder shows any more."""
    size = 0
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            about = link.stat()
            size += about.st_blocks * 512 if about.st_nlink == 0 else 0
    return size
