"""What an arm remembers: tasks that were solved, and what went wrong a moment ago.

Long-term memory holds the training tasks alone, while training and while being tested. Short-term
memory exists in training only: at test time nobody says how an attempt went.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from evaluation import lines
from evaluation.problems import Problem
from falcon_lsp.core.types import CompletionRequest, Prompt, Snippet
from falcon_lsp.memory.embedder import HashedNgramEmbedder
from proof.holes import Hole, training_tasks
from proof.judging import Judged
from proof.twins import words_of

SCRIPT = "main.py"
EXAMPLES = 2
EXAMPLE_CHARS = 400
EMBEDDER = HashedNgramEmbedder(256, half=0)


class SolvedTasks:
    """Long-term memory: the solutions of ``tasks``, found by the words of the task that asks."""

    def __init__(self, tasks: Sequence[Problem] | None = None) -> None:
        self.tasks = training_tasks() if tasks is None else tuple(tasks)
        self._vectors = EMBEDDER.embed([words_of(task) for task in self.tasks])

    def like(self, hole: Hole, count: int) -> list[Problem]:
        """Return the ``count`` tasks most like the one ``hole`` is in, never that one itself."""
        (asked,) = EMBEDDER.embed([hole.about])
        order = np.argsort(-(self._vectors @ asked), kind="stable")
        others = [self.tasks[at] for at in order if self.tasks[at].name != hole.task]
        return others[:count]

    def examples(self, hole: Hole) -> tuple[Snippet, ...]:
        """Return snippets for the prompt, the likest last: nearest to the cursor."""
        found = [
            Snippet(f"{task.name.replace('/', '_').lower()}.py", _fit(task.solution))
            for task in self.like(hole, EXAMPLES)
        ]
        return tuple(reversed(found))


@dataclass(slots=True)
class Lately:
    """Short-term memory: the last failure in each place."""

    failed: dict[str, tuple[str, str]] = field(default_factory=dict)

    def note(self, hole: Hole, judged: Judged) -> None:
        """Remember a failed attempt; a passed one ends the matter."""
        if judged.passed:
            self.failed.pop(hole.name, None)
        else:
            self.failed[hole.name] = (judged.sample.text, judged.error)

    def feedback(self, hole: Hole) -> tuple[Snippet, ...]:
        """Return what was tried here and what came of it, as a snippet for the prompt."""
        if hole.name not in self.failed:
            return ()
        text, error = self.failed[hole.name]
        attempt = text.strip("\n")
        return (Snippet("rejected.py", f"# {error}:\n{attempt}"),)


def prompt_of(hole: Hole, solved: SolvedTasks | None, lately: Lately | None) -> Prompt:
    """Return the product's prompt for ``hole`` in a file of its own, with what memory adds."""
    text = hole.prefix + hole.suffix
    request = CompletionRequest(SCRIPT, SCRIPT, "", "python", 0, text, len(hole.prefix))
    plain = lines.prompt_at(request)
    known = solved.examples(hole) if solved else ()
    return replace(plain, snippets=known + (lately.feedback(hole) if lately else ()))


def _fit(code: str) -> str:
    """Return the first lines of ``code`` that fit the room for an example."""
    lines = code.replace("\r\n", "\n").strip().split("\n")
    while len(lines) > 1 and sum(len(line) + 1 for line in lines) > EXAMPLE_CHARS:
        lines.pop()
    return "\n".join(line.rstrip() for line in lines)
