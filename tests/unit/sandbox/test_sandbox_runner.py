"""Facts about running programs: what they may do, how each kind of end is told, what is left."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.sandbox import runner
from falcon_lsp.sandbox.limits import Execution, Limits, Status
from falcon_lsp.sandbox.runner import Program, Sandbox, SandboxUnavailableError
from sandbox_escapes import shut_in

pytestmark = pytest.mark.skipif(
    bool(runner.unavailable_reason()), reason=runner.unavailable_reason() or "-"
)
SMALL = Limits(
    cpu_seconds=1, wall_seconds=30.0, memory_bytes=256 * 2**20, file_bytes=2**20, open_files=32,
    threads=8, folder_bytes=4 * 2**20, folder_entries=200, output_bytes=10_000,
)  # fmt: skip


@pytest.fixture(autouse=True)
def scratch_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where programs get their folders; it must be empty after every run."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def run(code: str, **limits: object) -> Execution:
    chosen = dataclasses.replace(SMALL, **limits)
    return Sandbox(chosen, layered=False).run(Program({"main.py": code}))


ALLOWED = {
    "the standard library": "import asyncio, decimal, hashlib, json, random, re, sqlite3, uuid",
    "a file and a folder of its own": (
        "import os, shutil\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('x')\n"
        "os.rename('a/b/c', 'd')\nassert open('d').read() == 'x'\nshutil.rmtree('a')"
    ),
    "a file in the usual place for them": (
        "import tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'x')\n"
        "with tempfile.TemporaryDirectory() as d: open(d + '/x', 'w')"
    ),
    "copies with their modes and times": (
        "import shutil\nopen('x', 'w').write('1')\nshutil.copy2('x', 'y')\nshutil.move('y', 'z')"
    ),
    "threads": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(4) as pool: assert sum(pool.map(abs, [-1, 2])) == 3"
    ),
    "event loops": (
        "import asyncio\nasync def main():\n"
        "    return await asyncio.wait_for(asyncio.to_thread(abs, -1), 5)\n"
        "assert asyncio.run(main()) == 1"
    ),
    "time zones": "import zoneinfo, datetime\nzoneinfo.ZoneInfo('Europe/Berlin')",
    "chance": "import os, random, secrets\nos.urandom(8), secrets.token_hex(), random.random()",
    "a signal to itself": (
        "import os, signal\ngot = []\nsignal.signal(signal.SIGUSR1, lambda *_: got.append(1))\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\nassert got"
    ),
    "no input": "import sys\nassert sys.stdin.read() == ''",
    "a big number": "assert len(str(2**10_000)) > 3000",
}


@pytest.mark.parametrize("code", ALLOWED.values(), ids=ALLOWED.keys())
def test_ordinary_programs_notice_nothing(code: str) -> None:
    execution = run(code, threads=16)
    assert (execution.status, execution.stderr) == (Status.FINISHED, b"")


BOMBS = {
    "endless loop": ("while True: pass", Status.TIMED_OUT, "1 s of processor time"),
    "endless loop that ignores signals": (
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        Status.TIMED_OUT, "1 s of processor time",
    ),
    "memory at once": ("bytearray(2**40)", Status.EXITED, ""),
    "memory by and by": ("x = []\nwhile True: x.append('x' * 2**20)", Status.EXITED, ""),
    "recursion": ("def f(): f()\nf()", Status.EXITED, ""),
    "recursion in C": (
        "import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)",
        Status.KILLED, "SIGSEGV",
    ),
    "crash": ("import ctypes\nctypes.string_at(0)", Status.KILLED, "SIGSEGV"),
    "kill itself": ("import os\nos.kill(os.getpid(), 9)", Status.KILLED, "SIGKILL"),
    "forks": (
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        Status.TIMED_OUT, "processor time",
    ),
    "threads": (
        "import threading, time\nfor _ in range(20):\n"
        "    threading.Thread(target=time.sleep, args=(60,)).start()",
        Status.OVER_LIMIT, "8 threads",
    ),
    "one huge file": (
        "f = open('x', 'wb')\nwhile True: f.write(bytes(2**16))", Status.EXITED, "",
    ),
    "many files": (
        "import time\nfor n in range(201): open(f'{n}', 'w')\ntime.sleep(60)",
        Status.OVER_LIMIT, "200 files",
    ),
    "much in files": (
        "import time\nfor n in range(9): open(f'{n}', 'wb').write(bytes(2**19))\ntime.sleep(60)",
        Status.OVER_LIMIT, "4194304 bytes",
    ),
    "much in deleted files": (
        "import os, time\nkept = []\nfor n in range(9):\n    kept.append(open('x', 'wb'))\n"
        "    kept[-1].write(bytes(2**19))\n    kept[-1].flush()\n    os.remove('x')\n"
        "time.sleep(60)",
        Status.OVER_LIMIT, "4194304 bytes",
    ),
    "one file again and again": (
        "import time\nfor n in range(150): open('x', 'wb').write(bytes(2**19))\ntime.sleep(60)",
        Status.OVER_LIMIT, "16 times",
    ),
    "folders too deep to look into": (
        "import os, time\nfor n in range(150):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)\n"
        "time.sleep(60)",
        Status.OVER_LIMIT, "200 files",
    ),
    "open files": ("kept = [open('/dev/null') for _ in range(99)]", Status.EXITED, ""),
}  # fmt: skip


@pytest.mark.parametrize(("code", "status", "reason"), BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_harms_nobody_else(
    scratch_root: Path, code: str, status: Status, reason: str
) -> None:
    execution = run(code)
    assert execution.status is status
    assert reason in execution.reason
    assert execution.peak_bytes <= SMALL.memory_bytes
    assert shut_in() == []
    assert list(scratch_root.iterdir()) == []


def test_one_that_sleeps_is_ended_by_the_clock() -> None:
    execution = run("import os, time\nos.closerange(0, 99)\ntime.sleep(60)", wall_seconds=0.5)
    assert execution.status is Status.TIMED_OUT
    assert execution.reason == "it ran longer than 0.5 s"


def test_one_that_nobody_waits_for_any_more_is_ended(scratch_root: Path) -> None:
    token = CancellationToken()
    program = Program({"main.py": "import time\ntime.sleep(60)"})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(Sandbox(layered=False).run, program, token)
        while not shut_in():
            time.sleep(0.01)
        token.cancel()
        with pytest.raises(Cancelled):
            running.result(30)
    assert shut_in() == []
    assert list(scratch_root.iterdir()) == []


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_flood_of_output_is_cut_and_does_not_stop_the_program(stream: str) -> None:
    execution = run(f"import sys\nfor _ in range(100): sys.{stream}.write('x' * 10_000)")
    assert execution.status is Status.FINISHED
    assert getattr(execution, stream) == b"x" * SMALL.output_bytes


ENDS = {
    "its last line": ("x = 1", Status.FINISHED, 0),
    "a polite exit": ("import sys\nsys.exit(0)", Status.EXITED, 0),
    "an exit with a code": ("import sys\nsys.exit(7)", Status.EXITED, 7),
    "an exit that nothing can catch": ("import os\nos._exit(0)", Status.EXITED, 0),
    "an exception": ("1 / 0", Status.EXITED, 1),
    "no Python": ("def (", Status.EXITED, 1),
    "an interrupt": ("raise KeyboardInterrupt", Status.KILLED, -2),
    "a guess at the word for the end": (
        "import os\nfor n in range(3, 32):\n    try: os.write(n, b'0' * 32 + b' 1 1\\n')\n"
        "    except OSError: pass\nos._exit(0)", Status.EXITED, 0,
    ),
    "a number without end": (
        "import os\nfor n in range(3, 32):\n    try: os.write(n, b'x 1 ' + b'9' * 5000 + b'\\n')\n"
        "    except OSError: pass", Status.EXITED, 0,
    ),
    "noise in the report": (
        "import os\nfor n in range(3, 32):\n    try: os.write(n, b'\\xff 1 x\\nrefused\\n')\n"
        "    except OSError: pass", Status.EXITED, 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "status", "returncode"), ENDS.values(), ids=ENDS.keys())
def test_each_end_is_told_apart(code: str, status: Status, returncode: int) -> None:
    execution = run(code)
    assert (execution.status, execution.returncode) == (status, returncode)


def test_a_traceback_starts_in_the_program() -> None:
    lines = run("def f():\n    1 / 0\nf()").stderr.decode().splitlines()
    assert lines[1] == '  File "main.py", line 3, in <module>'
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_what_was_used_is_measured() -> None:
    little, much = run(""), run("x = bytearray(100 * 2**20)\nfor _ in range(10**6): pass")
    assert much.peak_bytes - little.peak_bytes == pytest.approx(100 * 2**20, rel=0.05)
    assert much.cpu_seconds > little.cpu_seconds > 0
    assert much.seconds > 0


def test_the_peak_is_the_programs_own_and_not_that_of_who_started_it() -> None:
    ballast = bytearray(300 * 2**20)
    execution = run("x = 1")
    assert execution.peak_bytes < 64 * 2**20
    del ballast


def test_files_are_laid_out_and_results_come_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    source = tmp_path_factory.mktemp("source") / "data.bin"
    source.write_bytes(b"\x00\x01")
    program = Program(
        {"main.py": "from pkg import mod\nopen('out', 'wb').write(mod.DATA)", "data/x": source,
         "pkg/mod.py": b"DATA = open('data/x', 'rb').read()"},
        results=("out", "missing"),
    )  # fmt: skip
    execution = Sandbox(layered=False).run(program)
    assert execution.files == {"out": b"\x00\x01", "missing": b""}


@pytest.mark.parametrize("trick", ["os.symlink(SECRET, 'out')", "os.mkdir('out')"])
def test_no_result_leads_out_of_the_folder(tmp_path: Path, trick: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x", encoding="utf-8")
    program = Program(
        {"main.py": f"import os\nSECRET = {str(secret)!r}\n{trick}"}, results=("out",)
    )
    assert Sandbox(layered=False).run(program).files == {"out": b""}
    secret.unlink()


def test_a_result_is_cut_at_the_limit_of_a_file() -> None:
    program = Program({"main.py": "open('out', 'w').write('x' * 1000)"}, results=("out",))
    sandbox = Sandbox(dataclasses.replace(SMALL, file_bytes=1000), layered=False)
    assert sandbox.run(program).files["out"] == b"x" * 1000


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", ""])
def test_no_file_is_laid_outside_of_the_folder(scratch_root: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        Sandbox(layered=False).run(Program({name: ""}))
    assert list(scratch_root.iterdir()) == []


@pytest.mark.parametrize(
    "hiding",
    [
        "for n in range(1100):\n    os.mkdir('deep')\n    os.chdir('deep')",
        "os.mkdir('a')\nos.mkdir('a/b')\nos.mkdir('c', 0)",
        "open('x', 'w')\nos.symlink('/', 'root')\nos.symlink('loop', 'loop')",
    ],
    ids=["deep", "locked", "links"],
)
def test_the_folder_is_removed_whatever_lies_in_it(scratch_root: Path, hiding: str) -> None:
    run(f"import os\n{hiding}", folder_entries=10_000)
    assert list(scratch_root.iterdir()) == []


def test_installed_packages_are_there_only_if_wanted() -> None:
    files = {"main.py": "import numpy\nassert (numpy.eye(99) @ numpy.eye(99)).sum() == 99"}
    sandbox = Sandbox(Limits(memory_bytes=2**30), layered=False)
    assert b"ModuleNotFoundError" in sandbox.run(Program(files)).stderr
    assert sandbox.run(Program(files, packages=True)).stderr == b""


def test_a_module_is_run_as_python_does_it() -> None:
    program = Program(
        {"pkg/__init__.py": "", "pkg/__main__.py": "import sys\nprint(__name__, sys.argv[1:])"},
        "pkg", ("a", "b"), module=True,
    )  # fmt: skip
    execution = Sandbox(layered=False).run(program)
    assert (execution.status, execution.stdout) == (Status.FINISHED, b"__main__ ['a', 'b']\n")


def test_the_environment_is_the_same_for_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os\nprint(sorted(os.environ), hash('x'))"
    first = run(code).stdout
    monkeypatch.setenv("SOMETHING", "else")
    assert run(code).stdout == first


def test_many_run_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda n: run(f"print({n})").stdout, range(16)))
    assert outputs == [b"%d\n" % n for n in range(16)]


def test_nothing_stays_open() -> None:
    run("")
    before = len(list(Path("/proc/self/fd").iterdir()))
    run("")
    with pytest.raises(ValueError, match="inside"):
        Sandbox(layered=False).run(Program({"..": ""}))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_interpreter_that_is_not_there_runs_nothing(tmp_path: Path) -> None:
    sandbox = Sandbox(layered=False)
    gone = dataclasses.replace(sandbox.interpreter, executable=tmp_path / "python")
    with pytest.raises(SandboxUnavailableError, match="python"):
        dataclasses.replace(sandbox, interpreter=gone).run(Program({"main.py": ""}))


def test_a_program_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    script = (
        "from falcon_lsp.sandbox.runner import Program, Sandbox\n"
        "Sandbox(layered=False).run(Program({'main.py': 'import time; time.sleep(60)'}))"
    )
    starter = psutil.Popen([sys.executable, "-c", script], env={"TMPDIR": str(tmp_path)})
    try:
        while (child := shut_in_child(starter)) is None:
            assert starter.poll() is None
            time.sleep(0.01)  # the kernel tells nobody when a filter is set
    finally:
        starter.kill()
        starter.wait()
    assert psutil.wait_procs([child], timeout=30)[1] == []


def shut_in_child(starter: psutil.Process) -> psutil.Process | None:
    """Return the child once its system calls are filtered, as the kernel tells."""
    for child in starter.children():
        status = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8")
        if "Seccomp:\t2" in status:
            return child
    return None
