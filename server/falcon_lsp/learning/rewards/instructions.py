"""Whether code does what the words around it say, as far as rules can tell.

What is asked stands in the signature, the docstring, and the comment above. Each rule answers yes,
no, or nothing; the term is the mean of the answers. Python only, and only where the file parses.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from statistics import fmean
from typing import Final

from falcon_lsp.learning.rewards.sample import Sample, breaks_syntax, parses

INSTRUCTION_MOST: Final = 0.1

Function = ast.FunctionDef | ast.AsyncFunctionDef
Answers = Iterator[bool]
_UNNAMED: Final = frozenset({"self", "cls"})
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_SECTION: Final = re.compile(r"(?m)^\s*(?:Raises:\s*\n\s*(\w+)|:raises? (\w+):)")
_NAMED: Final = re.compile(r"`+([A-Za-z_]\w*)(?:\(\))?`+|\b([A-Za-z]\w*_\w+|[A-Za-z_]\w*(?=\(\)))")


def instruction_term(sample: Sample, judged: float | None = None) -> float | None:
    """Return the agreement of code and words, in [-0.1, 0.1]; None where nothing is asked.

    ``judged``, a judge's verdict in [-1, 1], weighs as much as all rules together.
    """
    answers = list(agreements(sample))
    voices = [fmean(1.0 if answer else -1.0 for answer in answers)] if answers else []
    if judged is not None:
        voices.append(min(max(judged, -1.0), 1.0))
    return INSTRUCTION_MOST * fmean(voices) if voices else None


def agreements(sample: Sample) -> Answers:
    """Yield the answer of each rule that has something to say of ``sample``."""
    yield from _comment_names(sample)
    if sample.language != "python" or not parses(sample.whole) or breaks_syntax(sample):
        return
    for function in _written(sample):
        for rule in _RULES:
            yield from rule(function)


def _comment_names(sample: Sample) -> Answers:
    """Names that the comment right above spells as code occur in the text."""
    mark = "#" if sample.language == "python" else "//"
    lines = sample.prefix.rstrip(" \t").rstrip("\n").splitlines()
    if lines and lines[-1].strip().startswith(mark):
        for found in _NAMED.finditer(lines[-1]):
            name = found[1] or found[2]
            yield re.search(rf"\b{re.escape(name)}\b", sample.text) is not None


def _written(sample: Sample) -> Iterator[Function]:
    """Yield the functions that the text has written, and the one that it has completed."""
    first, last = sample.first_line + 1, sample.first_line + sample.height
    ended = [
        node
        for node in ast.walk(ast.parse(sample.whole))
        if isinstance(node, Function) and first <= (node.end_lineno or 0) <= last
    ]
    around = [node for node in ended if node.lineno < first]
    yield from (node for node in ended if node.lineno >= first)
    yield from sorted(around, key=lambda node: node.lineno)[-1:]


def _parameters_are_used(function: Function) -> Answers:
    """Each parameter that has a name of its own is read, unless the body only says it is empty."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    read = {node.id for node in _nodes(function) if isinstance(node, ast.Name)}
    for parameter in named:
        if parameter.arg not in _UNNAMED and not parameter.arg.startswith("_"):
            yield parameter.arg in read


def _annotation_is_kept(function: Function) -> Answers:
    """What is annotated to return a value returns or raises; ``-> None`` returns no value."""
    if function.returns is None:
        return
    nothing = isinstance(function.returns, ast.Constant) and function.returns.value is None
    yield not _returns(function) if nothing else _returns(function) or _raises(function)


def _docstring_is_kept(function: Function) -> Answers:
    """A docstring that promises to return, to yield or to raise is kept."""
    said = ast.get_docstring(function) or ""
    if re.match(r"Returns?\b", said) or re.search(r"(?m)^\s*(?:Returns?:|:returns?:)", said):
        yield _returns(function) or _raises(function)
    if re.match(r"Yields?\b", said) or re.search(r"(?m)^\s*Yields?:", said):
        yield any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _own(function))
    named = {node.id for node in _nodes(function) if isinstance(node, ast.Name)}
    for found in _SECTION.finditer(said):
        yield (found[1] or found[2]) in named


_RULES: Final[tuple[Callable[[Function], Answers], ...]] = (
    _parameters_are_used,
    _annotation_is_kept,
    _docstring_is_kept,
)


def _returns(function: Function) -> bool:
    """Whether it gives its caller anything: a value, or values one by one."""
    return any(
        isinstance(node, ast.Yield | ast.YieldFrom)
        or (isinstance(node, ast.Return) and node.value is not None)
        for node in _own(function)
    )


def _raises(function: Function) -> bool:
    return any(isinstance(node, ast.Raise) for node in _own(function))


def _nodes(function: Function) -> Iterator[ast.AST]:
    """Yield every node of the body, inner functions included."""
    for statement in function.body:
        yield from ast.walk(statement)


def _own(function: Function) -> Iterator[ast.AST]:
    """Yield the body's nodes without those of inner functions and classes."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))
