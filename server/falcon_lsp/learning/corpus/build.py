"""Build a corpus: survey every project, choose a fair share of each, write the files chosen.

The survey keeps no text, only what the choice needs; writing reads the chosen files again. The
same sources and seed give the same bytes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from falcon_lsp.learning.corpus.evaluation import benchmark_texts
from falcon_lsp.learning.corpus.overlap import OverlapIndex
from falcon_lsp.learning.corpus.project import Project
from falcon_lsp.learning.corpus.shards import (
    SHARD_CHARACTERS,
    ShardWriter,
    SourceFile,
    write_manifest,
)
from falcon_lsp.learning.corpus.survey import Candidate, Survey, decode

BOILERPLATE_PROJECTS = 8
"""A run of 13 words in so many unrelated projects tells nothing: a licence, a common idiom."""

EVEN_SHARES = 16
"""How many times its even share of the corpus one project may give, where others give less."""


def build(
    projects: Sequence[Project],
    out: Path,
    *,
    characters: int,
    seed: int,
    benchmarks: Path,
    evaluated: Sequence[Project] = (),
) -> dict[str, Any]:
    """Write a corpus of at most ``characters`` of each language to ``out``; return its manifest.

    Files that overlap the tasks in the folder ``benchmarks`` or the projects ``evaluated`` are left
    out.
    """
    survey = Survey(
        OverlapIndex(benchmark_texts(benchmarks)),
        OverlapIndex(_texts(evaluated), BOILERPLATE_PROJECTS),
        seed,
        EVEN_SHARES * characters // max(1, len(projects)),
    )
    clean = survey.read_all(projects)
    rng = random.Random(seed)
    chosen: list[Candidate] = []
    for language in sorted({c.language for c in clean}):
        chosen += take_evenly([c for c in clean if c.language == language], characters, rng)
    manifest = {
        "seed": seed,
        "characters": dict(sorted(_sum((c.language, c.characters) for c in chosen).items())),
        "files": len(chosen),
        "shards": _write(projects, chosen, out, rng),
        "evaluation": {
            "benchmark_runs": len(survey.benchmarks),
            "project_runs": len(survey.evaluated),
            "projects": [f"{project.name} {project.version}" for project in evaluated],
        },
        "dropped": dict(survey.losses.counts.most_common()),
        "dropped_examples": survey.losses.examples,
        "skipped": survey.skipped,
        "projects": _describe(projects, chosen),
    }
    write_manifest(out, manifest)
    return manifest


def take_evenly(
    candidates: Sequence[Candidate], budget: int, rng: random.Random
) -> list[Candidate]:
    """Return candidates of at most ``budget`` characters, as many from each project.

    Small projects give all they have; what they leave of their share goes to the larger ones.
    """
    pools: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        pools.setdefault(candidate.project, []).append(candidate)
    sizes = {number: sum(c.characters for c in pool) for number, pool in pools.items()}
    chosen: list[Candidate] = []
    left = budget
    for rank, number in enumerate(sorted(pools, key=lambda n: (sizes[n], n))):
        share = left // (len(pools) - rank)
        rng.shuffle(pools[number])
        for candidate in pools[number]:
            if candidate.characters <= share:
                share -= candidate.characters
                left -= candidate.characters
                chosen.append(candidate)
    return chosen


def _write(
    projects: Sequence[Project], chosen: Sequence[Candidate], out: Path, rng: random.Random
) -> dict[str, str]:
    """Write the chosen files project by project, each into a shard drawn at random.

    Every shard so holds a sample of the whole, though no more than one project is ever open.
    """
    count = max(1, round(sum(c.characters for c in chosen) / SHARD_CHARACTERS))
    paths: dict[int, list[str]] = {}
    for candidate in chosen:
        paths.setdefault(candidate.project, []).append(candidate.path)
    with ShardWriter(out, count) as writer:
        for number in sorted(paths):
            with projects[number].open() as files:
                for path in sorted(paths[number]):
                    text = decode(files[path]()) or ""
                    writer.write(rng.randrange(count), SourceFile(path, text))
    return writer.digests()


def _describe(projects: Sequence[Project], chosen: Sequence[Candidate]) -> dict[str, Any]:
    files = Counter(c.project for c in chosen)
    characters = _sum((c.project, c.characters) for c in chosen)
    return {
        projects[number].name: {
            "version": projects[number].version,
            "licence": projects[number].licence,
            "files": files[number],
            "characters": characters[number],
        }
        for number in sorted(files)
    }


def _sum(pairs: Iterable[tuple[Any, int]]) -> Counter[Any]:
    totals: Counter[Any] = Counter()
    for key, characters in pairs:
        totals[key] += characters
    return totals


def _texts(projects: Iterable[Project]) -> Iterator[str]:
    """Yield the Python of ``projects``, whatever its quality, their tests included."""
    for project in projects:
        with project.open() as files:
            for path, read in files.items():
                if path.endswith(".py"):
                    yield decode(read()) or ""
