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
from typing import Any

from evaluation.commits import History, Moment
from evaluation.intervals import Ratio, difference
from falcon_lsp.completion import context, modules
from falcon_lsp.completion.prompt import build_prompt
from falcon_lsp.completion.sources import OpenDocument
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import Diagnostic, Prompt, Snippet
from falcon_lsp.model.engine import Engine, GenerationParams

OPTIONS = Config()
RULES = "F401,F811,F821,F841"
RADIUS = 20
"""Findings at most so many lines from the cursor are shown."""


def bits(engine: Engine, prompt: Prompt, text: str) -> float:
    """Return how many bits ``text``, and ending there, cost after ``prompt``."""
    return -sum(engine.score(prompt, text, CancellationToken())) / math.log(2)


Variant = tuple[context.Block, ...]


def variants(
    blocks: Sequence[context.Block], left_out: Sequence[context.Block] = ()
) -> dict[str, Variant]:
    """Return nothing, each block alone, all ``blocks``, all but each, and all with each other."""
    made: dict[str, Variant] = {"nothing": ()}
    made |= {f"only {block.name}": (block,) for block in (*blocks, *left_out)}
    made["all"] = tuple(blocks)
    made |= {
        f"without {block.name}": tuple(each for each in blocks if each is not block)
        for block in blocks
    }
    made |= {f"with {block.name}": (*blocks, block) for block in left_out}
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


def findings_block(moment: Moment) -> context.Block:
    """Return a block with the lines near the cursor that a linter finds fault with."""
    lines = moment.request.text.split("\n")
    said = [f"{lines[each.line].strip()}  # {each.message}" for each in findings(moment)]
    snippets = [Snippet(moment.request.path, "\n".join(dict.fromkeys(said)))] if said else []
    return context.Block("findings", 0.2, lambda _request, _options, _around: snippets)


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


def summary(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Return for each variant bits per byte, and the change from ``nothing`` and from ``all``.

    Each is ``[value, low, high]`` with a 95 % interval over projects; over the moments that have
    every variant. ``measured`` maps ``project:commit`` to figures by variant.
    """
    names = list(
        dict.fromkeys(name for row in measured.values() for name in row if name != "bytes")
    )
    rows = {key: row for key, row in measured.items() if all(name in row for name in names)}
    found: dict[str, dict[str, list[float]]] = {}
    for name in names if rows else ():
        found[name] = {"moments": [len(rows)]}
        for at, part in enumerate(("line", "hole")):
            ratio = _ratio(rows, name, part, at)
            found[name][f"{part}: bits per byte"] = _rounded(ratio.value, *ratio.interval())
            for base in ("nothing", "all"):
                if base in names and base != name:
                    change = difference(_ratio(rows, base, part, at), ratio)
                    found[name][f"{part}: change from {base}"] = _rounded(*change)
        tokens = [row[name]["snippet tokens"] for row in rows.values()]
        found[name]["snippet tokens"] = [round(sum(tokens) / len(tokens), 1)]
        for said in ("exact", "similarity"):
            if all(said in row[name] for row in rows.values()):
                ratio = _ratio(rows, name, said, None)
                found[name][said] = _rounded(ratio.value, *ratio.interval())
    return found


def _ratio(rows: Mapping[str, Mapping[str, Any]], name: str, figure: str, at: int | None) -> Ratio:
    """Return a figure of one variant over the moments, by byte (``at``) or by moment (None)."""
    key = figure if at is None else f"{figure} bits"
    return Ratio(
        [row[name][key] for row in rows.values()],
        [1 if at is None else row["bytes"][at] for row in rows.values()],
        [moment.partition(":")[0] for moment in rows],
    )


def _rounded(*values: float) -> list[float]:
    return [round(value, 4) for value in values]
