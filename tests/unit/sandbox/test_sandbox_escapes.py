"""Facts about the sandbox: what gets out of an ordinary process does not get out of this one."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from falcon_lsp.sandbox.interpreter import Interpreter
from falcon_lsp.sandbox.limits import Execution
from falcon_lsp.sandbox.runner import Program, Sandbox, unavailable_reason
from sandbox_escapes import ATTEMPTS, ESCAPED, PRELUDE, Attempt, shut_in

pytestmark = pytest.mark.skipif(bool(unavailable_reason()), reason=unavailable_reason() or "-")


@dataclasses.dataclass(frozen=True)
class World:
    """What attempts try to reach, and the names by which they know it."""

    root: Path
    names: dict[str, object]

    @property
    def library(self) -> Path:
        return self.root / "library"

    def program(self, code: str) -> str:
        names = "\n".join(f"{name} = {value!r}" for name, value in self.names.items())
        return f"{names}\n{PRELUDE}\n{code}\n"

    def state(self) -> dict[str, tuple[int, int, bytes]]:
        """Return mode, time and content of everything that must stay as it is."""
        return {
            str(path): (
                path.lstat().st_mode,
                path.lstat().st_mtime_ns,
                path.read_bytes() if path.is_file() else b"",
            )
            for path in sorted(self.root.rglob("*"))
        }


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Lay out files, listen on sockets, and hold a secret in the environment and a descriptor."""
    outside, library = tmp_path / "outside", tmp_path / "library"
    secret = secrets.token_hex(16)
    for folder, name in ((outside, "secret"), (library, "module.py")):
        folder.mkdir()
        (folder / name).write_text(secret, encoding="utf-8")
        (folder / name).chmod(0o640)
    shutil.copy(shutil.which("echo") or "/bin/echo", library / "echo")
    monkeypatch.setenv("TEST_TOKEN", secret)
    tcp = socket.create_server(("127.0.0.1", 0))
    unix, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    unix.bind(str(outside / "socket"))
    abstract.bind("\0" + secret)
    datagrams.bind(str(outside / "datagrams"))
    inherited = os.open(outside / "secret", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    for listener in (unix, abstract):
        listener.listen()
    yield World(tmp_path, {
        "OUTSIDE": str(outside), "LIBRARY": str(library), "ECHO": str(library / "echo"),
        "SECRET": secret, "PARENT": os.getpid(), "PORT": tcp.getsockname()[1],
    })  # fmt: skip
    os.close(inherited)
    for sock in (tcp, unix, abstract, datagrams):
        sock.close()


def run_inside(world: World, code: str, *, layered: bool = False) -> Execution:
    python = Interpreter.current()
    seeing = dataclasses.replace(python, readable=(*python.readable, world.library))
    return Sandbox(interpreter=seeing, layered=layered).run(
        Program({"main.py": world.program(code)})
    )


def run_outside(world: World, code: str) -> bool:
    """Return whether an attempt gets through where nothing holds it, in a copy of its folder."""
    own = world.root / "own"
    own.mkdir()
    (own / "main.py").write_text(world.program(code), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-S", "main.py"], cwd=own, stdin=subprocess.DEVNULL, close_fds=False,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ESCAPED in done.stdout


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_what_gets_through_outside_does_not_inside(world: World, attempt: Attempt) -> None:
    before = world.state()
    execution = run_inside(world, attempt.code)
    assert ESCAPED not in execution.stdout.decode()
    assert world.state() == before
    assert shut_in() == []
    gets_through = run_outside(world, attempt.code)
    if attempt.everywhere:
        assert gets_through
    elif not gets_through:
        pytest.skip("refused by this machine itself")


def test_there_are_as_many_attempts_as_promised() -> None:
    assert len(ATTEMPTS) >= 30
