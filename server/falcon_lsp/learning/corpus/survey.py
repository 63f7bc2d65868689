"""The first pass over the sources: judge every file, and keep no text of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from falcon_lsp.learning.corpus import evaluation, licences, quality
from falcon_lsp.learning.corpus.grams import hash_words, split_words
from falcon_lsp.learning.corpus.near_duplicates import NearDuplicates
from falcon_lsp.learning.corpus.overlap import Matches, OverlapIndex, without_header
from falcon_lsp.learning.corpus.project import Files, Project
from falcon_lsp.memory.redact import redact

PROJECT_SHARE = 0.01
"""The share of a file's runs that may also stand in evaluation projects: calls of common libraries
and lists of imports stay below, copied functions do not (docs/corpus.md has the measurement)."""

EXAMPLES = 10
"""How many files are named for each reason."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that passed every filter but the overlap's, which is judged at the end."""

    project: int
    path: str
    language: str
    characters: int
    benchmark: Matches
    evaluated: Matches


@dataclass(slots=True)
class Losses:
    """How many files were left out for which reason, and a few of each by name."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, path: str) -> None:
        """Count a file that was left out."""
        self.counts[reason] += 1
        named = self.examples.setdefault(reason, [])
        if len(named) < EXAMPLES:
            named.append(path)


@dataclass(slots=True)
class Survey:
    """What the first pass learns.

    ``ceiling`` bounds the characters accepted from one project; which files those are is drawn
    with ``seed``.
    """

    benchmarks: OverlapIndex
    evaluated: OverlapIndex
    seed: int
    ceiling: int
    near: NearDuplicates = field(default_factory=NearDuplicates)
    candidates: list[Candidate] = field(default_factory=list)
    losses: Losses = field(default_factory=Losses)
    skipped: dict[str, str] = field(default_factory=dict)

    def read_all(self, projects: Sequence[Project]) -> list[Candidate]:
        """Judge every file of ``projects``; return those that may be trained on.

        Matches with the evaluation data are judged last: only then is it known which runs of words
        are boilerplate.
        """
        for number, project in enumerate(projects):
            reason = refusal(project)
            if reason:
                self.skipped[project.name] = reason
            else:
                with project.open() as files:
                    self._read(number, project.name, files)
        return [c for c in self.candidates if self._stands_apart(c)]

    def _read(self, number: int, name: str, files: Files) -> None:
        paths = []
        for path in files:
            flaw = path_flaw(path)
            if flaw:
                self.losses.add(flaw, path)
            else:
                paths.append(path)
        random.Random(f"{self.seed} {name}").shuffle(paths)
        left = self.ceiling
        for path in paths:
            if left <= 0:
                self.losses.add("beyond the project's share", path)
            else:
                left -= self._judge(number, path, files[path]())

    def _judge(self, number: int, path: str, raw: bytes) -> int:
        """Judge one file; return the characters accepted, 0 where it is left out."""
        text = decode(raw)
        flaw = "not UTF-8" if text is None else text_flaw(path, text)
        if text is None or flaw:
            self.losses.add(flaw or "", path)
            return 0
        words = hash_words(split_words(without_header(text)))
        if not self.near.add(f"{number}:{path}", words):
            self.losses.add("near-duplicate", path)
            return 0
        language = quality.LANGUAGES[PurePosixPath(path).suffix]
        found = (self.benchmarks.find(words, number), self.evaluated.find(words, number))
        self.candidates.append(Candidate(number, path, language, len(text), *found))
        return len(text)

    def _stands_apart(self, candidate: Candidate) -> bool:
        if self.benchmarks.share(candidate.benchmark) > 0:
            self.losses.add("overlaps a benchmark", candidate.path)
        elif self.evaluated.share(candidate.evaluated) > PROJECT_SHARE:
            self.losses.add("overlaps an evaluation project", candidate.path)
        else:
            return True
        return False


def refusal(project: Project) -> str | None:
    """Return why nothing of ``project`` may be trained on, or None."""
    names = {evaluation.normalise(name) for name in (project.name, *project.aliases)}
    if names & evaluation.never_train():
        return "evaluation project"
    if not licences.is_permissive(project.licence):
        return f"licence: {project.licence or 'none stated'}"
    return None


def path_flaw(path: str) -> str | None:
    """Return why a file of this path is left out before it is read, or None."""
    flaw = quality.path_flaw(path)
    if flaw is None and evaluation.names_evaluation_project(path):
        return "evaluation project by name"
    return flaw


def text_flaw(path: str, text: str) -> str | None:
    """Return why a file of this text is left out, or None."""
    flaw = quality.text_flaw(path, text)
    if flaw is None and licences.header_forbids(text):
        return "licence of the file"
    return "secret" if flaw is None and redact(text).count else flaw


def decode(raw: bytes) -> str | None:
    """Return a file's text with line feeds for line ends, or None where it is not UTF-8."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip() + "\n"
