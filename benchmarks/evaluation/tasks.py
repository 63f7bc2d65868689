"""The tasks: each asks one row's model and returns what came of every item."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from evaluation import execution, lines, places, problems
from evaluation.batched import Progress, Question
from evaluation.intervals import Ratio
from falcon_lsp.core.types import CompletionRequest, Prompt
from falcon_lsp.model.engine import Generation
from falcon_lsp.model.fim import FALCON, FimFormat
from falcon_lsp.model.tokenizer import CodeTokenizer

PLACES = 320
"""Cursors, and windows, each in a file of its own."""

WINDOW_TOKENS, CONTEXT_TOKENS = 1_024, 300
MAX_TOKENS = {"infilling": 64, "lines": 48, "humaneval": 384, "mbpp": 256}
"""Longest answer, by task; for lines it is the product's."""
SCRIPT = "main.py"
HUMANEVAL_STOPS = ("\nclass", "\ndef", "\n#", "\n@", "\nif", "\nprint", "\nassert")
MBPP_STOPS = ("\nclass", "\nassert", "\n@", '\n"""', "\nprint", "\nif", "\n#", "\n```")
LEFT_TO_RIGHT: dict[str, FimFormat | None] = {"plain text": None, "empty suffix": FALCON}
CHOSEN = "plain text"
"""How a row with an adapter is asked to write left to right; chosen on MBPP 511-600."""

Measures = dict[str, Ratio]


class ScoredModel(Protocol):
    """What tasks ask of a model: `BatchedModel`, or `ServedModel` as users get it."""

    tokenizer: CodeTokenizer

    def generate(self, questions: Sequence[Question], progress: Progress) -> list[Generation]:
        """Answer every question, greedily, in their order."""

    def score(self, prompt: Prompt, fmt: FimFormat | None, text: str) -> tuple[float, ...]:
        """Judge ``text`` as the answer, as `Engine.score` does."""

    def log_likelihood(self, ids: Sequence[int], scored: int) -> float:
        """Return the summed natural log-probability of the last ``scored`` tokens of ``ids``."""

    def byte_count(self, ids: Sequence[int]) -> int:
        """Return how many bytes of UTF-8 the tokens ``ids`` stand for."""

    def encode(self, prompt: Prompt, fmt: FimFormat | None) -> list[int]:
        """Return the token ids of a prompt; without a format, of its prefix alone."""


@dataclass(frozen=True)
class Subject:
    """What a task needs: the model of one row, how it is asked, and where wheels are kept."""

    model: ScoredModel
    fmt: FimFormat
    wheels: Path
    limit: int

    def some(self, everything: Sequence[problems.Problem]) -> list[problems.Problem]:
        """Return all problems, or where there is a limit so many of them, drawn evenly."""
        if not self.limit or self.limit >= len(everything):
            return list(everything)
        chosen = sorted(random.Random(places.SEED).sample(range(len(everything)), self.limit))
        return [everything[at] for at in chosen]

    def ask(self, questions: Sequence[Question]) -> list[Generation]:
        """Answer every question, saying how far it is."""
        return self.model.generate(questions, _say)


def infilling(subject: Subject) -> Measures:
    """Fill in single lines of HumanEval's solutions: tests pass, and the line is the same."""
    chosen = subject.some(problems.infilling())
    questions = [
        Question(_prompt(problem), subject.fmt, MAX_TOKENS["infilling"]) for problem in chosen
    ]
    answers = [generation.text for generation in subject.ask(questions)]
    exact = [
        text.rstrip() == problem.solution.rstrip()
        for text, problem in zip(answers, chosen, strict=True)
    ]
    return _shares(chosen, {"pass@1": _passed(chosen, answers), "exact": exact})


def humaneval(subject: Subject) -> Measures:
    """Write HumanEval's functions."""
    chosen = subject.some(problems.humaneval())
    fmt = LEFT_TO_RIGHT[CHOSEN] if subject.fmt is FALCON else None
    return _shares(
        chosen, {"pass@1": _write(subject, chosen, fmt, MAX_TOKENS["humaneval"], HUMANEVAL_STOPS)}
    )


def mbpp(subject: Subject) -> Measures:
    """Solve the test tasks of MBPP."""
    chosen = subject.some(problems.mbpp(problems.MBPP_TEST))
    fmt = LEFT_TO_RIGHT[CHOSEN] if subject.fmt is FALCON else None
    return _shares(chosen, {"pass@1": _write(subject, chosen, fmt, MAX_TOKENS["mbpp"], MBPP_STOPS)})


def mbpp_validation(subject: Subject) -> Measures:
    """Solve the validation tasks of MBPP, asked in each way that may be chosen."""
    chosen = subject.some(problems.mbpp(problems.MBPP_VALIDATION))
    return _shares(chosen, {
        f"pass@1, {name}": _write(subject, chosen, fmt, MAX_TOKENS["mbpp"], MBPP_STOPS)
        for name, fmt in LEFT_TO_RIGHT.items()
    })  # fmt: skip


def rest_of_line(subject: Subject, *, development: bool = False) -> Measures:
    """Complete lines in files of never-train projects."""
    chosen = places.draw_places(subject.wheels, subject.limit or PLACES, development=development)
    prompts = [lines.prompt_at(place.request) for place in chosen]
    generations = subject.ask(
        [Question(prompt, subject.fmt, MAX_TOKENS["lines"]) for prompt in prompts]
    )
    projects = places.projects(subject.wheels)
    measured = [
        lines.measure(
            lines.answer(
                place,
                generation,
                projects[place.file.package],
                partial(subject.model.score, prompt, subject.fmt),
            )
        )
        for place, prompt, generation in zip(chosen, prompts, generations, strict=True)
    ]
    packages = [place.file.package for place in chosen]
    return {
        name: Ratio(
            [row[name][0] for row in measured], [row[name][1] for row in measured], packages
        )
        for name in measured[0]
    }


def bits_per_byte(subject: Subject) -> Measures:
    """Score text of never-train projects, every token with at least `CONTEXT_TOKENS` before it.

    One window of `WINDOW_TOKENS` per file, from the start of a random line; what the row's format
    puts before a file (its path, the marks of an empty suffix) comes on top. Bits of the window's
    last tokens over their UTF-8 bytes.
    """
    scored = WINDOW_TOKENS - CONTEXT_TOKENS
    bits: list[float] = []
    sizes: list[float] = []
    packages: list[str] = []
    windows = _windows(subject)
    for file, window in windows:
        head = subject.model.encode(Prompt(file.path, "", ""), subject.fmt)
        bits.append(-subject.model.log_likelihood(head + window, scored) / _LOG_2)
        sizes.append(subject.model.byte_count(window[-scored:]))
        packages.append(file.package)
        _say(len(bits), len(windows))
    return {"bits per byte": Ratio(bits, sizes, packages)}


TASKS: dict[str, Callable[[Subject], Measures]] = {
    "infilling": infilling,
    "lines": rest_of_line,
    "bytes": bits_per_byte,
    "humaneval": humaneval,
    "mbpp": mbpp,
    "mbpp-validation": mbpp_validation,
}
"""By the names that the command line knows."""

_LOG_2 = 0.6931471805599453


def _windows(subject: Subject) -> list[tuple[places.File, list[int]]]:
    """Draw the windows, in the files that are long enough, evenly over the packages."""
    found = []
    for file in places.draw_files(subject.wheels, 10**9):
        ids, offsets = subject.model.tokenizer.encode_with_offsets(file.text)
        if len(ids) >= WINDOW_TOKENS:
            rng = random.Random(f"{places.SEED}:{file.path}")
            last = offsets[len(ids) - WINDOW_TOKENS][0]
            start = file.text.rfind("\n", 0, rng.randrange(last + 1)) + 1
            window = subject.model.tokenizer.encode(file.text[start:])[:WINDOW_TOKENS]
            if len(window) == WINDOW_TOKENS:
                found.append((file, window))
        if len(found) == (subject.limit or PLACES):
            break
    return found


def _prompt(problem: problems.Problem) -> Prompt:
    """Return the product's prompt for a gap in a file of its own."""
    text = problem.prefix + problem.suffix
    request = CompletionRequest(SCRIPT, SCRIPT, "", "python", 0, text, len(problem.prefix))
    return lines.prompt_at(request)


def _write(
    subject: Subject,
    chosen: Sequence[problems.Problem],
    fmt: FimFormat | None,
    max_tokens: int,
    stops: tuple[str, ...],
) -> list[bool]:
    """Let the model go on from each problem's text; return which programs pass their tests."""
    questions = [
        Question(Prompt(SCRIPT, problem.prefix, ""), fmt, max_tokens, False, stops)
        for problem in chosen
    ]
    return _passed(chosen, [generation.text for generation in subject.ask(questions)])


def _passed(chosen: Sequence[problems.Problem], answers: Sequence[str]) -> list[bool]:
    programs = [problem.program(text) for problem, text in zip(chosen, answers, strict=True)]
    verdicts = execution.execute_all(programs)
    return [verdict is execution.Verdict.PASSED for verdict in verdicts]


def _shares(chosen: Sequence[problems.Problem], outcomes: dict[str, list[bool]]) -> Measures:
    groups = [problem.group for problem in chosen]
    return {name: Ratio(each, [1] * len(each), groups) for name, each in outcomes.items()}


def _say(done: int, count: int) -> None:
    print(f"  {done} of {count}", flush=True)
