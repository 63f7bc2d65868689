"""The replay itself: all arms type the same lines, step by step, until the time is up."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from falcon_lsp.core.paths import Busy, locked, private_folder
from falcon_lsp.lsp.client import ResponseError, ServerGone
from falcon_lsp.replay.arm import TWO_ARMS, Arm, Terms, Writer
from falcon_lsp.replay.errors import ReplayError
from falcon_lsp.replay.measures import Pair, Tally, report
from falcon_lsp.replay.sampling import Stretch, stretches
from falcon_lsp.replay.scratch import Scratch
from falcon_lsp.replay.sources import Source, language_of
from falcon_lsp.replay.state import State, folder_of, load
from falcon_lsp.replay.strokes import Run, Work, plan
from falcon_lsp.replay.user import ARRIVE_SECONDS

OPEN_FILES = 4
"""Files touched last that stay open beside the one that is edited."""
_LOOK_BACK = 8
"""Steps before a stretch whose files are opened at its start."""
_LEAVING_SECONDS = 3.0
"""What ending the servers may take of the budget."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Options:
    """``budget_minutes`` bounds the whole; ``settings`` are NAME=VALUE for all servers.

    The ``stretches`` are typed; of None, those that the seed draws. The ``arms`` have names.
    """

    cache: Path
    budget_minutes: float = 8.0
    seed: int = 1
    settings: Sequence[str] = ()
    arms: Mapping[str, Terms] = field(default_factory=lambda: TWO_ARMS)
    stretches: Sequence[Stretch] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """``figures`` is the report of the ``pairs``, one per step, in time order.

    ``learned_store`` is the data folder of the learned arm.
    """

    figures: dict[str, Any]
    pairs: Sequence[Pair]
    unit: str
    steps: int
    lines: int
    seconds: float
    learned_store: Path


@contextlib.contextmanager
def replayed(source: Source, options: Options, progress: Progress) -> Iterator[Result]:
    """Replay ``source`` (or go on with it), and remove everything afterwards.

    Raises `ReplayError`. What was done until then, or until it is interrupted, is kept.
    """
    identity = f"{source.identity} {options.seed} {options.budget_minutes} {options.settings}"
    folder = folder_of(options.cache, identity)
    with going_on(folder, identity, source, options, progress) as state:
        found = report(state.pairs, options.seed)
        yield Result(
            {"arms": found["arms"], **found["against"]["learned"]}, tuple(state.pairs),
            source.unit, len(state.pairs), state.lines, state.spent, folder / "learned",
        )  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def going_on(
    folder: Path,
    identity: str,
    source: Source,
    options: Options,
    progress: Progress,
    workspace: Path | None = None,
) -> Iterator[State]:
    """Replay in ``folder``, or go on there, and keep everything; raises `ReplayError`.

    Each arm has its store in a folder of its name. ``workspace`` is the folder that the servers
    see (its address tells what was learned there), by default one below ``folder``.
    """
    private_folder(folder)
    try:
        with locked(folder / "lock"):
            state = load(folder, identity) or _fresh(folder, identity, options.arms)
            if not state.done:
                root = private_folder(workspace or folder / "workspace")
                asyncio.run(_Replay(source, options, state, progress, root).run())
            yield state
    except Busy as error:
        raise ReplayError("another process is replaying the same; wait for it") from error


def _fresh(folder: Path, identity: str, arms: Mapping[str, Terms]) -> State:
    for name, terms in arms.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        private_folder(folder / name)
        for each in terms.begins_with:
            copy = shutil.copytree if each.is_dir() else shutil.copy2
            copy(each, folder / name / each.name)
    return State(folder, identity)


@dataclass(slots=True)
class _Replay:
    """One run over a source; everything that has to survive it is in ``state``."""

    source: Source
    options: Options
    state: State
    progress: Progress
    root: Path
    _begun: float = field(default_factory=time.monotonic)
    _pace: float = 0.0
    _recent: list[str] = field(default_factory=list)
    _order: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Type what the budget allows; raises `ReplayError` when a server fails."""
        self._begun -= self.state.spent
        self._order = list(self.options.arms)
        try:
            async with self._arms() as arms:
                await self._type(arms)
            self.state.done = True
        except (ServerGone, ResponseError) as error:
            message = f"a server failed ({error}); the same command goes on from here"
            raise ReplayError(message) from error
        finally:
            self._save()
        if not self.state.lines:
            raise ReplayError("no line was typed: give more time with --budget")

    @contextlib.asynccontextmanager
    async def _arms(self) -> AsyncIterator[list[Arm]]:
        known = self.options.arms.items()
        arms = [Arm(name, self.state.folder / name, terms) for name, terms in known]
        try:
            for arm in arms:
                await arm.start(self.root, self.options.cache, self.options.settings)
            await self._load(arms)
            yield arms
            await asyncio.gather(*(arm.stop() for arm in arms))
        finally:
            for arm in arms:
                with contextlib.suppress(ServerGone):
                    await arm.client.kill()

    async def _load(self, arms: list[Arm]) -> None:
        self.progress("loading the model", self._share)
        left = self.options.budget_minutes * 60 - self._elapsed
        try:
            await asyncio.wait_for(asyncio.gather(*(arm.ready() for arm in arms)), left)
        except TimeoutError as error:
            message = "the model was not ready in time; run `falcon-lsp setup` first"
            raise ReplayError(message) from error

    async def _type(self, arms: list[Arm]) -> None:
        scratch = Scratch(self.root, self.source)
        minutes, chosen = self.options.budget_minutes, self.options.stretches
        if chosen is None:
            chosen = stretches(len(self.source.steps), minutes, self.options.seed)
        for stretch in chosen:
            end = stretch.share * (minutes * 60 - _LEAVING_SECONDS)
            start = max(stretch.start, self.state.begun)
            self._look_back(start)
            for step in range(start, stretch.end):
                if not self._in_time(end):
                    break
                await self._step(arms, scratch, step, end)

    async def _step(self, arms: list[Arm], scratch: Scratch, step: int, end: float) -> None:
        works = plan(self.source.changes(step), f"{self.options.seed}:{self.source.steps[step]}")
        if any(work.lines for work in works):
            self.state.begun = step + 1
            self._save()
            scratch.show(step)
            self._close_changed(arms, scratch)
            tallies = {arm.name: Tally() for arm in arms}
            for work in filter(lambda work: work.lines, works):
                self._open_recent(arms, scratch, work.change.path)
                await self._write(arms, work, tallies, end)
            self.state.pairs.append(tallies)
            self.state.typed.append(step)
            self._save()
        self._touch(work.change.path for work in works)

    async def _write(self, arms: list[Arm], work: Work, tallies: Pair, end: float) -> None:
        change = work.change
        for arm in arms:
            arm.show(change.path, change.language, change.before)
        for hunk in work.hunks:
            seed = f"{self.options.seed}:{change.path}:{hunk.at}:{len(hunk.text)}"
            writers = {arm.name: Writer(arm, change.path, hunk, seed) for arm in arms}
            for writer in writers.values():
                writer.begin()
            if hunk.runs and self._in_time(end):
                await asyncio.sleep(ARRIVE_SECONDS)
            for run in hunk.runs:
                if self._in_time(end):
                    await self._run(writers, run, tallies)
            for writer in writers.values():
                writer.finish()
        self._touch([change.path])

    async def _run(self, writers: Mapping[str, Writer], run: Run, tallies: Pair) -> None:
        """Let the arms type the same lines one after the other; who is first changes each time."""
        begun = time.monotonic()
        self._order.append(self._order.pop(0))
        for name in self._order:
            tallies[name].add(await writers[name].type(run))
        self.state.lines += run.lines
        self._pace = 0.7 * self._pace + 0.3 * (time.monotonic() - begun)
        self.progress(f"{self.state.lines} lines typed", self._share)

    def _look_back(self, start: int) -> None:
        """Take note of the files that were touched last before a stretch."""
        self._recent = []
        for step in range(max(0, start - _LOOK_BACK), start):
            self._touch(change.path for change in self.source.changes(step))

    def _touch(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._recent = [path, *(other for other in self._recent if other != path)]
        del self._recent[OPEN_FILES + 1 :]

    @staticmethod
    def _close_changed(arms: list[Arm], scratch: Scratch) -> None:
        """Close what reads otherwise now, because steps between were not typed."""
        for arm in arms:
            for path, document in list(arm.open.items()):
                if document.text != scratch.text(path):
                    arm.hide(path)

    def _open_recent(self, arms: list[Arm], scratch: Scratch, current: str) -> None:
        """Have the files touched last open as they are now, and no others."""
        recent = [path for path in self._recent if path != current][:OPEN_FILES]
        for arm in arms:
            for path in [path for path in arm.open if path not in recent]:
                arm.hide(path)
            for path in reversed(recent):
                text = scratch.text(path)
                if path not in arm.open and text is not None:
                    arm.show(path, language_of(path), text)

    def _in_time(self, end: float) -> bool:
        """Whether a run can be typed before ``end`` (seconds of the budget)."""
        return self._elapsed + self._pace < end

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._begun

    @property
    def _share(self) -> float:
        return min(1.0, self._elapsed / (self.options.budget_minutes * 60))

    def _save(self) -> None:
        self.state.spent = self._elapsed
        self.state.save()
