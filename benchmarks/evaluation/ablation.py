"""What each block of the context is worth: the likelihood of what was really written.

Every variant of the prompt is scored on the same moments, so that differences are paired.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from evaluation.commits import History, Moment
from falcon_lsp.completion import context, modules
from falcon_lsp.completion.prompt import build_prompt
from falcon_lsp.completion.sources import OpenDocument
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Diagnostic, Prompt
from falcon_lsp.model.engine import Engine, GenerationParams

OPTIONS = Config()
RULES = "F401,F811,F821,F841"
RADIUS = 20
"""Findings at most so many lines from the cursor are shown."""


def bits(engine: Engine, prompt: Prompt, text: str) -> float:
    """Return how many bits ``text``, and ending there, cost after ``prompt``."""
    return -sum(engine.score(prompt, text, CancellationToken())) / math.log(2)


Variant = tuple[context.Block, ...]


def variants(blocks: Sequence[context.Block]) -> dict[str, Variant]:
    """Return nothing, each block alone, all, and all but each."""
    names = [block.name for block in blocks]
    made: dict[str, Variant] = {"nothing": ()}
    made |= {f"only {name}": (block,) for name, block in zip(names, blocks, strict=True)}
    made["all"] = tuple(blocks)
    made |= {f"without {name}": tuple(b for b in blocks if b.name != name) for name in names}
    return made


def surroundings(history: History, moment: Moment) -> context.Surroundings:
    """Return what the product would find around a moment, long-term memory left out."""
    request = moment.request
    present = history.files(moment.commit)
    opened = {document.path for document in moment.documents}
    paths = [path for path in modules.imported(request) if path in present and path not in opened]
    texts = ((path, history.text(f"{moment.commit}^", path)) for path in paths)
    imported = [OpenDocument(path, "python", text, 0.0) for path, text in texts if text]
    return context.Surroundings(
        edits=moment.edits[:4],
        documents=moment.documents,
        imported=imported[: modules.MOST_FILES],
        findings=findings(moment),
    )


def findings(moment: Moment) -> tuple[Diagnostic, ...]:
    """Return what a linter says near the cursor of the document without the cursor's line."""
    request = moment.request
    lines = request.text.split("\n")
    here = request.prefix.count("\n")
    text = "\n".join([*lines[:here], "", *lines[here + 1 :]])
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", RULES,
               "--output-format", "json", "--exit-zero", "-"]  # fmt: skip
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    found = [
        Diagnostic(row["location"]["row"] - 1, 2, row["message"], row["code"] or "")
        for row in json.loads(done.stdout)
    ]
    near = [each for each in found if abs(each.line - here) <= RADIUS and each.code]
    return tuple(sorted(near, key=lambda each: abs(each.line - here)))


def score(
    engine: Engine,
    moment: Moment,
    around: context.Surroundings,
    chosen: Mapping[str, Variant],
    *,
    spoken: Sequence[str] = (),
) -> dict[str, dict[str, float]]:
    """Return each variant's figures at a moment; equal prompts are computed once.

    ``spoken`` names the variants for which the model also answers.
    """
    figures: dict[str, dict[str, float]] = {}
    known: dict[str, dict[str, float]] = {}
    for name, blocks in chosen.items():
        snippets = context.gather(moment.request, OPTIONS.context, around, blocks)
        prompt = build_prompt(moment.request, snippets, OPTIONS.context)
        key = hashlib.sha256(repr((prompt, name in spoken)).encode()).hexdigest()
        if key not in known:
            known[key] = dict(_figures(engine, moment, prompt, name in spoken))
        figures[name] = known[key]
    return figures


def _figures(
    engine: Engine, moment: Moment, prompt: Prompt, spoken: bool
) -> Iterator[tuple[str, float]]:
    yield "line bits", round(bits(engine, prompt, moment.truth), 3)
    yield "hole bits", round(bits(engine, prompt, moment.hole), 3)
    yield "snippet tokens", float(sum(map(context.cost, prompt.snippets)))
    if spoken:
        said = engine.generate(prompt, GenerationParams(), CancellationToken()).text.rstrip()
        truth = moment.truth.rstrip()
        yield "exact", float(said == truth)
        yield "similarity", round(SequenceMatcher(None, said, truth, autojunk=False).ratio(), 4)
