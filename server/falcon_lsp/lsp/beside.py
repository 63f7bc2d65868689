"""Ghost text beside the editor's own list of completions: only what goes on from its entry.

The editor shows both at once where they agree. Where they do not, it would hide ours, and what the
developer then types would be held against a suggestion that nobody saw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lsprotocol import types as lsp

from falcon_lsp.completion.answer import Answer
from falcon_lsp.lsp import convert
from falcon_lsp.lsp.documents import DocumentStore

DISAGREES = "the list shows something else"
"""The reason why nothing came."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The selected entry: ``typed`` of it stands in ``where``, ``rest`` would come behind.

    Both are empty where the editor shows no list.
    """

    where: lsp.Range
    typed: str = ""
    rest: str = ""


def entry(
    documents: DocumentStore,
    uri: str,
    cursor: lsp.Position,
    selected: lsp.SelectedCompletionInfo | None,
) -> Entry | None:
    """Return the entry that a suggestion has to go on from; None where nothing can.

    That is an entry that replaces other text than what it begins with: nothing follows from it.
    """
    if selected is None:
        return Entry(lsp.Range(cursor, cursor))
    snapshot = documents.get(uri)
    if snapshot is None or selected.range.end != cursor:
        return None
    places = (selected.range.start, cursor)
    start, end = (snapshot.offset(convert.position(p), documents.encoding) for p in places)
    typed = snapshot.text[start:end]
    if not selected.text.startswith(typed):
        return None
    return Entry(selected.range, typed, selected.text[len(typed) :])


def going_on(answer: Answer, rest: str) -> Answer:
    """Return the answer with those suggestions alone that begin with ``rest``."""
    agreeing = tuple(each for each in answer.suggestions if each.text.startswith(rest))
    if len(agreeing) == len(answer.suggestions):
        return answer
    reason = answer.reason if agreeing else DISAGREES
    return replace(answer, suggestions=agreeing, reason=reason, held=None)
