"""The rest of a line at random cursors: what the model says, what a copy says, what is shown.

Prompt, copies, filters, ranking and quiet policy are the product's own; nothing is shown to the
model but the file itself. Copies come from the file and from all other files of its project.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from evaluation.places import File, Place
from falcon_lsp.completion import context, features, policy, postprocess, syntax
from falcon_lsp.completion.belief import usual
from falcon_lsp.completion.candidates import (
    Candidate,
    Rejection,
    copy_candidate,
    from_generation,
    sources_at,
)
from falcon_lsp.completion.prompt import build_prompt, prefix_window
from falcon_lsp.config import Config, ContextOptions
from falcon_lsp.core.text import import_lines
from falcon_lsp.core.types import CompletionRequest, Lately, Prompt, Snippet
from falcon_lsp.model.engine import Generation

OPTIONS = Config()


@dataclass(frozen=True, slots=True)
class Answers:
    """What could be answered at a place. ``shown`` has passed the filters and the quiet policy."""

    place: Place
    model: str
    copy: str | None
    best: str
    passed: bool
    shown: str | None


def imports(request: CompletionRequest, options: ContextOptions) -> Snippet:
    """Return the file's import lines that stand above the prefix window (may be empty)."""
    hidden = len(request.prefix) - len(prefix_window(request, options))
    return Snippet(request.path, "\n".join(import_lines(request.text[:hidden])))


IMPORTS = context.Block("imports", 0.34, lambda request, options, _: [imports(request, options)])
"""Kept for this task, so that its rows stay comparable; the product went without it later."""


def prompt_at(request: CompletionRequest) -> Prompt:
    """Return the prompt when no other document is open and nothing is remembered."""
    snippets = context.gather(request, OPTIONS.context, context.Surroundings(), (IMPORTS,))
    return build_prompt(request, snippets, OPTIONS.context)


def answer(
    place: Place,
    generation: Generation,
    project: Sequence[File],
    score: Callable[[str], tuple[float, ...]],
) -> Answers:
    """Choose between the model's answer and a copy as the completion service does.

    ``score`` tells how likely the model finds a text that it did not say itself.
    """
    request = place.request
    model = from_generation(generation, "", "")
    copy = copy_candidate(request, sources_at(request, other_texts(place.file, project)))
    if copy is not None:
        copy = replace(copy, scored=score(copy.text))
    candidates = [each for each in (model, copy) if each is not None and each.text.strip()]
    refined = [
        outcome
        for each in candidates
        if not isinstance(outcome := postprocess.run(each, request, _FILTERS), Rejection)
    ]
    best = _best(candidates)
    offered = _best(refined)
    return Answers(
        place, model.text.rstrip(), copy.text.rstrip() if copy else None,
        best.text.rstrip() if best else "", model.text.strip() != "" and _passes(model, request),
        offered.text.rstrip() if offered and _decide(offered, request).show else None,
    )  # fmt: skip


def measure(answers: Answers) -> Mapping[str, tuple[float, float]]:
    """Return each measure of one place as ``(over, under)``: its part of a ratio's two sums."""
    truth, shown, copy = answers.place.truth, answers.shown, answers.copy
    request = answers.place.request
    if_shown = float(shown is not None)
    return {
        "exact, model alone": (answers.model == truth, 1),
        "edit similarity, model alone": (_similarity(answers.model, truth), 1),
        "parses, model alone": (_parses(request, answers.model), 1),
        "whole file parses, model alone": (_file_parses(request, answers.model), 1),
        "passes the filters, model alone": (answers.passed, 1),
        "a copy is found": (copy is not None, 1),
        "exact, copy alone": (copy == truth, 1),
        "exact, model and copy": (answers.best == truth, 1),
        "edit similarity, model and copy": (_similarity(answers.best, truth), 1),
        "shown": (if_shown, 1),
        "exact of what is shown": (shown == truth, if_shown),
        "edit similarity of what is shown": (_similarity(shown or "", truth) * if_shown, if_shown),
        "parses of what is shown": (bool(shown and _parses(request, shown)), if_shown),
        "whole file parses of what is shown": (
            bool(shown and _file_parses(request, shown)), if_shown,
        ),
    }  # fmt: skip


_FILTERS = (*postprocess.FILTERS, *postprocess.LAST)


def other_texts(file: File, project: Sequence[File]) -> list[str]:
    """Return the texts of the other files, those of the same folder first."""
    folder = file.path.rpartition("/")[0]
    others = [other for other in project if other.path != file.path]
    others.sort(key=lambda other: (other.path.rpartition("/")[0] != folder, other.path))
    return [other.text for other in others]


def _decide(candidate: Candidate, request: CompletionRequest) -> policy.Decision:
    given = features.vector(request, Lately(), candidate)
    return policy.decide(given, usual(), OPTIONS.completion)


def _best(candidates: Sequence[Candidate]) -> Candidate | None:
    return max(candidates, key=_weight, default=None)


def _weight(candidate: Candidate) -> float:
    return -math.inf if candidate.weight is None else candidate.weight


def _passes(candidate: Candidate, request: CompletionRequest) -> bool:
    return not isinstance(postprocess.run(candidate, request, _FILTERS), Rejection)


def _similarity(text: str, truth: str) -> float:
    return SequenceMatcher(None, text, truth, autojunk=False).ratio()


def _parses(request: CompletionRequest, text: str) -> bool:
    """Whether the grammar finds no new error, brackets that the line leaves open being closed."""
    verdict = syntax.parses_in_place(request.language, request.prefix, text, request.suffix)
    return verdict is not False


def _file_parses(request: CompletionRequest, text: str) -> bool:
    """Whether CPython parses the file with ``text`` in it, the lines below being what they were."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(request.prefix + text + request.suffix)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
