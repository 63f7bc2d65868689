"""Findings: what Python's own compiler says, and what differs between two looks."""

from __future__ import annotations

import threading
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from falcon_lsp.core.types import Diagnostic, TextEdit

SOURCE = "falcon"
ERROR = 1
"""LSP's severity of errors."""
MAX_CHARACTERS = 1_000_000
"""Longer documents are not compiled."""

_warnings_lock = threading.Lock()


def compile_check(text: str, path: str) -> tuple[Diagnostic, ...]:
    """Return what keeps Python ``text`` from compiling: at most one finding, since it stops there.

    Nothing is run. Text that no compiler can take (null bytes, too deep, too large numbers) is a
    finding as well; ``path`` is only a name.
    """
    if len(text) > MAX_CHARACTERS:
        return ()
    try:
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, path.replace("\0", ""), "exec", dont_inherit=True)
    except SyntaxError as error:
        return (_finding((error.lineno or 1) - 1, error.msg, type(error).__name__),)
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        line = text.count("\n", 0, max(0, text.find("\0")))
        return (_finding(line, str(error) or "too complex to compile", type(error).__name__),)
    return ()


def _finding(line: int, message: str, code: str) -> Diagnostic:
    return Diagnostic(max(0, line), ERROR, message, code, SOURCE)


def difference(
    before: Sequence[Diagnostic], after: Sequence[Diagnostic]
) -> tuple[tuple[Diagnostic, ...], tuple[Diagnostic, ...]]:
    """Return ``(added, removed)``: findings of ``after`` only, and of ``before`` only.

    A finding with the same message, code and source on another line is the same one, moved;
    where there are several, those on the nearest lines are paired first.
    """
    groups: defaultdict[tuple[str, str, str], tuple[list[int], list[int]]]
    groups = defaultdict(lambda: ([], []))
    for side, findings in enumerate((before, after)):
        for index, finding in enumerate(findings):
            groups[finding.message, finding.code, finding.source][side].append(index)
    kept_before: set[int] = set()
    kept_after: set[int] = set()
    for olds, news in groups.values():
        for old, new in _nearest_pairs(olds, news, before, after):
            kept_before.add(old)
            kept_after.add(new)
    added = (finding for index, finding in enumerate(after) if index not in kept_after)
    removed = (finding for index, finding in enumerate(before) if index not in kept_before)
    return tuple(added), tuple(removed)


def follow(
    findings: Sequence[Diagnostic], text: str, edits: Sequence[TextEdit]
) -> tuple[Diagnostic, ...]:
    """Return ``findings`` of ``text`` on the lines where ``edits`` (in order) put them.

    Those on deleted lines stay where the deletion began.
    """
    for edit in edits:
        removed = text[edit.start : edit.end]
        if edit.new_text.count("\n") or removed.count("\n"):
            findings = [_followed(finding, text, edit) for finding in findings]
        text = text[: edit.start] + edit.new_text + text[edit.end :]
    return tuple(findings)


def _followed(finding: Diagnostic, text: str, edit: TextEdit) -> Diagnostic:
    first = text.count("\n", 0, edit.start)
    last = first + text.count("\n", edit.start, edit.end)
    line = finding.line
    whole = not text[text.rfind("\n", 0, edit.start) + 1 : edit.start].strip()
    if line > last or (line == last and (last > first or whole)):
        line += edit.new_text.count("\n") - (last - first)
    else:
        line = min(line, first)
    return replace(finding, line=line)


def _nearest_pairs(
    olds: list[int], news: list[int], before: Sequence[Diagnostic], after: Sequence[Diagnostic]
) -> list[tuple[int, int]]:
    """Pair indices of the same finding, the nearest lines first; as many as both sides have."""
    if len(olds) == len(news):
        return list(zip(olds, news, strict=True))
    distances = sorted(
        (abs(before[old].line - after[new].line), old, new) for old in olds for new in news
    )
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, old, new in distances:
        if old not in pairs and new not in taken:
            pairs[old] = new
            taken.add(new)
    return list(pairs.items())
