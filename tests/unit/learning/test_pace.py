"""When training gives way, with a machine that is made up."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pytest

from falcon_lsp.config import from_client_options
from falcon_lsp.core.cancellation import Cancelled
from falcon_lsp.learning.background import pace
from falcon_lsp.learning.background.pace import (
    CALM_LOOKS,
    LOOK_EVERY,
    Limits,
    Machine,
    PacedToken,
    SliceOver,
)

CALM = (None, 0.0)


class Scene:
    """Each look takes the next (charge or None at the mains, busy share); the last one stays."""

    def __init__(self, *looks: tuple[float | None, float]) -> None:
        self.looks, self.now, self.used = list(looks), 0.0, 0.0
        self.waits, self.token = 0, None

    def battery(self) -> float | None:
        return self.looks[0][0]

    def busy(self) -> float:
        return self.looks[0][1]

    def worked(self) -> float:
        return self.used

    def wait(self, seconds: float, cancelled: threading.Event) -> None:
        self.waits += 1
        self.now += seconds
        if len(self.looks) > 1:
            self.looks.pop(0)


def check(scene: Scene, limits: Limits = Limits()) -> list[str]:  # noqa: B008 - frozen
    """Check once, after the time between two looks; return what was said."""
    heard: list[str] = []
    token = PacedToken(limits, heard.append, scene, lambda: scene.now)
    scene.now += LOOK_EVERY
    token.check()
    return heard


@pytest.mark.parametrize(
    ("looks", "said", "waits"),
    [
        ([CALM], [], 0),
        ([(100.0, 0.0), CALM], ["on battery", ""], CALM_LOOKS),
        ([(None, 0.9), CALM], ["the machine is busy", ""], CALM_LOOKS),
        ([(40.0, 0.9), (None, 0.9), CALM], ["on battery", "the machine is busy", ""], 4),
        ([(None, 0.9), CALM, (None, 0.9), CALM], ["the machine is busy", ""], 2 + CALM_LOOKS),
    ],
)
def test_training_holds_until_it_has_been_calm_for_a_while(looks, said, waits) -> None:
    scene = Scene(*looks)
    assert check(scene) == said
    assert scene.waits == waits


@pytest.mark.parametrize(
    ("options", "look", "held"),
    [
        ({}, (100.0, 0.0), True),
        ({"leastBattery": 60}, (80.0, 0.0), False),
        ({"leastBattery": 60}, (60.0, 0.0), True),
        ({"mostBusy": 0.9}, (None, 0.8), False),
        ({"mostBusy": 0.0}, (None, 0.01), True),
        ({"mostBusy": 1.0}, (None, 1.0), False),
    ],
)
def test_the_settings_say_when(options, look, held) -> None:
    config, problems = from_client_options({"learning": options})
    assert problems == []
    assert bool(check(Scene(look, CALM), Limits.of(config))) is held


def test_the_machine_is_not_asked_at_every_check() -> None:
    scene = Scene((50.0, 1.0), CALM)
    token = PacedToken(Limits(), pytest.fail, scene, lambda: scene.now)
    scene.now = LOOK_EVERY - 0.1
    token.check()
    assert scene.waits == 0


def test_whoever_is_cancelled_while_it_holds_leaves_at_once() -> None:
    scene = Scene((50.0, 0.0))
    token = PacedToken(Limits(), lambda _: token.cancel(), scene, lambda: scene.now)
    scene.now = LOOK_EVERY
    with pytest.raises(Cancelled):
        token.check()
    assert scene.waits == 1


def test_a_slice_ends_once_something_is_finished_in_it() -> None:
    scene = Scene(CALM)
    token = PacedToken(Limits(slice_seconds=10.0), pytest.fail, scene, lambda: scene.now)
    scene.used = 10.0
    token.check()
    token.advanced()
    with pytest.raises(SliceOver):
        token.check()
    assert issubclass(SliceOver, Cancelled)


def test_a_slice_lasts_as_long_for_each_thread() -> None:
    config, _ = from_client_options({"learning": {"threads": 2}})
    assert Limits.of(config).slice_seconds == 2 * Limits().slice_seconds


@pytest.mark.parametrize(
    ("found", "charge"),
    [
        (None, None),
        (SimpleNamespace(percent=71, power_plugged=True), None),
        (SimpleNamespace(percent=71, power_plugged=None), None),
        (SimpleNamespace(percent=71, power_plugged=False), 71.0),
    ],
)
def test_the_mains_count_as_no_battery(monkeypatch, found, charge) -> None:
    monkeypatch.setattr(psutil, "sensors_battery", lambda: found, raising=False)
    assert Machine().battery() == charge


def test_a_platform_without_battery_sensors_is_at_the_mains(monkeypatch) -> None:
    monkeypatch.delattr(psutil, "sensors_battery", raising=False)
    assert Machine().battery() is None


@pytest.mark.parametrize(
    ("used", "own", "share"), [(6.0, 0.0, 0.75), (6.0, 6.0, 0.0), (6.0, 4.0, 0.25), (9.0, 0.0, 1.0)]
)
def test_what_training_itself_uses_makes_no_machine_busy(monkeypatch, used, own, share) -> None:
    """Two processors, four seconds; ``used`` of their eight are busy."""
    clocks = iter([(0.0, 0.0, 0.0), (4.0, used, own)])
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    monkeypatch.setattr(Machine, "_clock", lambda _: next(clocks))
    assert Machine().busy() == pytest.approx(share)


def test_what_our_children_use_is_ours() -> None:
    """Tests and linters that training has started count while they run, and when they ended."""
    loop = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    before = pace._used_by_us()
    with subprocess.Popen(
        [sys.executable, "-c", loop], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        running = pace._used_by_us() - before
        child.communicate(b"\n")
    assert running >= 0.25
    assert pace._used_by_us() - before >= 0.25


def test_the_real_machine_answers() -> None:
    machine = Machine()
    began = machine.worked()
    while machine.worked() - began < 0.05:
        pass
    assert 0.0 <= machine.busy() <= 1.0
    over = threading.Event()
    over.set()
    start = time.monotonic()
    machine.wait(60.0, over)
    assert time.monotonic() - start < 30.0
