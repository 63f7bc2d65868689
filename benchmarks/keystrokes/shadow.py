"""Our server with an engine that says nothing and writes down what it is asked.

Run as ``python shadow.py FILE``: one line of JSON in FILE for each question. Everything before the
engine (documents, context, prompt, parameters) is the product's own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Prompt, Snippet
from falcon_lsp.model import fim, loader
from falcon_lsp.model.engine import Engine, Generation, GenerationParams
from falcon_lsp.model.fake import FakeEngine
from falcon_lsp.model.tokenizer import CodeTokenizer


@dataclass(frozen=True, slots=True)
class Question:
    """What the engine would be asked at one keystroke, as the tokens of the whole prompt."""

    ids: tuple[int, ...]
    max_tokens: int
    single_line: bool


class Recorder(FakeEngine):
    """Writes every question to a file."""

    def __init__(self, file: Path) -> None:
        super().__init__(model_id="shadow")
        self._file = file

    def generate(
        self,
        prompt: Prompt,
        params: GenerationParams,
        token: CancellationToken,
        *_others: Any,
        **_more: Any,
    ) -> Generation:
        """Say nothing."""
        token.check()
        row = {"prompt": asdict(prompt), "max": params.max_tokens, "line": params.single_line}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        return Generation("", (), (), "stop")


def command(file: Path) -> Sequence[str]:
    """Return how to start the server that writes to ``file``."""
    return (sys.executable, str(Path(__file__)), str(file))


class Questions:
    """Reads what was written to a file, question by question."""

    def __init__(self, file: Path, model: loader.ModelFiles) -> None:
        self._file, self._read = file, 0
        self._fmt, self._tokenizer = model.fim, CodeTokenizer.from_folder(model.folder)

    def latest(self, before: str) -> Question | None:
        """Return the last new question whose prefix ends as ``before`` does; None: none came."""
        text = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        rows, self._read = text[self._read :].splitlines(), len(text)
        tail = before.rpartition("\n")[2]
        for row in map(json.loads, reversed(rows)):
            if row["prompt"]["prefix"].endswith(tail):
                return self._question(row)
        return None

    def _question(self, row: dict[str, Any]) -> Question:
        raw = row["prompt"]
        snippets = tuple(Snippet(**snippet) for snippet in raw.pop("snippets"))
        ids = fim.encode(self._tokenizer, self._fmt, Prompt(**raw, snippets=snippets))
        return Question(tuple(ids), row["max"], row["line"])


def main() -> None:
    """Serve with the recorder in the engine's place."""
    recorder: Engine = Recorder(Path(sys.argv[1]))
    loader.load_engine = lambda *_: recorder
    from falcon_lsp.cli import main as run

    sys.argv = ["falcon-lsp", "serve", "--stdio"]
    sys.exit(run())


if __name__ == "__main__":
    main()
