"""From what was sampled to what is offered: small pure filters, run in the order of one list.

A filter returns the candidate (unchanged, or with a shorter ``text``) or a `Rejection`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from falcon_lsp.completion.candidates import Candidate, Rejection
from falcon_lsp.completion.postprocess import placing, wording
from falcon_lsp.core.types import CompletionRequest

Filter = Callable[[Candidate, CompletionRequest], Candidate | Rejection]

FILTERS: Final[tuple[Filter, ...]] = (
    wording.normalise_line_ends,
    wording.keep_whole_pieces,
    wording.refuse_odd_characters,
    placing.keep_to_the_line,
    placing.end_with_the_block,
    placing.trim_closers,
    placing.trim_rest_of_line,
    placing.trim_following_lines,
    wording.strip_end,
    wording.refuse_blank,
    wording.refuse_short,
    wording.refuse_repetition,
    wording.refuse_secrets,
    placing.refuse_present,
    placing.refuse_indentation,
)
"""What needs nothing but the text; cheapest and most cutting first."""

LAST: Final[tuple[Filter, ...]] = (
    placing.refuse_broken_syntax,
    wording.use_document_line_ends,
)
"""What comes after every other filter, those with a memory included."""


def run(
    candidate: Candidate, request: CompletionRequest, filters: Sequence[Filter]
) -> Candidate | Rejection:
    """Apply ``filters`` in order; the first rejection ends it."""
    for each in filters:
        outcome = each(candidate, request)
        if isinstance(outcome, Rejection):
            return outcome
        candidate = outcome
    return candidate
