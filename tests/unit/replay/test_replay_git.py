"""Histories of every kind are read as they are, and nothing that they name is executed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from falcon_lsp.replay.errors import ReplayError
from falcon_lsp.replay.git import Git, _name
from falcon_lsp.replay.sources import MAX_BYTES, Folder, History
from replay_samples import Made, git, repository


def walked(folder: Path) -> list[list[tuple[str, str, str]]]:
    """Return each step's changes as (path, before, after)."""
    with Git(folder) as opened:
        source = History(opened)
        return [
            [(c.path, c.before, c.after) for c in source.changes(step)]
            for step in range(len(source.steps))
        ]


def test_commits_come_oldest_first_with_what_stood_before(tmp_path):
    folder = repository(tmp_path, [{"a.py": "x = 1\n"}, {"a.py": "x = 1\ny = 2\n"}])
    assert walked(folder) == [
        [("a.py", "", "x = 1\n")],
        [("a.py", "x = 1\n", "x = 1\ny = 2\n")],
    ]


def test_commits_without_a_known_language_are_no_steps(tmp_path):
    folder = repository(tmp_path, [{"README": "a\n"}, {"b.ts": "let a = 1;\n"}, {"c.txt": "no\n"}])
    assert walked(folder) == [[("b.ts", "", "let a = 1;\n")]]


def test_a_renamed_file_goes_on_under_its_new_name(tmp_path):
    text = "".join(f"value_{n} = {n}\n" for n in range(20))
    folder = repository(tmp_path, [{"old.py": text}, {"old.py": None, "new.py": text + "z = 1\n"}])
    assert walked(folder)[1] == [("new.py", text, text + "z = 1\n")]


def test_a_merge_is_one_change_of_the_main_line(tmp_path):
    folder = repository(tmp_path, [
        {"a.py": "x = 1\n"},
        Made({"side.py": "s = 1\n"}, onto=1),
        Made({"a.py": "x = 2\n"}, onto=1),
        Made({"side.py": "s = 1\n"}, merges=[2], onto=3),
    ])  # fmt: skip
    assert walked(folder) == [
        [("a.py", "", "x = 1\n")],
        [("a.py", "x = 1\n", "x = 2\n")],
        [("side.py", "", "s = 1\n")],
    ]


@pytest.mark.parametrize(
    "content",
    [b"\x00\x01binary\n", "caf\u00e9 = 1\n".encode("latin-1"), b"#" * (MAX_BYTES + 1)],
    ids=["binary", "not UTF-8", "huge"],
)
def test_what_nobody_can_type_is_left_out(tmp_path, content):
    folder = repository(tmp_path, [{"a.py": content, "b.py": "ok = 1\n"}])
    assert walked(folder) == [[("b.py", "", "ok = 1\n")]]


def test_deleted_files_links_and_submodules_are_left_out(tmp_path):
    folder = repository(tmp_path, [
        {"a.py": "x = 1\n", "b.py": "y = 1\n"},
        Made({"a.py": None, "link.py": "b.py", "b.py": "y = 2\n"}, modes={"link.py": "120000"}),
    ])  # fmt: skip
    assert walked(folder)[1] == [("b.py", "y = 1\n", "y = 2\n")]
    with Git(folder) as opened:
        assert set(opened.tree(opened.head())) == {"b.py"}


def test_a_bare_repository_reads_the_same(tmp_path):
    commits = [{"a.py": "x = 1\n"}, {"a.py": "x = 2\n"}]
    bare = repository(tmp_path / "bare.git", commits, bare=True)
    assert walked(bare) == walked(repository(tmp_path / "plain", commits))


def test_the_oldest_commit_of_a_shallow_clone_is_not_typed(tmp_path):
    origin = repository(tmp_path / "o", [{"a.py": "x = 1\n"}, {"a.py": "x = 2\n"}, {"a.py": "y\n"}])
    for depth, steps in ((2, 1), (1, 0)):
        clone = tmp_path / f"clone{depth}"
        git(tmp_path, "clone", "-q", f"--depth={depth}", origin.as_uri(), str(clone))
        if steps:
            assert len(walked(clone)) == steps
        else:
            with pytest.raises(ReplayError, match="unshallow"):
                walked(clone)


@pytest.mark.parametrize(
    ("commits", "sentence"),
    [([], "has no commits yet"), ([{"a.txt": "a"}], "touches Python")],
    ids=["empty", "other languages"],
)
def test_a_history_without_work_is_one_sentence(tmp_path, commits, sentence):
    with pytest.raises(ReplayError, match=sentence):
        walked(repository(tmp_path, commits))


def test_a_folder_outside_git_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))  # is dropped: harmless
    with pytest.raises(ReplayError, match="not in a git repository"):
        Git(tmp_path)


def test_nothing_that_a_repository_names_is_executed(tmp_path):
    text = "x = 1\n"
    folder = repository(tmp_path / "r", [{"a.py": text, ".gitattributes": "*.py diff=evil\n"},
                                         {"a.py": text * 2}])  # fmt: skip
    git(folder, "checkout", "-q", "-f", "main")
    witness = tmp_path / "witness"
    script = tmp_path / "evil.py"
    script.write_text(f"open({str(witness)!r}, 'a').write('ran')\n")
    run = f'"{sys.executable}" "{script}"'.replace("\\", "/")
    for key in ("core.fsmonitor", "diff.external", "diff.evil.textconv", "diff.evil.command",
                "core.pager", "core.sshCommand", "gpg.program", "core.alternateRefsCommand",
                "filter.evil.smudge", "uploadpack.packObjectsHook"):  # fmt: skip
        git(folder, "config", key, run)
    git(folder, "config", "log.showSignature", "true")
    git(folder, "config", "core.hooksPath", str(tmp_path))
    assert len(walked(folder)) == 2
    assert not witness.exists()
    subprocess.run([sys.executable, str(script)], check=True)
    assert witness.exists()  # the trap would have sprung


def test_reading_writes_nothing(tmp_path):
    folder = repository(tmp_path, [{"a.py": "x = 1\n"}])
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    walked(folder)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


@pytest.mark.parametrize(
    "raw",
    [b"../a.py", b"a/../../b.py", b"/etc/a.py", b".git/hooks/a.py", b"a/.GIT/b.py",
     b"c:\\a.py", b"a\\..\\b.py", b"\xff.py", b"a\nb.py", b""],
)  # fmt: skip
def test_names_that_lead_out_of_a_folder_are_refused(raw):
    assert _name(raw) is None


def test_a_folder_is_typed_file_by_file_in_the_order_of_paths(tmp_path):
    for name in ("b.py", "a/z.py", "node_modules/m.js", ".hidden/h.py", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"name = {name!r}\n")
    source = Folder(tmp_path)
    assert source.steps == ["a/z.py", "b.py"]
    assert dict(source.tree(1)) == {"a/z.py": "a/z.py"}
    (change,) = source.changes(1)
    assert (change.path, change.before) == ("b.py", "")


def test_a_folder_without_code_is_one_sentence(tmp_path):
    with pytest.raises(ReplayError, match="holds no Python"):
        Folder(tmp_path)
