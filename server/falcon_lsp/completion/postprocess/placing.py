"""Filters that look at how the text fits its place: what stands around the cursor already."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from falcon_lsp.completion import brackets, syntax
from falcon_lsp.completion.candidates import Candidate, Rejection
from falcon_lsp.core.types import CompletionRequest

_CLOSERS: Final = ")]}"
_LOOK_BACK: Final = 60
"""Lines above the cursor that are read for the levels of indentation that are open."""

_PARTNER: Final = {")": "(", "]": "[", "}": "{"}


def keep_to_the_line(candidate: Candidate, request: CompletionRequest) -> Candidate:
    """Cut to one line where more text stands on the cursor's line: it would be pushed down."""
    if not _rest_of_line(request).strip():
        return candidate
    return replace(candidate, text=candidate.text.split("\n", 1)[0])


def end_with_the_block(candidate: Candidate, request: CompletionRequest) -> Candidate:
    """Cut several lines where the block that they fill ends.

    The line that closes the block stays with it (`trim_following_lines` takes it away again where
    the document has one).
    """
    first, *more = candidate.text.split("\n")
    block = next((_indent(line) for line in more if line.strip()), 0)
    begun = _line_prefix(request)
    if not begun.strip():
        block = _indent(begun + first) if (begun + first).strip() else block
    kept = [first]
    for line in more:
        if line.strip() and _indent(line) < block:
            if line.strip()[0] in _CLOSERS and request.language != "python":
                kept.append(line)
            break
        kept.append(line)
    return replace(candidate, text="\n".join(kept).rstrip("\n"))


def trim_closers(candidate: Candidate, request: CompletionRequest) -> Candidate | Rejection:
    """Cut before the first closing bracket or quote that stands after the cursor already.

    The closers after the cursor belong to the outermost marks that the line leaves open; what the
    line opened inside of them is the candidate's to close.
    """
    rest = _rest_of_line(request)
    opened = brackets.open_marks(_line_prefix(request), request.language)
    there = _closers_there(rest, opened)
    floor = min(there, len(opened))
    for index, depth in brackets.closings(candidate.text, request.language, list(opened)):
        if there and depth < floor and candidate.text[index] in rest[:there]:
            text = candidate.text[:index]
            return replace(candidate, text=text) if text.strip() else Rejection("already there")
    return candidate


def trim_rest_of_line(candidate: Candidate, request: CompletionRequest) -> Candidate | Rejection:
    """Cut the rest of the cursor's line from the end, where the candidate spells it again.

    Where that rest is nothing but closers, the balance has decided already (`trim_closers`).
    """
    rest, text = _rest_of_line(request).rstrip(), candidate.text.rstrip()
    if not rest.strip(_CLOSERS + "\"'`") or not text.endswith(rest):
        return candidate
    text = text.removesuffix(rest)
    return replace(candidate, text=text) if text.strip() else Rejection("already there")


def trim_following_lines(candidate: Candidate, request: CompletionRequest) -> Candidate | Rejection:
    """Cut the last lines where the lines below the cursor begin with the same ones."""
    lines = (_line_prefix(request) + candidate.text).split("\n")
    below = [line for line in request.suffix.split("\n")[1 : len(lines) + 3] if line.strip()]
    below = [line.rstrip() for line in below]
    for count in range(min(len(lines), len(below)), 0, -1):
        if [line.rstrip() for line in lines[-count:]] == below[:count]:
            text = "\n".join(lines[:-count])[len(_line_prefix(request)) :]
            return replace(candidate, text=text) if text.strip() else Rejection("duplicate")
    return candidate


def refuse_present(candidate: Candidate, request: CompletionRequest) -> Candidate | Rejection:
    """Refuse what stands right after the cursor already."""
    rest = _rest_of_line(request).strip()
    present = bool(rest) and rest.startswith(candidate.text.strip())
    return Rejection("already there") if present else candidate


def refuse_indentation(candidate: Candidate, request: CompletionRequest) -> Candidate | Rejection:
    """Refuse tabs among spaces (and the reverse), and in Python a level that nothing opened."""
    above = request.prefix.split("\n")[-_LOOK_BACK:]
    lines = (above.pop() + candidate.text).split("\n")
    if _line_prefix(request).strip():
        above.append(lines.pop(0))
    lines = [line for line in lines if line.strip()]
    if _mixes_tabs_and_spaces(lines, request.text):
        return Rejection("indentation")
    if request.language != "python":
        return candidate
    if all(_fits_below(line, above + lines[:index]) for index, line in enumerate(lines)):
        return candidate
    prose = syntax.in_comment_or_string(request.language, request.text, request.offset)
    return candidate if prose else Rejection("indentation")


def refuse_broken_syntax(candidate: Candidate, request: CompletionRequest) -> Candidate | Rejection:
    """Refuse what the grammar does not allow in this place.

    What was cut short must be known to parse; else an unknown language gets the benefit of doubt.
    """
    verdict = syntax.parses_in_place(
        request.language, request.prefix, candidate.text, request.suffix
    )
    cut_short = candidate.finish in ("length", "deadline")
    return Rejection("syntax") if verdict is False or (cut_short and not verdict) else candidate


def _rest_of_line(request: CompletionRequest) -> str:
    return request.suffix.split("\n", 1)[0].rstrip("\r")


def _line_prefix(request: CompletionRequest) -> str:
    return request.prefix[request.prefix.rfind("\n") + 1 :]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _closers_there(rest: str, opened: list[str]) -> int:
    """Return how many marks, open before the cursor, the beginning of ``rest`` closes."""
    waiting, count = list(opened), 0
    for character in rest:
        if waiting and waiting[-1] == character:
            waiting.pop()
        elif character in _CLOSERS:
            if waiting and waiting.pop() != _PARTNER[character]:
                break
        else:
            break
        count += 1
    return count


def _mixes_tabs_and_spaces(lines: list[str], text: str) -> bool:
    leads = [line[: _indent(line)] for line in lines]
    if any(" \t" in lead for lead in leads):
        return True
    tabs, spaces = "\n\t" in text, "\n  " in text
    return tabs != spaces and any((" " if tabs else "\t") in lead for lead in leads)


def _fits_below(line: str, above: list[str]) -> bool:
    """Whether Python lets ``line`` start at its level: deeper after a colon, else at an open one.

    Inside brackets, and after a line that closes some, anything goes.
    """
    above = [row for row in above if row.strip()]
    if not above or brackets.open_marks("\n".join(above), "python"):
        return True
    last = above[-1]
    if last.endswith("\\") or any(depth < 0 for _, depth in brackets.closings(last, "python", [])):
        return True
    if last.split("#")[0].rstrip().endswith(":"):
        return _indent(line) > _indent(last)
    return _indent(line) <= _indent(last) and _indent(line) in {0, *map(_indent, above)}
