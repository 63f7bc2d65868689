"""Facts about the second wall: it stands where it can, and the first one stands without it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from falcon_lsp.sandbox import bubblewrap
from falcon_lsp.sandbox.interpreter import Interpreter
from falcon_lsp.sandbox.limits import Execution, Limits, Status
from falcon_lsp.sandbox.runner import Program, Sandbox, unavailable_reason

HERE = Interpreter.current()
linux = pytest.mark.skipif(bool(unavailable_reason()), reason=unavailable_reason() or "-")
layered = pytest.mark.skipif(not bubblewrap.works(HERE), reason="bubblewrap does not work here")


@pytest.fixture
def probed_anew() -> Iterator[None]:
    bubblewrap.works.cache_clear()
    yield
    bubblewrap.works.cache_clear()


@linux
@pytest.mark.usefixtures("probed_anew")
@pytest.mark.parametrize("script", [None, "#!/bin/sh\nexit 1\n"], ids=["missing", "failing"])
def test_without_it_the_first_wall_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    if script:
        (tmp_path / "bwrap").write_text(script, encoding="utf-8")
        (tmp_path / "bwrap").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox = Sandbox()
    assert "bubblewrap" not in sandbox.layers()
    assert sandbox.run(Program({"main.py": "x = 1"})).status is Status.FINISHED


def test_it_sees_what_it_is_told_and_writes_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    python = Interpreter(Path("/opt/python"), (Path("/opt/lib"),))
    words = bubblewrap.command(python, (Path("/opt/child.py"),), tmp_path)
    text = " ".join(words)
    assert words[0] == "/usr/bin/bwrap"
    assert "--unshare-all --die-with-parent --cap-drop ALL" in text
    assert [words[at + 1] for at, word in enumerate(words) if word == "--ro-bind"] == [
        "/opt/child.py", "/opt/lib", "/opt/python",
    ]  # fmt: skip
    assert text.endswith(f"--bind {tmp_path} {tmp_path} --chdir {tmp_path} --")
    assert text.count("--bind ") == 1


def run(code: str, limits: Limits | None = None) -> Execution:
    return Sandbox(limits or Limits()).run(Program({"main.py": code}))


@layered
def test_what_the_first_wall_refuses_is_not_even_there() -> None:
    assert "bubblewrap" in Sandbox().layers()
    code = "import os\nfor path in ('/etc/passwd', '/home', '/root', '/var'):\n    print(path)\n"
    seen = run(code + "print([p for p in ('/etc/passwd', '/home', '/var') if os.path.exists(p)])")
    assert seen.stdout.decode().splitlines()[-1] == "[]"


@layered
@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("x = 1", Status.FINISHED, ""),
        ("1 / 0", Status.EXITED, ""),
        ("import os\nos.kill(os.getpid(), 9)", Status.KILLED, "SIGKILL"),
        ("while True: pass", Status.TIMED_OUT, "1 s of processor time"),
        (
            "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
            Status.TIMED_OUT, "1 s of processor time",
        ),
        (
            "import os, time\nfor n in range(99): open(str(n), 'w')\ntime.sleep(60)",
            Status.OVER_LIMIT, "50 files",
        ),
        (
            "import threading, time\nfor _ in range(9):\n"
            "    threading.Thread(target=time.sleep, args=(60,)).start()",
            Status.OVER_LIMIT, "8 threads",
        ),
    ],
)  # fmt: skip
def test_each_end_is_told_as_without_it(code: str, status: Status, reason: str) -> None:
    limits = Limits(cpu_seconds=1, wall_seconds=30.0, folder_entries=50, threads=8)
    execution = run(code, limits)
    assert execution.status is status
    assert reason in execution.reason
    assert psutil.Process().children(recursive=True) == []


@layered
def test_one_that_sleeps_is_ended_by_the_clock() -> None:
    execution = run("import time\ntime.sleep(60)", Limits(wall_seconds=1.0))
    assert execution.status is Status.TIMED_OUT
    assert psutil.Process().children(recursive=True) == []


@layered
def test_what_was_used_is_measured_inside() -> None:
    execution = run("x = bytearray(100 * 2**20)\nfor _ in range(3 * 10**6): pass")
    assert execution.peak_bytes > 100 * 2**20
    assert execution.cpu_seconds > 0.05
