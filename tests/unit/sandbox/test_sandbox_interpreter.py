"""Facts about the Python that runs programs: what is read, and how another one is asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from falcon_lsp.sandbox.interpreter import DEVICES, SYSTEM, Interpreter


def test_asking_another_python_gives_what_it_would_say_itself() -> None:
    assert Interpreter.at(Path(sys.executable)) == Interpreter.current()


def test_no_setting_means_this_python() -> None:
    assert Interpreter.named("") == Interpreter.current()
    assert Interpreter.named(sys.executable) == Interpreter.current()


def test_libraries_are_read_and_no_home_or_whole_installation() -> None:
    readable = Interpreter.current().readable
    assert Path(pytest.__file__).parent.parent in readable
    forbidden = {Path.home(), Path("/"), Path("/etc"), Path("/proc"), Path("/dev"),
                 Path(sys.prefix), Path(sys.base_prefix)}  # fmt: skip
    assert forbidden.isdisjoint({*readable, *SYSTEM, *DEVICES})
    assert not any(Path.home().is_relative_to(path) for path in readable)
    assert all(path.exists() for path in readable)


def test_a_python_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="python"):
        Interpreter.named(str(tmp_path / "python"))
