"""The Python that runs programs, and the files that it needs to see for that."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SYSTEM = tuple(map(Path, (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/etc/ld.so.cache",
    "/usr/share/zoneinfo", "/etc/localtime", "/etc/mime.types",
)))  # fmt: skip
"""Shared libraries, time zones, and the table of file types: the same on every machine."""

DEVICES = tuple(map(Path, ("/dev/null", "/dev/zero", "/dev/urandom")))

_LIBRARIES = ("stdlib", "platstdlib", "purelib", "platlib")
_ASK = (
    "import json, sys, sysconfig; print(json.dumps([sys.prefix, sys.base_prefix, "
    f"*map(sysconfig.get_path, {_LIBRARIES})]))"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """``readable`` are its libraries and packages, and those of the system."""

    executable: Path
    readable: tuple[Path, ...]

    @classmethod
    def current(cls) -> Interpreter:
        """Return the Python that runs this very code."""
        paths = [sysconfig.get_path(name) for name in _LIBRARIES]
        return cls(Path(sys.executable), _readable(sys.prefix, sys.base_prefix, paths))

    @classmethod
    def named(cls, setting: str) -> Interpreter:
        """Return the Python that a setting names; an empty one means this one."""
        return cls.at(Path(setting).expanduser()) if setting else cls.current()

    @classmethod
    @cache
    def at(cls, executable: Path) -> Interpreter:
        """Ask another Python where its files are: it is executed, so it has to be trusted.

        Raises `OSError` or `subprocess.SubprocessError` when it cannot say.
        """
        done = subprocess.run(  # noqa: S603 - the caller vouches for the executable
            [str(executable), "-I", "-c", _ASK],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        prefix, base, *paths = json.loads(done.stdout)
        return cls(executable, _readable(prefix, base, paths))


def _readable(prefix: str, base: str, paths: list[str]) -> tuple[Path, ...]:
    """Return what must be seen: never a whole prefix, which may be a home folder."""
    folders = [Path(root) / name for root in (base, prefix) for name in ("lib", "lib64")]
    candidates = [*map(Path, paths), *folders, Path(prefix) / "pyvenv.cfg", *SYSTEM]
    return tuple(dict.fromkeys(path for path in candidates if path.exists()))
