"""Facts about judging model-written programs: what passes, and what harms nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation import execution
from evaluation.execution import Verdict, execute, execute_all
from falcon_lsp.sandbox import runner
from falcon_lsp.sandbox.limits import Limits

pytestmark = pytest.mark.skipif(not execution.can_execute(), reason="there is no sandbox here")
QUICK = Limits(cpu_seconds=1, wall_seconds=10.0)

PASSING = {
    "nothing": "",
    "a true assertion": "assert 1 + 1 == 2",
    "printing, more than a pipe holds": "print('passed ' * 100_000)",
    "reading standard input": "import sys\nassert sys.stdin.read() == ''",
    "the standard library": "import math, re, hashlib, random, itertools, heapq, typing, datetime",
    "a file in its own folder": "open('x', 'w').write('1')\nassert open('x').read() == '1'",
    "what only a script would do": "if __name__ == '__main__':\n    assert False",
    "a dataclass": "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int\nA(1)",
}
FAILING = {
    "a false assertion": "assert False",
    "no Python": "def (",
    "an early, polite exit": "import sys\nsys.exit(0)\nassert False",
    "an exit that nothing can catch": "import os\nos._exit(0)\nassert False",
    "an exit that says it passed": "import os\nprint('passed')\nos._exit(0)",
    "a guess at the secret": "import os\nos.write(3, b'0' * 32)\nos._exit(0)",
    "all the memory": "x = bytearray(8 * 2**30)",
    "all the memory, by and by": "x = []\nwhile True:\n    x.append('x' * 2**20)",
    "endless recursion": "def f(): f()\nf()",
    "a file that never ends": "f = open('x', 'wb')\nwhile True:\n    f.write(b'x' * 2**16)",
    "a fork": "import os\nos.fork()",
    "a shell": "import os\nassert os.system('true') == 0",
    "a process": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])",
    "a connection": "import socket\nsocket.create_connection(('127.0.0.1', 9))",
    "a package that is installed": "import numpy",
    "its own limits": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (99, 99))",
    "another process": "import os, signal\nos.kill(os.getppid(), signal.SIGTERM)",
}


@pytest.mark.parametrize("program", PASSING.values(), ids=PASSING.keys())
def test_a_program_that_reaches_its_end_passes(program: str) -> None:
    assert execute(program, QUICK) is Verdict.PASSED


@pytest.mark.parametrize("program", FAILING.values(), ids=FAILING.keys())
def test_a_program_that_does_not_reach_its_end_fails(program: str) -> None:
    assert execute(program, QUICK) is Verdict.FAILED


def test_a_loop_without_end_is_ended_by_the_limit_on_processor_time() -> None:
    assert execute("while True: pass", QUICK) is Verdict.TIMED_OUT


def test_a_program_that_sleeps_is_ended_by_the_clock() -> None:
    limits = Limits(wall_seconds=0.5)
    assert execute("import time\ntime.sleep(60)", limits) is Verdict.TIMED_OUT


def test_a_fork_bomb_leaves_no_process_behind() -> None:
    import psutil

    before = {process.pid for process in psutil.Process().children(recursive=True)}
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    assert execute(bomb, QUICK) is Verdict.TIMED_OUT
    after = psutil.Process().children(recursive=True)
    assert {process.pid for process in after} <= before


@pytest.mark.parametrize(
    "harm",
    [
        "open(PATH, 'w')",
        "open(PATH, 'a').write('x')",
        "import os\nos.open(PATH, os.O_WRONLY | os.O_TRUNC)",
        "import os\nos.remove(PATH)",
        "import os\nos.rename(PATH, 'mine')",
        "import os\nos.truncate(PATH, 0)",
        "import os\nos.symlink(PATH, 'link')\nopen('link', 'w')",
        "import shutil\nshutil.rmtree(FOLDER)",
        "import pathlib\npathlib.Path(PATH).unlink()",
        "import os\nos.mkdir(FOLDER + '/new')",
    ],
)
def test_nothing_outside_of_its_folder_is_changed(tmp_path: Path, harm: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    names = f"PATH, FOLDER = {str(file)!r}, {str(tmp_path)!r}\n"
    assert execute(names + harm, QUICK) is Verdict.FAILED
    assert file.read_text(encoding="utf-8") == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_each_program_is_alone_in_its_folder() -> None:
    program = "import os\nassert os.listdir() == ['main.py']\nopen('x', 'w')"
    assert [execute(program, QUICK), execute(program, QUICK)] == [Verdict.PASSED] * 2


def test_many_programs_are_judged_in_their_order() -> None:
    programs = ["assert True", "assert False"] * 4
    assert execute_all(programs, QUICK) == [Verdict.PASSED, Verdict.FAILED] * 4


def test_without_a_sandbox_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "unavailable_reason", lambda: "there is no sandbox")
    with pytest.raises(runner.SandboxUnavailableError, match="there is no sandbox"):
        execute("assert True")
