"""What needs PyTorch happens in a process of its own, and its errors come back as sentences."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from falcon_lsp.model import errand
from falcon_lsp.model.engine import EngineError
from falcon_lsp.model.tensor_file import MappedTensors
from tiny_model import build_tiny_model


def said(**order: object) -> tuple[int, list[dict[str, object]]]:
    answers = io.StringIO()
    code = errand.main(io.StringIO(json.dumps(order)), answers)
    return code, [json.loads(line) for line in answers.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def priority(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that play the child keep their own priority."""
    monkeypatch.setattr(errand, "_lower_priority", lambda: None)


def test_weights_come_back_as_a_file(tmp_path: Path) -> None:
    folder = build_tiny_model(tmp_path / "model")
    file = tmp_path / "weights.safetensors"
    errand.run("quantise", folder=str(folder), adapter="", file=str(file))
    arrays = MappedTensors(file).arrays
    assert arrays["layers.0.down.weight"].shape == (64, 1, 128)
    assert arrays["layers.0.down.columns"].shape == (128, 64)
    assert "layers.1.qkv.columns" in arrays
    assert "layers.1.down.columns" not in arrays


def test_what_it_says_of_its_progress_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(order: dict[str, object], progress: object) -> None:
        progress(order["what"], 0.5)  # type: ignore[operator]

    monkeypatch.setitem(errand.ERRANDS, "work", work)
    assert said(errand="work", what="Half") == (0, [{"progress": "Half", "share": 0.5}])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (EngineError("The adapter is for another model."), "The adapter is for another model."),
        (ImportError(name="torch"), "torch is missing: install falcon-lsp again."),
        (OSError(28, "No space left on device"), "work failed (No space left on device): free"),
    ],
)
def test_its_errors_are_sentences(
    monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setitem(errand.ERRANDS, "work", fail)
    code, answers = said(errand="work")
    assert code == 1
    assert len(answers) == 1
    assert str(answers[0]["error"]).startswith(sentence)


@pytest.mark.parametrize(
    ("child", "sentence"),
    [
        ("raise SystemExit(3)", "work ended early"),
        ("import os; os.abort()", "work ended early"),
        ('print(\'{"error": "It does not fit."}\'); raise SystemExit(1)', "It does not fit."),
    ],
)
def test_a_child_that_fails_is_told_of_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: str, sentence: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\n{child}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(EngineError, match=sentence):
        errand.run("work")


def test_a_child_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport threading; threading.Event().wait()\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(errand, "SECONDS", 0.01)
    with pytest.raises(EngineError, match="ended early"):
        errand.run("work")
