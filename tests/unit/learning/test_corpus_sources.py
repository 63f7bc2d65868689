"""Every kind of source gives projects whose files can be read."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from corpus_samples import module, write_folder, write_tasks, write_wheel
from falcon_lsp.learning.corpus.project import Project
from falcon_lsp.learning.corpus.sources import find_projects

PYPROJECT = '[project]\nname = "walker"\nversion = "2.1"\nlicense = "BSD-3-Clause"\n'


def read(project: Project) -> dict[str, str]:
    with project.open() as files:
        return {path: load().decode() for path, load in files.items()}


def only(source: Path | str, benchmarks: Path = Path()) -> Project:
    (project,) = find_projects([str(source)], benchmarks)
    return project


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


def test_of_a_git_checkout_the_commit_counts_and_not_the_folder(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "somewhere", {"pyproject.toml": PYPROJECT, "w/a.py": module(1)})
    git(root, "init", "--quiet")
    git(root, "remote", "add", "origin", "ssh://example.org/people/walker-source.git")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "First")
    write_folder(root, {"w/a.py": module(2), "w/untracked.py": module(3)})
    project = only(root)
    assert (project.name, project.version, project.licence) == ("walker", "2.1", "BSD-3-Clause")
    assert project.aliases == ("somewhere", "walker-source")
    assert read(project) == {"w/a.py": module(1)}


def test_of_a_plain_folder_its_own_files_count(tmp_path: Path) -> None:
    licence = "Permission is hereby granted, free of charge, to any person"
    files = {"LICENSE": licence, "w/a.py": module(1), ".venv/lib/b.py": module(2)}
    project = only(write_folder(tmp_path / "walker", files))
    assert (project.name, project.licence) == ("walker", "MIT")
    assert list(read(project)) == ["w/a.py"]


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        ({"license": "ISC"}, "ISC"),
        ({"license": {"type": "MIT", "url": "there"}}, "MIT"),
        ({"licenses": [{"type": "MIT"}, {"type": "GPL-2.0"}]}, "MIT OR GPL-2.0"),
        ({}, ""),
    ],
)
def test_npm_packages_state_their_licence(
    tmp_path: Path, stated: dict[str, object], licence: str
) -> None:
    manifest = json.dumps({"name": "left", "version": "1.2.3", **stated})
    write_folder(tmp_path / "node_modules", {"left/package.json": manifest})
    project = only(tmp_path / "node_modules")
    assert (project.name, project.version, project.licence) == ("left", "1.2.3", licence)


def test_npm_packages_are_found_scoped_and_nested_and_apart(tmp_path: Path) -> None:
    script = "export const add = (a, b) => a + b;\n" * 20
    files = {
        "@team/tool/package.json": '{"name": "@team/tool"}',
        "@team/tool/src/fixtures/package.json": '{"name": "no-package"}',
        "@team/tool/lib/a.js": script,
        "@team/tool/node_modules/inner/package.json": '{"name": "inner"}',
        "@team/tool/node_modules/inner/b.js": script,
    }
    write_folder(tmp_path / "node_modules", files)
    projects = find_projects([str(tmp_path / "node_modules")], Path())
    assert {p.name: [f for f in read(p) if f.endswith(".js")] for p in projects} == {
        "@team/tool": ["@team/tool/lib/a.js"],
        "inner": ["inner/b.js"],
    }


def test_a_source_distribution_is_read_like_a_wheel(tmp_path: Path) -> None:
    files = {
        "walker-2.1/PKG-INFO": "Name: walker\nVersion: 2.1\nLicense: MIT\n",
        "walker-2.1/walker/a.py": module(1),
    }
    with tarfile.open(tmp_path / "walker-2.1.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    project = only(tmp_path)
    assert (project.name, project.version, project.licence) == ("walker", "2.1", "MIT")
    assert read(project) == {"walker/a.py": module(1)}


def test_files_of_a_wheel_stand_where_they_are_installed(tmp_path: Path) -> None:
    inside = {"walker-1.0.data/purelib/walker/a.py": module(1), "walker/b.py": module(2)}
    project = only(write_wheel(tmp_path, "walker", inside))
    assert list(read(project)) == ["walker/a.py", "walker/b.py"]


def test_the_first_source_that_has_a_project_counts(tmp_path: Path) -> None:
    first = write_wheel(tmp_path / "one", "Two.Words", {"a/core.py": module(1)})
    second = write_wheel(tmp_path / "two", "two-words", {"b/core.py": module(2)})
    (project,) = find_projects([str(first), str(second)], Path())
    assert list(read(project)) == ["a/core.py"]


def test_the_standard_library_comes_without_its_tests() -> None:
    project = only("stdlib")
    with project.open() as files:
        folders = {part for path in files for part in path.split("/")[:-1]}
        assert {"json/decoder.py", "heapq.py"} <= set(files)
    assert not folders & {"test", "tests", "site-packages", "lib2to3", "__pycache__"}


def test_what_is_installed_is_read_from_its_metadata() -> None:
    projects = {p.name.lower(): p for p in find_projects(["installed"], Path())}
    assert "MIT" in projects["pytest"].licence
    with projects["pytest"].open() as files:
        assert "_pytest/fixtures.py" in files


def test_of_mbpp_only_the_training_tasks_are_read(tmp_path: Path) -> None:
    tasks = [
        {"task_id": n, "text": "Add.", "code": "def add(a):\n  return a", "test_list": ["no"]}
        for n in (11, 600, 601, 974)
    ]
    write_tasks(tmp_path / "mbpp.jsonl.gz", tasks)
    files = read(only("mbpp-train", tmp_path))
    assert list(files) == ["mbpp/task_601.py", "mbpp/task_974.py"]
    assert files["mbpp/task_601.py"] == 'def add(a):\n  """Add."""\n  return a\n'
