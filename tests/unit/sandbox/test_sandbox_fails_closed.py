"""Facts about a sandbox that cannot be set up: nothing runs, and the error says why."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from falcon_lsp.sandbox import landlock, runner, seccomp
from falcon_lsp.sandbox.interpreter import Interpreter
from falcon_lsp.sandbox.limits import Limits, Status
from falcon_lsp.sandbox.runner import Program, Sandbox, SandboxUnavailableError

linux = pytest.mark.skipif(sys.platform != "linux", reason="there is nothing to set up here")
PROGRAM = Program({"main.py": "print('it runs')"})
REAL = seccomp.assemble("x86_64")


@pytest.fixture(autouse=True)
def probed_anew() -> Iterator[None]:
    runner.unavailable_reason.cache_clear()
    yield
    runner.unavailable_reason.cache_clear()


def refused(sandbox: Sandbox | None = None) -> str:
    """Return why the program did not run."""
    with pytest.raises(SandboxUnavailableError) as raised:
        (sandbox or Sandbox(layered=False)).run(PROGRAM)
    return str(raised.value)


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_run_nothing_and_say_so(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    sandbox = Sandbox(layered=False)
    monkeypatch.setattr(sys, "platform", system)
    assert "on Linux only" in runner.unavailable_reason()
    assert "on Linux only" in refused(sandbox)


@linux
def test_without_landlock_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "probe", lambda: 0)
    assert "no Landlock" in refused()


@linux
def test_on_an_unknown_machine_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner.os, "uname", lambda: type("Name", (), {"machine": "riscv64"}))
    assert "riscv64" in refused()


LANDLOCK = {
    "accesses that the kernel does not know": ([1 << 60], None, "landlock: Invalid argument"),
    "no accesses": ([0], None, "landlock: No message"),
    "a rule for a path that is gone": (None, [("/nowhere", 4)], "No such file"),
    "a rule for everything": (None, [("/", landlock.READ)], "Landlock is set up and does not hold"),
}


@linux
@pytest.mark.parametrize(("attributes", "rules", "why"), LANDLOCK.values(), ids=LANDLOCK.keys())
def test_without_its_files_confined_nothing_runs(
    monkeypatch: pytest.MonkeyPatch, attributes: object, rules: object, why: str
) -> None:
    if attributes is not None:
        monkeypatch.setattr(landlock, "attributes", lambda _abi: attributes)
        monkeypatch.setattr(landlock, "rules", lambda *_: [])
    if rules is not None:
        monkeypatch.setattr(landlock, "rules", lambda *_: rules)
    assert why in refused()


FILTERS = {
    "empty": ([], "prctl: Invalid argument"),
    "not a program": ([(0xFF, 0, 0, 0)], "prctl: Invalid argument"),
    "allowing everything": ([(6, 0, 0, seccomp.ALLOW)], "seccomp is set up and does not hold"),
    "for another machine": (seccomp.assemble("aarch64"), "no answer"),
}


@linux
@pytest.mark.parametrize(("code", "why"), FILTERS.values(), ids=FILTERS.keys())
def test_without_its_calls_filtered_nothing_runs(
    monkeypatch: pytest.MonkeyPatch, code: object, why: str
) -> None:
    monkeypatch.setattr(seccomp, "assemble", lambda _machine: code)
    assert why in refused()


@linux
def test_without_its_limits_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sandbox, "_kernel_limits", lambda _: {"RLIMIT_CPU": (2, 1)})
    assert "limit" in refused()


@linux
def test_without_a_parent_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner.os, "getpid", lambda: 1)
    assert "is gone" in refused()


@linux
def test_an_interpreter_that_fails_runs_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o700)
    assert "broken" in refused(Sandbox(Limits(), Interpreter(broken, ()), layered=False))


@linux
@pytest.mark.parametrize("abi", range(1, 8))
def test_older_kernels_are_asked_for_what_they_know(
    monkeypatch: pytest.MonkeyPatch, abi: int
) -> None:
    if landlock.probe() < abi:
        pytest.skip("this kernel is older")
    monkeypatch.setattr(landlock, "probe", lambda: abi)
    assert Sandbox(layered=False).run(PROGRAM).status is Status.FINISHED
