"""Facts about the command: a whole run on a tiny model, interrupted and gone on with."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

import infill
import tiny_model
from evaluation import places, tasks
from evaluation.execution import can_execute

pytestmark = pytest.mark.skipif(not can_execute(), reason="there is no sandbox here")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.build_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where results go; the wheels are small ones and the tasks short."""
    monkeypatch.setenv("FALCON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(tasks, "WINDOW_TOKENS", 96)
    monkeypatch.setattr(tasks, "CONTEXT_TOKENS", 32)
    pins = tmp_path / "pins.txt"
    pins.write_text("one==1.0\ntwo==1.0\n", encoding="utf-8")
    monkeypatch.setattr(places, "PACKAGES", pins)
    folder = tmp_path / "cache" / "benchmarks" / "wheels"
    folder.mkdir(parents=True)
    rng = random.Random(5)
    for package in ("one", "two"):
        with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
            for number in range(8):
                code = [f"value_{at} = {rng.randrange(10**9)} + {at}" for at in range(60)]
                wheel.writestr(f"{package}/m{number}.py", "\n".join(code) + "\n")
    places.projects.cache_clear()
    return tmp_path / "infill.json"


def _run(monkeypatch: pytest.MonkeyPatch, base: Path, out: Path, *more: str) -> dict[str, Any]:
    command = ["infill.py", "--base", str(base), "--device", "cpu", "--out", str(out)]
    monkeypatch.setattr("sys.argv", [*command, "--limit", "4", *more])
    infill.main()
    content: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return content


def test_a_run_fills_every_task_of_a_row_and_says_what_it_was_made_of(
    monkeypatch: pytest.MonkeyPatch, base: Path, out: Path
) -> None:
    monkeypatch.setattr(tasks, "MAX_TOKENS", dict.fromkeys(tasks.MAX_TOKENS, 4))
    content = _run(monkeypatch, base, out, "--row", "raw base")
    cells = content["rows"]["raw base"]
    assert set(cells) == set(infill.DEFAULT_TASKS)
    for task, cell in cells.items():
        assert cell["items"] == 4, task
        assert cell["machine"]["device"] == "cpu"
        assert f"--only {task} --limit 4" in cell["command"]
        for measure in cell["measures"].values():
            assert measure["low"] <= measure["value"] <= measure["high"]
    assert cells["bytes"]["measures"]["bits per byte"]["value"] > 1
    assert set(content["data"]) == {
        "HumanEval-SingleLineInfilling.jsonl.gz", "HumanEval.jsonl.gz", "mbpp.jsonl.gz",
    }  # fmt: skip
    assert content["places"]["packages"] == ["one==1.0", "two==1.0"]
    assert content["places"]["files"] == content["places"]["count"]


def test_what_was_scored_is_not_scored_again_and_a_row_adds_up(
    monkeypatch: pytest.MonkeyPatch, base: Path, out: Path
) -> None:
    asked: list[str] = []
    known = tasks.TASKS["bytes"]

    def counting(subject: tasks.Subject) -> tasks.Measures:
        asked.append("bytes")
        return known(subject)

    monkeypatch.setitem(tasks.TASKS, "bytes", counting)
    for rows, expected in ((["a"], 1), (["a"], 1), (["a", "b"], 2)):
        flags = [flag for row in rows for flag in ("--row", row)]
        content = _run(monkeypatch, base, out, "--only", "bytes", *flags)
        assert len(asked) == expected
        assert list(content["rows"]) == rows
    [difference] = content["differences"]
    assert difference["difference"] == 0


def test_an_unknown_task_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, base: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        _run(monkeypatch, base, out, "--only", "chess")
    assert "no such task: chess" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raw base", infill.Row("raw base", None)),
        ("one=a/b", infill.Row("one", Path("a/b"))),
        ("one=a=b", infill.Row("one", Path("a=b"))),
    ],
)
def test_a_row_is_a_name_and_perhaps_a_folder(text: str, expected: infill.Row) -> None:
    assert infill.parse_row(text) == expected
