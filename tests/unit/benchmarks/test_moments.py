"""Moments in commit histories, what filters take from them, and how variants are compared."""

import shutil
import subprocess
from pathlib import Path

import pytest

from evaluation import ablation, commits, filtering
from falcon_lsp.completion import context
from falcon_lsp.completion.candidates import Candidate, Rejection
from falcon_lsp.core.types import CompletionRequest

BEFORE = "def old(argument):\n    return argument\n"
AFTER = f"{BEFORE}\n\ndef fresh(argument):\n    return old(argument) + 12345\n"
USER_BEFORE, USER_AFTER = "import shop\n", "import shop\n\nshop.old(argument=1)\n"

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def history(tmp_path: Path) -> commits.History:
    """A history of two commits; the second changes both files."""
    folder = tmp_path / "shop"
    folder.mkdir()

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        command = ["git", *who, "-C", str(folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(shop: str, user: str) -> None:
        (folder / "shop.py").write_text(shop, encoding="utf-8", newline="\n")
        (folder / "user.py").write_text(user, encoding="utf-8", newline="\n")

    git("init", "--quiet")
    write(BEFORE, USER_BEFORE)
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    write(AFTER, USER_AFTER)
    git("commit", "--quiet", "-a", "-m", "two")
    return commits.History(tmp_path, commits.Project("owner/shop", git("rev-parse", "HEAD")))


@needs_git
def test_a_moment_is_a_commit_half_written(history: commits.History) -> None:
    (moment,) = commits.draw_moments(history, 5)
    request = moment.request
    after = {"shop.py": AFTER, "user.py": USER_AFTER}[request.path]
    whole = request.prefix + moment.hole + request.suffix
    assert whole.split() == after.split()
    assert moment.truth
    assert "\n" not in moment.truth
    assert [document.path for document in moment.documents] == [
        path for path in ("shop.py", "user.py") if path != request.path
    ]


@needs_git
def test_what_was_changed_before_is_a_recent_edit_and_stands_in_its_file(
    history: commits.History,
) -> None:
    (moment,) = commits.draw_moments(history, 5)
    opened = {document.path: document.text for document in moment.documents}
    for edit in moment.edits:
        assert edit.text in opened[edit.path]
    (other,) = opened.items()
    made = other[1] in (AFTER, USER_AFTER)
    assert made == bool(moment.edits)


@needs_git
def test_drawing_again_draws_the_same(history: commits.History) -> None:
    assert commits.draw_moments(history, 5) == commits.draw_moments(history, 5)


def test_projects_are_pinned_and_none_is_in_both_parts() -> None:
    development, reported = map(commits.projects, ("development", "reported"))
    assert all(len(project.head) == 40 for project in development + reported)
    assert not {p.name for p in development} & {p.name for p in reported}


def test_a_filters_mistakes_are_told_from_its_gains() -> None:
    request = CompletionRequest("u", "a.py", "w", "python", 0, "x = ", 4)

    def shorten(candidate: Candidate, _request: CompletionRequest) -> Candidate | Rejection:
        if candidate.text.startswith("bad"):
            return Rejection("bad")
        return Candidate(candidate.text[:4], "model")

    cases = [
        (Candidate("bad", "model"), request, "bad"),
        (Candidate("bad one", "model"), request, "good"),
        (Candidate("good)", "model"), request, "good"),
        (Candidate("right", "model"), request, "right"),
        (Candidate("kept", "model"), request, "kept"),
    ]
    counts = filtering.tolls([shorten], cases)["shorten"].counts
    assert counts == {
        "seen": 5, "dropped": 2, "exact_dropped": 1, "cut": 2, "exact_cut": 1, "made_exact": 1,
    }  # fmt: skip


def test_variants_are_nothing_each_alone_all_and_all_but_each() -> None:
    edits, recalled, other = context.BLOCKS[:3]
    made = ablation.variants((edits, recalled), (other,))
    assert made == {
        "nothing": (),
        "only edits": (edits,),
        "only recalled": (recalled,),
        "only definitions": (other,),
        "all": (edits, recalled),
        "without edits": (recalled,),
        "without recalled": (edits,),
        "with definitions": (edits, recalled, other),
    }


def test_the_summary_compares_the_same_moments() -> None:
    figures = {"line bits": 8.0, "hole bits": 16.0, "snippet tokens": 0.0}
    half = {"line bits": 4.0, "hole bits": 8.0, "snippet tokens": 10.0}
    measured = {
        "a:1": {"bytes": [8, 16], "nothing": figures, "all": half},
        "b:2": {"bytes": [8, 16], "nothing": figures, "all": half},
        "c:3": {"bytes": [8, 16], "nothing": figures},
    }
    found = ablation.summary(measured)
    assert found["all"]["moments"] == [2]
    assert found["nothing"]["line: bits per byte"][0] == 1.0
    assert found["all"]["line: change from nothing"] == [-0.5, -0.5, -0.5]
    assert found["all"]["snippet tokens"] == [10.0]
