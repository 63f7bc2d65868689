"""Facts about the workspace's tests as evidence: only when asked for, only where they can say."""

from __future__ import annotations

import dataclasses
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from episodes_factory import episode
from falcon_lsp.config import Config, from_client_options
from falcon_lsp.core.cancellation import CancellationToken, Cancelled
from falcon_lsp.core.paths import Store
from falcon_lsp.core.types import Outcome, Prompt
from falcon_lsp.learning.rewards import Appraiser, Verdict, WorkspaceTests, reward_all, workspace
from falcon_lsp.learning.rewards.workspace import in_place
from falcon_lsp.memory.episodes import Episode
from falcon_lsp.sandbox import suite as suite_module
from falcon_lsp.sandbox.interpreter import Interpreter
from falcon_lsp.sandbox.runner import unavailable_reason

sandboxed = pytest.mark.skipif(bool(unavailable_reason()), reason=unavailable_reason() or "-")
HEAD, TAIL = "def add(a, b):\n    return ", "\n\n\ndef half(a):\n    return a / 2\n"
TESTS = (
    "from pkg.mod import add, half\n"
    "def test_add(): assert add(1, 2) == 3\n"
    "def test_text(): assert add('a', 'b') == 'ab'\n"
    "def test_half(): assert half(4) == 2\n"
    "def test_broken(): assert half(0) == 1\n"
)


@pytest.fixture(autouse=True)
def quick_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load none of the plugins that are installed here: some take seconds."""
    names = {plugin.name for plugin in entry_points(group="pytest11")}
    without = tuple(word for name in sorted(names) for word in ("-p", f"no:{name}"))
    monkeypatch.setattr(suite_module, "_OPTIONS", (*suite_module._OPTIONS, *without))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {"pkg/__init__.py": "", "pkg/mod.py": f"{HEAD}a + b{TAIL}", "tests/test_mod.py": TESTS}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def tests() -> WorkspaceTests:
    return WorkspaceTests(Interpreter.current())


def told(root: Path, text: str, **about: object) -> Episode:
    """Return an episode of `root`, whose developer settled on ``a + b``."""
    made = episode(text=text, **{"stands": "a + b", **about})
    prompt = Prompt("pkg/mod.py", HEAD, TAIL)
    suggestion = dataclasses.replace(made.suggestion, prompt=prompt)
    return dataclasses.replace(made, workspace=root.as_uri(), suggestion=suggestion)


def verdicts(tests: WorkspaceTests, one: Episode) -> list[str]:
    return [str(outcome.verdict) for outcome in tests.outcomes(one)]


@sandboxed
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b", [Verdict.PASSED] * 3),
        ("3", [Verdict.PASSED, Verdict.FAILED, Verdict.PASSED]),
        ("a - b", [Verdict.FAILED, Verdict.RAISED, Verdict.PASSED]),
        ("a +", [Verdict.RAISED] * 3),
    ],
)
def test_a_suggestion_is_judged_in_place_by_what_passes_without_it(
    tests: WorkspaceTests, root: Path, text: str, expected: list[Verdict]
) -> None:
    assert verdicts(tests, told(root, text)) == expected
    assert (root / "pkg/mod.py").read_text(encoding="utf-8") == f"{HEAD}a + b{TAIL}"


@sandboxed
def test_the_file_as_it_is_is_run_once(
    tests: WorkspaceTests, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    judge = suite_module.Suite.judge
    monkeypatch.setattr(
        suite_module.Suite,
        "judge",
        lambda self, path, text, token: runs.append(text) or judge(self, path, text, token),
    )
    for text in ("a + b", "3", "a + b"):
        tests.outcomes(told(root, text))
    assert runs == [f"{HEAD}a + b{TAIL}", f"{HEAD}3{TAIL}"]


@sandboxed
def test_rewards_go_by_the_tests(tests: WorkspaceTests, root: Path) -> None:
    rejected = {"what": Outcome.REJECTED}
    good, bad = told(root, "a + b"), told(root, "3", **rejected)
    alone = reward_all([good, bad], Appraiser())
    tested = reward_all([good, bad], Appraiser(tests=tests))
    assert "tests" not in alone[0].terms
    assert tested[0].terms["tests"] == 1.0
    assert tested[0].total > alone[0].total
    assert tested[1].terms["tests"] == pytest.approx((2 * 1.0 - 0.3) / 3)


def silent(tests: WorkspaceTests, one: Episode, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether nothing is said of an episode, and nothing run for it."""
    monkeypatch.setattr(suite_module.Suite, "judge", lambda *_: pytest.fail("a test was run"))
    return tests.outcomes(one) == ()


SILENT = {
    "another language": {"language": "javascript"},
    "what stands there was not looked at": {"stands": None, "what": Outcome.REJECTED},
    "what stood there is gone": {"stands": "a * b"},
}


@pytest.mark.parametrize("about", SILENT.values(), ids=SILENT.keys())
def test_where_tests_cannot_say_anything_none_are_run(
    tests: WorkspaceTests, root: Path, monkeypatch: pytest.MonkeyPatch, about: dict[str, object]
) -> None:
    assert silent(tests, told(root, "3", **about), monkeypatch)


@pytest.mark.parametrize("path", ["../outside.py", "/etc/hostname", "pkg/none.py"])
def test_a_file_that_is_not_in_the_workspace_is_left_alone(
    tests: WorkspaceTests, root: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    (root.parent / "outside.py").write_text(f"{HEAD}a + b{TAIL}", encoding="utf-8")
    assert silent(tests, dataclasses.replace(told(root, "3"), path=path), monkeypatch)


def test_when_its_time_is_spent_none_are_run(
    tests: WorkspaceTests, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests.seconds = 0.0
    assert silent(tests, told(root, "3"), monkeypatch)


def test_whoever_cancels_waits_for_no_test(tests: WorkspaceTests, root: Path) -> None:
    token = CancellationToken()
    token.cancel()
    with pytest.raises(Cancelled):
        tests.outcomes(told(root, "3"), token)


@sandboxed
def test_time_spent_is_counted(tests: WorkspaceTests, root: Path) -> None:
    tests.outcomes(told(root, "a + b"))
    assert 0.0 < tests.seconds < workspace.SECONDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HEAD}a + b{TAIL}", f"{HEAD}3{TAIL}"),
        (f"x = 1\n{HEAD}a + b{TAIL}y = 2\n", f"x = 1\n{HEAD}3{TAIL}y = 2\n"),
        (f"{HEAD}a + b{TAIL}{HEAD}a + b{TAIL}", None),
        (f"{HEAD}a * b{TAIL}", None),
        ("", None),
    ],
    ids=["as it was", "more around it", "twice", "changed since", "empty"],
)
def test_the_place_is_found_again_or_given_up(root: Path, text: str, expected: str | None) -> None:
    assert in_place(told(root, "3"), text) == expected


def test_what_was_taken_counts_as_settled_until_somebody_looks(root: Path) -> None:
    assert in_place(told(root, "3", stands=None), f"{HEAD}3{TAIL}") == f"{HEAD}3{TAIL}"


def test_nothing_is_run_unless_the_settings_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted, problems = from_client_options({"sandbox": {"execute": True}})
    assert problems == []
    assert WorkspaceTests.of(Config()) is None
    monkeypatch.setattr(workspace, "unavailable_reason", lambda: "")
    assert WorkspaceTests.of(wanted) is not None
    store = Store(tmp_path, tmp_path)
    assert Appraiser.of(wanted, store).tests is not None
    assert Appraiser.of(Config(), store).tests is None
    monkeypatch.setattr(workspace, "unavailable_reason", lambda: "no sandbox")
    assert WorkspaceTests.of(wanted) is None


def test_a_python_that_does_not_answer_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(workspace, "unavailable_reason", lambda: "")
    settings = {"sandbox": {"execute": True, "interpreter": str(tmp_path / "python")}}
    assert WorkspaceTests.of(from_client_options(settings)[0]) is None
