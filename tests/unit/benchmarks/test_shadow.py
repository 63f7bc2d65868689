"""Facts about the server that takes notes: it asks for the peer what our engine would be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from falcon_lsp.model import fim
from falcon_lsp.model.files import ModelFiles
from falcon_lsp.model.tokenizer import CodeTokenizer
from keystrokes import shadow
from keystrokes.editor import Editor, Served
from keystrokes.recording import Part, Step
from keystrokes.replay import Moment
from keystrokes.shadow import Questions
from tiny_model import build_tiny_tokenizer

ORIGINAL = "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))\n"
AT = ORIGINAL.index("return")
PART = Part("package", "m.py", ORIGINAL, ((AT, AT + 12),), 0.0, ())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    folder = tmp_path_factory.mktemp("tiny")
    build_tiny_tokenizer(folder)
    return ModelFiles(folder, "tiny", fim.FALCON, "0" * 64)


def row(prefix: str) -> str:
    prompt = {"path": "m.py", "prefix": prefix, "suffix": "", "snippets": []}
    return json.dumps({"prompt": prompt, "max": 48, "line": True}) + "\n"


def test_the_latest_question_about_this_line_is_taken_once(
    tmp_path: Path, files: ModelFiles
) -> None:
    log = tmp_path / "log"
    questions = Questions(log, files)
    assert questions.latest("x") is None
    log.write_text(row("a = b") + row("a = bc") + row("elsewhere"))
    found = questions.latest("first line\na = bc")
    assert CodeTokenizer.from_folder(files.folder).decode(found.ids).endswith("a = bc")
    assert (found.max_tokens, found.single_line) == (48, True)
    assert questions.latest("a = bc") is None


async def test_the_server_itself_makes_the_prompt(tmp_path: Path, files: ModelFiles) -> None:
    log = tmp_path / "log"
    (tmp_path / "workspace").mkdir()
    editor = await Editor.launch(
        tmp_path / "workspace", tmp_path / "data", "auto", shadow.command(log)
    )
    assert (await editor.until_ready())["model"] == "shadow"
    served = Served(editor, tmp_path / "workspace")
    served.open(PART)
    step = Step(0.0, AT, 0, (AT, AT + 3), AT + 3, AT + 3)
    text = step.apply(PART.opened, ORIGINAL)
    answer = await served.ask(Moment(PART, 0, step, PART.opened, text)).answer()
    assert answer == ("", "", None, 0)
    await editor.shutdown()
    found = Questions(log, files).latest(text[: AT + 3])
    said = CodeTokenizer.from_folder(files.folder).decode(found.ids)
    assert said.endswith("def add(a, b):\n    ret")
    assert "print(add(1, 2))" in said
    assert "m.py\n" in said
