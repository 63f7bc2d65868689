"""Between LSP's types and ours; nothing here decides anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from lsprotocol import types as lsp

from falcon_lsp.core.text import Position, PositionEncoding, TextSnapshot, line_before
from falcon_lsp.core.types import Suggestion

ACCEPTED_COMMAND = "falcon.accepted"

_WORD = re.compile(r"\w*")


def position(value: lsp.Position) -> Position:
    """Convert a position of the protocol."""
    return Position(value.line, value.character)


def relative_path(uri: str, workspace: str) -> str:
    """Return the path of ``uri`` below ``workspace`` (a folder URI), or its file name."""
    if workspace and uri.startswith(workspace.rstrip("/") + "/"):
        return unquote(uri[len(workspace.rstrip("/")) + 1 :])
    return PurePosixPath(unquote(urlsplit(uri).path)).name or uri


def workspace_of(uri: str, folders: Sequence[str]) -> str:
    """Return the innermost workspace folder that holds ``uri``, or the file's own folder.

    A document that was never saved (``untitled:Untitled-1``) lies nowhere: it belongs to the first
    folder, and without one to itself, never to what all such documents would share.
    """
    holding = [folder for folder in folders if uri.startswith(folder.rstrip("/") + "/")]
    if holding:
        return max(holding, key=len)
    return uri.rpartition("/")[0] or (folders[0] if folders else uri)


def accepted_command(completion_id: str) -> lsp.Command:
    """Return the command that an editor runs when the developer takes a suggestion."""
    return lsp.Command("Suggestion accepted", ACCEPTED_COMMAND, arguments=[completion_id])


def inline_item(
    suggestion: Suggestion, where: lsp.Range, typed: str = ""
) -> lsp.InlineCompletionItem:
    """Return a suggestion as ghost text that replaces ``where``, in which ``typed`` stands."""
    command = accepted_command(suggestion.completion_id)
    return lsp.InlineCompletionItem(typed + suggestion.text, range=where, command=command)


def completion_item(
    snapshot: TextSnapshot, encoding: PositionEncoding, suggestion: Suggestion
) -> lsp.CompletionItem:
    """Return a suggestion for the ordinary completion list.

    Editors filter and sort by the word before the cursor, so the item replaces and repeats it.
    """
    word = _word_before(snapshot.text, suggestion.offset)
    label = word + suggestion.text.strip("\r\n").partition("\n")[0].rstrip("\r")
    where = lsp.Range(
        _lsp_position(snapshot, suggestion.offset - len(word), encoding),
        _lsp_position(snapshot, suggestion.offset, encoding),
    )
    return lsp.CompletionItem(
        label=label,
        kind=lsp.CompletionItemKind.Text,
        detail="falcon",
        filter_text=label,
        sort_text="\x7f",
        insert_text_format=lsp.InsertTextFormat.PlainText,
        text_edit=lsp.TextEdit(where, word + suggestion.text),
        command=accepted_command(suggestion.completion_id),
    )


def _word_before(text: str, offset: int) -> str:
    """Return the word that ends at ``offset``, read backwards: lines may be long."""
    line = line_before(text, offset)
    backwards = _WORD.match(line[::-1])
    return backwards[0][::-1] if backwards else ""


def _lsp_position(snapshot: TextSnapshot, offset: int, encoding: PositionEncoding) -> lsp.Position:
    at = snapshot.position(offset, encoding)
    return lsp.Position(at.line, at.character)
