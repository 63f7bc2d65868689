"""What git ignores: the same verdicts as git's own, read again when a file changes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from falcon_lsp.memory.gitignore import FRESH_SECONDS, GitIgnores

FILES = {
    ".gitignore": "*.log\n/build/\nlocal/**\n!local/kept.py\nsecret*\n# no\n\\#odd\n*.tmp \n",
    "pkg/.gitignore": "!keep.log\ngenerated_*.py\nnested/*\n!nested/yes.py\n",
    "pkg/deep/.gitignore": "*\n!*/\n!*.py\n",
    ".git/info/exclude": "mine.txt\n",
}
PATHS = [
    "a.py", "a.log", "pkg/a.log", "pkg/keep.log", "build/x.py", "pkg/build/x.py", "local/x.py",
    "local/kept.py", "local/a/b.py", "secret.py", "pkg/secrets/a.py", "pkg/generated_a.py",
    "generated_a.py", "pkg/nested/no.py", "pkg/nested/yes.py", "pkg/deep/a.py", "pkg/deep/a.txt",
    "pkg/deep/er/a.py", "pkg/deep/er/a.txt", "#odd", "mine.txt", "pkg/mine.txt", "x.tmp",
]  # fmt: skip


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is the judge here")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    write(tmp_path, FILES)
    write(tmp_path, dict.fromkeys(PATHS, ""))
    return tmp_path


def test_it_agrees_with_git(repository: Path) -> None:
    said = subprocess.run(
        ["git", "-c", "core.excludesFile=", "check-ignore", *PATHS],
        cwd=repository, capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    ignores = GitIgnores()
    mine = [path for path in PATHS if ignores.ignores(repository.as_uri(), path)]
    assert mine == [line.strip('"') for line in said]
    assert 8 < len(mine) < len(PATHS) - 4


def test_a_workspace_below_the_repository_goes_by_the_repository(repository: Path) -> None:
    ignores = GitIgnores()
    workspace = (repository / "pkg").as_uri()
    assert ignores.ignores(workspace, "a.log")
    assert ignores.ignores(workspace, "generated_a.py")
    assert not ignores.ignores(workspace, "keep.log")


def test_a_changed_file_counts_after_a_moment_and_asks_the_disk_no_sooner(tmp_path: Path) -> None:
    now = 0.0
    ignores = GitIgnores(clock=lambda: now)
    workspace = tmp_path.as_uri()
    assert not ignores.ignores(workspace, "a.py")
    (tmp_path / ".gitignore").write_text("a.py\n")
    assert not ignores.ignores(workspace, "a.py")
    now += FRESH_SECONDS + 0.1
    assert ignores.ignores(workspace, "a.py")


@pytest.mark.parametrize("workspace", ["", "untitled:", "vscode-vfs://github/a/b", "file:///none"])
def test_where_there_are_no_files_nothing_is_ignored(workspace: str) -> None:
    assert not GitIgnores().ignores(workspace, "a.log")


def test_odd_paths_and_contents_ignore_nothing(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe[\x00\n!!\n[[\nok.py\n")
    ignores = GitIgnores()
    assert not ignores.ignores(tmp_path.as_uri(), "../ok.py")
    assert not ignores.ignores(tmp_path.as_uri(), "/".join(["d"] * 100))
    assert ignores.ignores(tmp_path.as_uri(), "ok.py")
