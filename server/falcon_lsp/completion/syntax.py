"""What the grammar says: does an insertion parse, is a block open, is this a comment.

The only user of tree-sitter. Grammars are imported at the first question about their language; a
language without one gets None, which every caller reads as "unknown".
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from falcon_lsp.completion import brackets

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Parser, Tree

logger = logging.getLogger(__name__)

MAX_CHARACTERS: Final = 200_000
"""Longer documents are not parsed: that would take longer than the answer may."""

_GRAMMARS: Final = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "javascriptreact": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "typescriptreact": ("tree_sitter_typescript", "language_tsx"),
}
_BLOCKS: Final = {"block", "statement_block", "class_body", "switch_body", "interface_body"}
_PROSE: Final = {"comment", "string", "template_string", "html_comment", "regex"}
_CODE_IN_STRING: Final = {"interpolation", "template_substitution"}
_parsers = threading.local()


def parses_in_place(language: str, text_before: str, inserted: str, text_after: str) -> bool | None:
    """Whether ``inserted`` leaves no error that the document did not have without its line.

    Brackets that the line leaves open are closed first, so the start of a call or of a block is
    fine. Errors that lie wholly in the line's text before the cursor are the developer's own. None
    where the language has no grammar or the document is too long.
    """
    start = text_before.rfind("\n") + 1
    rest = text_after.find("\n")
    after_line = text_after[rest:] if rest >= 0 else ""
    baseline = _parse(language, text_before[:start] + after_line)
    if baseline is None:
        return None
    allowed = sum(1 for _ in _faults(baseline))
    line, cursor = _width(text_before[:start]), _width(text_before)
    here = (line, cursor, cursor + _width(inserted))
    for ending in _endings(language, text_before[start:], inserted):
        tree = _parse(language, text_before + inserted + ending + text_after)
        if tree is not None and _is_sound(tree, here, allowed):
            return True
    return False


def _is_sound(tree: Tree, here: tuple[int, int, int], allowed: int) -> bool:
    """Whether no fault lies in the insertion, and ``allowed`` at most outside of its line.

    ``here`` holds, in bytes, where the line, the insertion, and what follows it begin.
    """
    line, cursor, end = here
    faults = [(node.start_byte, node.end_byte) for node in _faults(tree)]
    inside = any(cursor <= first and last <= end for first, last in faults)
    others = sum(not (line <= first and last < cursor) for first, last in faults)
    return not inside and others <= allowed


def open_block(language: str, prefix: str, suffix: str = "") -> bool:
    """Whether the cursor stands in a block that is open and empty but for a docstring.

    ``suffix`` may close the block, but nothing of it may stand on the cursor's line.
    """
    if suffix.split("\n", 1)[0].strip() or language not in _GRAMMARS:
        return False
    before = prefix.rstrip()
    if language == "python":
        return before.endswith((":", '"', "'")) and _open_python_block(prefix, suffix)
    if not before.endswith("{"):
        return False
    tree = _parse(language, before + "}")
    block = _last(tree, _BLOCKS) if tree else None
    following = suffix.lstrip()
    return block is not None and (not following or following.startswith("}"))


def in_comment_or_string(language: str, text: str, offset: int) -> bool:
    """Whether the cursor at ``offset`` stands in a comment or in a string's literal part."""
    tree = _parse(language, text)
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    marks = brackets.open_marks(line, language)
    if tree is None:
        return brackets.closing(marks) is None
    at = _width(text[:offset])
    node = tree.root_node.descendant_for_byte_range(max(0, at - 1), at)
    while node is not None and node.type not in _CODE_IN_STRING:
        if node.type in _PROSE and node.start_byte < at:
            return at < node.end_byte or "comment" in node.type
        node = node.parent
    return node is None and tree.root_node.has_error and brackets.closing(marks) is None


def _open_python_block(prefix: str, suffix: str) -> bool:
    tree = _parse("python", prefix)
    block = _last(tree, {"block"}) if tree else None
    if block is None or any(not _is_docstring(child) for child in block.named_children):
        return False
    owner = block.parent
    head = owner.start_point.column if owner else 0
    line = prefix[prefix.rfind("\n") + 1 :]
    following = next((row for row in suffix.split("\n")[1:] if row.strip()), "")
    deeper = len(following) - len(following.lstrip()) > head
    return (bool(line.strip()) or not line or len(line) > head) and not deeper


def _is_docstring(node: Node) -> bool:
    return node.type == "expression_statement" and node.named_children[0].type == "string"


def _last(tree: Tree, types: set[str]) -> Node | None:
    """Return the innermost node of ``types`` along the last children."""
    node: Node | None = tree.root_node
    found = None
    while node is not None:
        found = node if node.type in types else found
        node = node.children[-1] if node.children else None
    return found


def _endings(language: str, line: str, inserted: str) -> Iterator[str]:
    """Yield what may have to stand after ``inserted`` to make it whole, cheapest first.

    Open brackets are closed; a header gets its body, a decorator its function; a comment or
    docstring that the developer has not ended yet is ended.
    """
    yield ""
    python = language == "python"
    body = ":" if python else " {}"
    if python and (line + inserted).lstrip().startswith("@"):
        body = "\n" + line[: len(line) - len(line.lstrip())] + "def _(): ..."
    for text in dict.fromkeys((inserted, line + inserted)):
        closers = brackets.closing(brackets.open_marks(text, language))
        if closers is not None:
            yield from (closers, closers + body) if closers else (body,)
    yield from ('\n"""', "\n'''") if python else ("\n*/",)


def _faults(tree: Tree) -> Iterator[Node]:
    """Yield the outermost error and missing nodes; clean subtrees are never entered."""
    waiting = [tree.root_node] if tree.root_node.has_error else []
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            yield node
        waiting += [child for child in node.children if child.has_error or child.is_missing]


def _width(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


@lru_cache(maxsize=8)
def _parse(language: str, text: str) -> Tree | None:
    parser = _parser(language) if len(text) <= MAX_CHARACTERS else None
    return parser.parse(text.encode("utf-8", "replace")) if parser else None


def _parser(language: str) -> Parser | None:
    """Return this thread's parser (parsers must not be shared), or None without a grammar."""
    grammar = _grammar(language)
    if grammar is None:
        return None
    parsers: dict[str, Parser] = _parsers.__dict__
    if language not in parsers:
        from tree_sitter import Parser

        parsers[language] = Parser(grammar)
    return parsers[language]


@lru_cache
def _grammar(language: str) -> Language | None:
    if language not in _GRAMMARS:
        return None
    module, function = _GRAMMARS[language]
    try:
        from tree_sitter import Language

        return Language(getattr(importlib.import_module(module), function)())
    except ImportError as error:
        logger.warning("no syntax checks for %s: %s is not installed", language, error.name)
        return None
