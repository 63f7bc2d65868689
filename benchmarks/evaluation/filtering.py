"""What each filter takes away, and how much of that the developer would have written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from evaluation.commits import Moment
from falcon_lsp.completion import brackets
from falcon_lsp.completion.candidates import Candidate, Rejection, copy_candidate, sources_at
from falcon_lsp.completion.postprocess import Filter
from falcon_lsp.core.types import CompletionRequest
from falcon_lsp.model.drafts import Sources


@dataclass
class Toll:
    """One filter's counts over candidates of one kind.

    ``exact_dropped`` and ``exact_cut`` are its mistakes: candidates that were what the developer
    wrote. ``made_exact`` became that by being cut.
    """

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, before: str, after: str | None, truth: str) -> None:
        """Count one candidate; ``after`` is None where it was dropped."""
        was_exact = before.rstrip() == truth
        self.counts["seen"] += 1
        if after is None:
            self.counts["dropped"] += 1
            self.counts["exact_dropped"] += was_exact
        elif after.rstrip() != before.rstrip():
            self.counts["cut"] += 1
            self.counts["exact_cut"] += was_exact
            self.counts["made_exact"] += after.rstrip() == truth


def tolls(
    filters: Sequence[Filter], cases: Iterable[tuple[Candidate, CompletionRequest, str]]
) -> dict[str, Toll]:
    """Run the filters in order over ``(candidate, request, truth)``; return each one's counts."""
    found = {each.__name__: Toll() for each in filters}
    for first, request, truth in cases:
        candidate = first
        for each in filters:
            outcome = each(candidate, request)
            dropped = isinstance(outcome, Rejection)
            after = None if isinstance(outcome, Rejection) else outcome.text
            found[each.__name__].add(candidate.text, after, truth.rstrip())
            if dropped:
                break
            candidate = outcome if isinstance(outcome, Candidate) else candidate
    return found


def kinds(
    moments: Sequence[Moment],
) -> dict[str, list[tuple[Candidate, CompletionRequest, str]]]:
    """Return candidates by kind: what was really written at each moment, and copies.

    What is taken from the first kind is a mistake, whatever it is; the others show the gain. In the
    last one the editor has closed the line's brackets behind the cursor, and what was written
    closes them again.
    """
    written = [(Candidate(m.truth.rstrip(), "model"), m.request, m.truth) for m in moments]
    copies = [
        (copy, moment.request, moment.truth)
        for moment in moments
        if (copy := copy_candidate(moment.request, _sources(moment))) is not None
    ]
    closed = [case for moment in moments if (case := _closed(moment)) is not None]
    return {"written": written, "copied": copies, "closed by the editor": closed}


def _closed(moment: Moment) -> tuple[Candidate, CompletionRequest, str] | None:
    """Return the moment with its line's brackets closed; None where the truth never closes them."""
    request, truth = moment.request, moment.truth.rstrip()
    line = request.prefix.rpartition("\n")[2]
    marks = brackets.open_marks(line, request.language)
    closers = brackets.closing(marks)
    for at in range(1, len(truth)) if closers else ():
        inside = brackets.open_marks(line + truth[:at], request.language)
        if truth.startswith(closers or "", at) and inside == marks:
            text = f"{request.prefix}{closers}{request.suffix}"
            return Candidate(truth, "model"), replace(request, text=text), truth[:at]
    return None


def _sources(moment: Moment) -> Sources:
    return sources_at(moment.request, [document.text for document in moment.documents])
