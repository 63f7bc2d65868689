"""Processor time of context and filters, keystroke by keystroke, in a long made-up file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from falcon_lsp.completion import syntax
from falcon_lsp.completion.candidates import Candidate, Rejection
from falcon_lsp.completion.postprocess import Filter
from falcon_lsp.completion.prompter import Prompter
from falcon_lsp.config import Config
from falcon_lsp.core.cancellation import CancellationToken
from falcon_lsp.core.types import CompletionRequest
from falcon_lsp.memory.short_term import ShortTermMemory

LINES = 2_000
ROUNDS = 12
"""Lines that are written, in different places."""

TYPED = (
    "    value = shipping_7_cost(order, distance=[1, 2], options={'fast': True})",
    "    if order.weight > 12 and order.address is not None:",
    "    return self.price_9_of(order, tax=0.19) + sum(costs)",
)
_FUNCTION = '''
def shipping_{0}_cost(order, distance, options=None):
    """Return what sending ``order`` costs."""
    base = order.weight * {0}.5 + distance
    if options and options.get("fast"):
        return base * 2
    for item in order.items:
        base += item.price * 0.01
    return base

'''


def measure(filters: Sequence[Filter]) -> dict[str, dict[str, float]]:
    """Return milliseconds (p50, p95 and most) by step; ``keystroke`` is all of them together.

    Five other documents are open; the file is edited in its middle, at `ROUNDS` places.
    """
    text = _file(LINES)
    documents = [(f"other_{n}.py", "python", _file(600, n), float(n)) for n in range(5)]
    prompter = Prompter(None, ShortTermMemory(), lambda _workspace: documents)
    taken: dict[str, list[float]] = {"context": [], "filters": [], "keystroke": []}
    for turn in range(ROUNDS):
        line = TYPED[turn % len(TYPED)]
        place = text.find("\n    for", (turn + 2) * len(text) // (ROUNDS + 4)) + 1
        for count in range(4, len(line)):
            now = f"{text[:place]}{line[:count]}\n{text[place:]}"
            request = CompletionRequest("a", "a.py", "", "python", count, now, place + count)
            context = _timed(lambda r=request: _ask(prompter, r))
            refined = _timed(lambda r=request, c=line[count:]: _refine(filters, r, c))
            taken["context"].append(context)
            taken["filters"].append(refined)
            taken["keystroke"].append(context + refined)
    return {step: _summary(values) for step, values in taken.items()}


def _ask(prompter: Prompter, request: CompletionRequest) -> None:
    prompter.prompt(request, Config(), CancellationToken())
    syntax.open_block(request.language, request.prefix, request.suffix)


def _refine(filters: Sequence[Filter], request: CompletionRequest, text: str) -> None:
    candidate = Candidate(text, "model")
    for each in filters:
        outcome = each(candidate, request)
        if isinstance(outcome, Rejection):
            return
        candidate = outcome


def _file(lines: int, first: int = 0) -> str:
    count = lines // _FUNCTION.count("\n")
    return "import os\n" + "".join(_FUNCTION.format(first + n) for n in range(count))


def _timed(step: Callable[[], None]) -> float:
    started = time.thread_time()
    step()
    return (time.thread_time() - started) * 1000


def _summary(values: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(values, [50, 95])
    return {
        "count": len(values), "p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2),
        "most_ms": round(max(values), 2),
    }  # fmt: skip
