"""What an episode was worth: each term a bounded pure function, combined in one place.

The terms and their order follow FALCON (arXiv 2410.21349): what a compiler says stands above what a
developer says, so code that does not compile can never earn a positive reward by being liked.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from falcon_lsp.core.types import Outcome
from falcon_lsp.memory.episodes import Episode

THRESHOLD = 0.25
"""t: the chance of being accepted from which a suggestion is worth an interruption."""

COMPILER_ERROR = -1.0
ERROR_LINE = -0.3
UNDO = -0.25
INFERRED_WEIGHT = 0.5
ERROR_SEVERITY = 1
OWN_COMPILE_CHECK = "falcon"
SHORTEST_KEPT_PIECE = 3


@dataclass(frozen=True, slots=True)
class Reward:
    """``total`` is of the whole suggestion, in [-1.5, 0.75]; ``terms`` says what it is made of.

    ``error_lines`` (counted from the suggestion's first line) cost their own tokens `ERROR_LINE`
    each, on top of ``total``.
    """

    total: float
    terms: Mapping[str, float]
    error_lines: frozenset[int] = field(default_factory=frozenset)

    @property
    def silent(self) -> bool:
        """Whether nothing at all follows from the episode."""
        return self.total == 0.0 and not self.error_lines


def reward(episode: Episode) -> Reward:
    """Combine the terms of an episode whose outcome is known.

    The developer's positive part is gated: it counts only when no compiler and no diagnostic
    complained. The negative part always counts.
    """
    compiler = compiler_term(episode)
    lines = error_lines(episode)
    developer = developer_term(episode)
    gated = developer > 0.0 and (compiler < 0.0 or bool(lines))
    terms = {
        "compiler": compiler,
        "error_lines": ERROR_LINE if lines else 0.0,
        "developer": developer,
    }
    return Reward(compiler + (0.0 if gated else developer), terms, lines)


def compiler_term(episode: Episode) -> float:
    """Return -1 when the suggestion in place does not compile, else 0."""
    broken = any(
        finding.source == OWN_COMPILE_CHECK and finding.severity == ERROR_SEVERITY
        for finding in episode.diagnostics_added
    )
    return COMPILER_ERROR if broken or breaks_syntax(episode) else 0.0


def breaks_syntax(episode: Episode) -> bool:
    """Whether the code parsed without the suggestion and does not with it (Python only).

    The recorded context is often cut or unfinished and parses neither way: then nothing follows.
    """
    if episode.language != "python":
        return False
    prompt, text = episode.suggestion.prompt, episode.suggestion.text
    whole = prompt.prefix + prompt.suffix
    return _parses(whole) and not _parses(prompt.prefix + text + prompt.suffix)


def error_lines(episode: Episode) -> frozenset[int]:
    """Return the suggestion's lines that a new error names, counted from its first line."""
    suggestion = episode.suggestion
    if suggestion.line < 0:
        return frozenset()
    height = suggestion.text.count("\n") + 1
    errors = (f for f in episode.diagnostics_added if f.severity == ERROR_SEVERITY)
    relative = {error.line - suggestion.line for error in errors}
    return frozenset(line for line in relative if 0 <= line < height)


def developer_term(episode: Episode, threshold: float = THRESHOLD) -> float:
    """Return what the developer's behaviour says, in [-t - 0.25, 1 - t]; silence is 0."""
    if episode.outcome is None:
        return 0.0
    if episode.outcome is Outcome.UNDONE:
        return -threshold + UNDO
    if episode.outcome is Outcome.REJECTED:
        return -threshold * (INFERRED_WEIGHT if episode.inferred else 1.0)
    if not episode.outcome.positive or not episode.suggestion.text:
        return 0.0
    return (1.0 - threshold) * kept_characters(episode) / len(episode.suggestion.text)


def kept_characters(episode: Episode) -> int:
    """Return how many of the suggestion's characters stand: measured where that is possible."""
    text = episode.suggestion.text
    if episode.settled_text is None:
        return min(max(0, episode.chars_kept), len(text))
    return common_characters(text, episode.settled_text)


def common_characters(suggested: str, settled: str) -> int:
    """Return how many characters of ``suggested`` occur in ``settled`` in order, in real pieces.

    Pieces below three characters are coincidence, unless they are the whole suggestion.
    """
    shortest = min(SHORTEST_KEPT_PIECE, len(suggested))
    blocks = SequenceMatcher(None, suggested, settled, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= shortest)


def _parses(source: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
