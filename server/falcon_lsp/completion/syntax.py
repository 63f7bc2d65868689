"""What the grammar says: does an insertion parse, is a block open, is this a comment.

The only user of tree-sitter. Grammars are imported at the first question about their language; a
language without one gets None, which every caller reads as "unknown".
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from falcon_lsp.completion import brackets
from falcon_lsp.core.text import line_before

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Parser, Tree

logger = logging.getLogger(__name__)

MAX_CHARACTERS: Final = 200_000
"""Longer documents are not parsed: that would take longer than the answer may."""

KEPT_DEFINITIONS: Final = 64
"""Documents whose definitions are remembered."""

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
_DEEPER: Final = {"if_statement", "try_statement", "else_clause", "except_clause", *_BLOCKS}
"""What may hold definitions without being one."""

_VARIABLES: Final = {"lexical_declaration", "variable_declaration"}
_COMMENT_AT_END: Final = re.compile(r"\s#\s.*")
_AFTER_OPENING: Final = re.compile(r"(?<=[(\[]) | (?=[)\]])")

_parsers = threading.local()


class Definition(NamedTuple):
    """A function, method or class: its head on one line, and what its first line of prose says.

    ``line`` is the line on which it begins, stripped; ``owner`` the head of the class around it,
    empty outside of classes.
    """

    name: str
    line: str
    head: str
    summary: str
    owner: str
    is_class: bool


def definitions(language: str, text: str) -> tuple[Definition, ...]:
    """Return what ``text`` defines outside of functions, in order; nothing without a grammar."""
    return _defined(language, text) if len(text) <= MAX_CHARACTERS else ()


@lru_cache(maxsize=KEPT_DEFINITIONS)
def _defined(language: str, text: str) -> tuple[Definition, ...]:
    tree = _parse(language, text)
    return tuple(_definitions(tree.root_node)) if tree else ()


def _definitions(root: Node) -> Iterator[Definition]:
    """Yield them without recursion: a chain of ``else if`` may be as deep as it likes."""
    waiting = [(child, "") for child in reversed(root.named_children)]
    while waiting:
        child, owner = waiting.pop()
        if child.type in _DEEPER:
            waiting += [(inner, owner) for inner in reversed(child.named_children)]
            continue
        whole = child
        for field in ("definition", "declaration"):
            whole = whole.child_by_field_name(field) or whole
        if whole.type in _VARIABLES and whole.named_children:
            whole = whole.named_children[0]
        name = whole.child_by_field_name("name")
        body = (whole.child_by_field_name("value") or whole).child_by_field_name("body")
        if name is None or body is None:
            continue
        is_class = "class" in whole.type or "interface" in whole.type
        head = _between(whole, body)
        line = _text(whole).partition("\n")[0].strip()
        yield Definition(_text(name), line, head, _summary(body), owner, is_class)
        if is_class:
            waiting += [(inner, head) for inner in reversed(body.named_children)]


def _between(node: Node, body: Node) -> str:
    """Return on one line what stands from the start of ``node`` to its ``body``."""
    text = node.text or b""
    head = text[: body.start_byte - node.start_byte].decode("utf-8", "replace")
    rows = (_COMMENT_AT_END.sub("", row).strip() for row in head.split("\n"))
    return _AFTER_OPENING.sub("", " ".join(row for row in rows if row))


def _summary(body: Node) -> str:
    """Return the first line of a docstring with its quotes, closed; empty without one."""
    first = body.named_children[0] if body.named_children else None
    if first is None or not _is_docstring(first):
        return ""
    line = _text(first).split("\n", 1)[0].rstrip()
    quotes = '"""' if '"""' in line else line[:1]
    if not any(map(str.isalnum, line)):
        return ""
    return line if len(line) > 2 * len(quotes) and line.endswith(quotes) else line + quotes


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def parses_in_place(language: str, text_before: str, inserted: str, text_after: str) -> bool | None:
    """Whether ``inserted`` leaves no error that the document did not have without its line.

    Brackets that the line leaves open are closed first, so the start of a call or of a block is
    fine. Errors that lie wholly in the line's text before the cursor are the developer's own. None
    where the language has no grammar or the document is too long.
    """
    if len(text_before) + len(inserted) + len(text_after) > MAX_CHARACTERS:
        return None
    start, stop = text_before.rfind("\n") + 1, text_after.find("\n")
    above, below = text_before[:start], text_after[stop:] if stop >= 0 else ""
    baseline = _parse(language, above + below)
    if baseline is None:
        return None
    allowed = sum(1 for _ in _faults(baseline))
    begun, rest = text_before[start:], text_after[: len(text_after) - len(below)]
    line = _width(above)
    cursor = line + _width(begun)
    here = (line, cursor, cursor + _width(inserted))
    for written in _wholes(language, begun, inserted, rest):
        if _is_sound(_parse_with_line(language, baseline, (above, written, below)), here, allowed):
            return True
    return False


def without_line(text: str, offset: int) -> str:
    """Return the document without the text of the cursor's line, its line end kept.

    It stays the same while a line is written, and so does its tree.
    """
    end = text.find("\n", offset)
    above = text[: text.rfind("\n", 0, offset) + 1]
    return above + (text[end:] if end >= 0 else "")


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
    line = line_before(text, offset)
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
    expressions = node.named_children if node.type == "expression_statement" else []
    return bool(expressions) and expressions[0].type == "string"


def _last(tree: Tree, types: set[str]) -> Node | None:
    """Return the innermost node of ``types`` along the last children."""
    node: Node | None = tree.root_node
    found = None
    while node is not None:
        found = node if node.type in types else found
        node = node.children[-1] if node.children else None
    return found


def _wholes(language: str, begun: str, inserted: str, rest: str) -> Iterator[str]:
    """Yield the cursor's line as it may have to be made whole to be judged.

    What is missing may stand behind the insertion, or behind brackets that the editor has closed.
    """
    for ending in _endings(language, begun, inserted):
        yield begun + inserted + ending + rest
    if rest.strip() and not rest.strip(" \t\r)]}"):
        said = inserted + rest.rstrip()
        yield from (begun + said + ending for ending in _endings(language, begun, said))


def _endings(language: str, line: str, inserted: str) -> Iterator[str]:
    """Yield what may have to stand after ``inserted`` to make it whole, cheapest first.

    Open brackets are closed, with a name in them where they may not be empty; a header gets its
    body, a decorator its function, a line that is continued something to go on with; a comment or
    docstring that the developer has not ended yet is ended.
    """
    yield ""
    python = language == "python"
    body = ":" if python else " {}"
    if python and (line + inserted).lstrip().startswith("@"):
        body = "\n" + line[: len(line) - len(line.lstrip())] + "def _(): ..."
    filling = "\n_" if inserted.endswith("\\") else "_" if inserted.endswith("(") else ""
    for text in dict.fromkeys((inserted, line + inserted)):
        closers = brackets.closing(brackets.open_marks(text, language))
        if closers is not None:
            yield from (closers, closers + body) if closers else (body,)
        if closers is not None and filling:
            yield from (filling + closers, filling + closers + body)
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


def _parse(language: str, text: str) -> Tree | None:
    return _parsed(language, text) if len(text) <= MAX_CHARACTERS else None


@lru_cache(maxsize=8)
def _parsed(language: str, text: str) -> Tree | None:
    parser = _parser(language)
    return parser.parse(text.encode("utf-8", "replace")) if parser else None


def _parse_with_line(language: str, baseline: Tree, parts: tuple[str, str, str]) -> Tree:
    """Return the tree of ``above + written + below``, the three ``parts``.

    ``baseline`` is that of ``above + below``; what it knows of them is not read again.
    """
    above, written, _ = parts
    start, row = _width(above), above.count("\n")
    end_row = row + written.count("\n")
    end_column = _width(written[written.rfind("\n") + 1 :])
    tree = baseline.copy()
    tree.edit(start, start, start + _width(written), (row, 0), (row, 0), (end_row, end_column))
    parser = _parser(language)
    if parser is None:  # there is a baseline, so there was a parser
        raise LookupError(language)
    return parser.parse("".join(parts).encode("utf-8", "replace"), tree)


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
