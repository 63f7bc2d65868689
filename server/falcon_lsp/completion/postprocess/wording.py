"""Filters that look at the text itself: line ends, characters, length, repetition."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Final

from falcon_lsp.completion.candidates import Candidate, Rejection
from falcon_lsp.core.types import CompletionRequest
from falcon_lsp.memory.redact import redact_between

_CUT_SHORT: Final = ("length", "deadline")
_UNFINISHED_WORD: Final = re.compile(r"[\w$]*\Z")
_ODD_CATEGORIES: Final = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_MIN_REPEATED: Final = 16
_LONGEST_UNIT: Final = 40
_AROUND: Final = 80
"""Characters on each side by which a secret is known: what it is assigned to, mostly."""
_LINES_ABOVE: Final = 3
"""Lines that are hardly said again; further up they often are (docs/context.md)."""


def normalise_line_ends(candidate: Candidate, _request: CompletionRequest) -> Candidate:
    r"""Leave ``\n`` as the only line end, for the filters that follow."""
    return replace(candidate, text=candidate.text.replace("\r\n", "\n").replace("\r", "\n"))


def keep_whole_pieces(candidate: Candidate, _request: CompletionRequest) -> Candidate | Rejection:
    """Cut what was sampled only in part, when tokens or time ran out.

    Of several lines the last one goes; of a single line the last word, which may be unfinished.
    """
    if candidate.finish not in _CUT_SHORT:
        return candidate
    text = candidate.text.rstrip("\ufffd")
    whole, line_end, _ = text.rpartition("\n")
    text = whole if line_end and whole.strip() else _UNFINISHED_WORD.sub("", text).rstrip()
    return replace(candidate, text=text) if text.strip() else Rejection("unfinished")


def refuse_odd_characters(
    candidate: Candidate, _request: CompletionRequest
) -> Candidate | Rejection:
    """Refuse control, bidirectional and other invisible characters, and broken UTF-8."""
    for character in candidate.text:
        if character in "\n\t" or (character.isascii() and character.isprintable()):
            continue
        if character == "\ufffd" or unicodedata.category(character) in _ODD_CATEGORIES:
            return Rejection("odd characters")
    return candidate


def strip_end(candidate: Candidate, request: CompletionRequest) -> Candidate:
    """Drop white space at the end, but no blank that parts the text from the rest of its line."""
    rest = request.suffix[:1]
    blank = "\n" if rest and not rest.isspace() else None
    return replace(candidate, text=candidate.text.rstrip(blank))


def refuse_blank(candidate: Candidate, _request: CompletionRequest) -> Candidate | Rejection:
    """Refuse nothing but white space."""
    return candidate if candidate.text.strip() else Rejection("blank")


def refuse_short(candidate: Candidate, request: CompletionRequest) -> Candidate | Rejection:
    """Refuse a single character, unless the developer asked for a suggestion."""
    long_enough = request.invoked or len(candidate.text.strip()) > 1
    return candidate if long_enough else Rejection("too short")


def refuse_repetition(candidate: Candidate, request: CompletionRequest) -> Candidate | Rejection:
    """Refuse a text that goes round in circles, or says again one of the lines just above."""
    if _ends_in_a_loop(candidate.text):
        return Rejection("repetition")
    above, _, begun = request.prefix.rpartition("\n")
    line = (begun + candidate.text.split("\n", 1)[0]).strip()
    near = above.rsplit("\n", _LINES_ABOVE)[-_LINES_ABOVE:]
    if line in map(str.strip, near) and sum(map(str.isalnum, line)) >= 8:
        return Rejection("repetition")
    return candidate


def refuse_secrets(candidate: Candidate, request: CompletionRequest) -> Candidate | Rejection:
    """Refuse what looks like a secret in this place, unless the document holds it already."""
    at, text = request.offset, candidate.text
    around = request.text[max(0, at - _AROUND) : at], request.text[at : at + _AROUND]
    secret = redact_between(around[0], text, around[1]) != text
    return Rejection("secret") if secret and text.strip() not in request.text else candidate


def use_document_line_ends(candidate: Candidate, request: CompletionRequest) -> Candidate:
    """Write line ends as the document does (as its first line does)."""
    first = request.text.find("\n")
    if first > 0 and request.text[first - 1] == "\r":
        return replace(candidate, text=candidate.text.replace("\n", "\r\n"))
    return candidate


def _ends_in_a_loop(text: str) -> bool:
    """Whether the text ends with four or more times the same words, `_MIN_REPEATED` or longer."""
    for size in range(2, min(_LONGEST_UNIT, len(text) // 4) + 1):
        unit = text[-size:]
        times = max(4, -(-_MIN_REPEATED // size))
        if text.endswith(unit * times) and any(map(str.isalnum, unit)):
            return True
    return False
