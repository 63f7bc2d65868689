"""Files on disk hold all of the old or all of the new."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from falcon_lsp.core.paths import Busy, Store, atomic_write, folder_of, local_path, locked


def test_a_failed_write_leaves_the_old_content_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "pointer.json"
    atomic_write(target, b"old")

    def broken(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="No space"):
        atomic_write(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["pointer.json"]


def test_a_lock_is_held_across_processes_and_dies_with_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / "one.lock"
    script = (
        "import sys; from pathlib import Path; from falcon_lsp.core.paths import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == b"held"
    with pytest.raises(Busy), locked(lock):
        pass
    holder.kill()
    holder.wait(10)
    with locked(lock, timeout=5):
        pass


def test_environment_names_the_folders_unless_a_setting_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALCON_DATA_DIR", str(tmp_path / "env"))
    assert Store.default().data == tmp_path / "env"
    assert Store.default(data=str(tmp_path / "set")).data == tmp_path / "set"


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "store" / "pointer.json"
    atomic_write(target, b"{}")
    assert target.stat().st_mode & 0o077 == 0
    assert target.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("uri", "posix", "windows"),
    [
        ("file:///home/me/a%20b", "/home/me/a b", "/home/me/a b"),
        ("file:///c%3A/code", "/c:/code", "c:/code/"),
        ("file:///C:/code", "/C:/code", "C:/code/"),
        ("file:///c%3A", "/c:", "c:/"),
        ("file://localhost/code", "/code", "/code"),
        ("file://host/share/code", None, "//host/share/code"),
        ("file:///%FF", "/\udcff", "/\udcff"),
        ("file://", None, None),
        ("file://[", None, None),
        ("untitled:Untitled-1", None, None),
        ("vscode-remote://host/code", None, None),
        ("", None, None),
    ],
)
def test_a_uri_names_a_folder_as_each_system_writes_it(
    uri: str, posix: str | None, windows: str | None
) -> None:
    assert local_path(uri, windows=False) == posix
    assert local_path(uri, windows=True) == windows


def test_the_uri_of_a_folder_leads_back_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "f\u00f6lder #1"
    assert folder_of(folder.as_uri()) == folder
